"""The wheel: one name, everything inside, and the fast tests pass on it as they do here."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from hatch_build import DATA, FOLDERS, ROOMS, nested

pytestmark = [pytest.mark.checkout, pytest.mark.system]

ROOT = Path(__file__).parent.parent
PLUGINS = sorted(file.parent for file in ROOT.glob("examples/*/pyproject.toml"))

OUTSIDE = f"""
import sys
from pathlib import Path

sys.path = [path for path in sys.path if Path(path or ".").resolve() != Path({str(ROOT)!r})]
"""
"""Takes the checkout off the path: an import that was not carried over fails instead of finding it."""


FOUND = """
from importlib.metadata import entry_points
for found in entry_points(group="gridledger.projections"):
    print(found.name, found.value, found.load() is not None)
"""


def build(project: Path, into: Path) -> Path:
    """Builds the project's wheel and unpacks it into `into`, which is all that installing it would do."""
    made = into.parent / f"{into.name}-{project.name}"
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(made)], project)
    (wheel,) = made.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(into)
    return wheel


def run(command: list[str], directory: Path, *path: Path, compiled: Path | None = None) -> str:
    """Nothing is written beside the sources; what many processes are to share of their compilation goes to `compiled`."""
    cache = {"PYTHONPYCACHEPREFIX": str(compiled)} if compiled else {"PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command,
        cwd=directory,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path))} | cache,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the built wheel in it, and what keeps the checkout away."""
    site = tmp_path_factory.mktemp("wheel") / "site"
    build(ROOT, site)
    (site / "outside.py").write_text(OUTSIDE)
    return site


def python(site: Path, program: str, directory: Path, *more: Path) -> str:
    return run([sys.executable, "-c", f"import outside\n{program}"], directory, site, *more)


def test_the_wheel_holds_one_name(site: Path) -> None:
    names = {path.name for path in site.iterdir()} - {"outside.py"}
    (metadata,) = names - {"gridledger"}

    assert names == {"gridledger", metadata}
    assert metadata.startswith("gridledger-")
    assert metadata.endswith(".dist-info")


def test_the_wheel_holds_every_module_the_data_and_the_mark_of_types(site: Path) -> None:
    ours = {str(file) for file in tracked() if file.parts[0] in (*ROOMS, *DATA)}
    held = {str(file.relative_to(site / "gridledger")) for file in (site / "gridledger").rglob("*") if file.is_file()}
    examples = {path for path in held if path.startswith("examples/")}
    others = {path for path in held if path.startswith("explorer/static/vendor/")}

    assert "examples/atelier/make_scene.py" in examples
    brought = ("htmx.min.js", "uPlot.iife.min.js", "uPlot.min.css")
    assert others == {f"explorer/static/vendor/{name}" for name in brought}, "set-up brought them"
    assert held - examples - others == ours | {"__init__.py", "__main__.py", "py.typed"}


def test_no_import_in_the_wheel_is_of_a_room_by_its_short_name(site: Path) -> None:
    short = []
    for file in (site / "gridledger").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [name.name for name in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            short += [f"{file.name}: {name}" for name in names if name.split(".")[0] in FOLDERS]

    assert short == []


def test_every_module_of_the_wheel_can_be_imported(site: Path, tmp_path: Path) -> None:
    program = """
import importlib, pkgutil, gridledger
for module in pkgutil.walk_packages(gridledger.__path__, "gridledger."):
    if not module.name.endswith("__main__") and "child" not in module.name:
        importlib.import_module(module.name)
print(gridledger.__file__)
"""
    assert python(site, program, tmp_path).strip() == str(site / "gridledger" / "__init__.py")


def test_the_command_runs_from_the_wheel(site: Path, tmp_path: Path) -> None:
    said = python(site, "import runpy, sys; sys.argv = ['gridledger', '--help']; runpy.run_module('gridledger')", tmp_path)

    assert "demo" in said
    assert "verify" in said


def test_types_reach_the_users_of_the_wheel(site: Path, tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text("from gridledger.domain import units\n\nheld: units.Units = units.ZERO\nreveal_type(held)\n")
    said = run([sys.executable, "-m", "mypy", "--strict", "user.py"], tmp_path, site)

    assert 'Revealed type is "gridledger.domain.units.Units"' in said


@pytest.mark.timeout(300)
def test_the_fast_tests_pass_on_the_wheel(site: Path, tmp_path: Path) -> None:
    for file in tracked():
        content = (ROOT / file).read_bytes()
        about_the_checkout = re.search(rb"^pytestmark = .*\bcheckout\b", content, re.MULTILINE)
        if file.parts[0] not in (*FOLDERS, *DATA, "gridledger.py") and not about_the_checkout:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_bytes(nested(content.decode(), ROOT).encode() if file.suffix == ".py" else content)
    fast = [sys.executable, "-m", "pytest", "-p", "outside", "-p", "no:cacheprovider", "-m", "not system and not checkout"]
    said = run(fast, tmp_path, site, compiled=tmp_path / "compiled")

    assert " passed" in said
    assert " skipped" not in said


def tracked() -> list[Path]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return [Path(name) for name in listed if name and (ROOT / name).is_file()]


def test_every_example_of_a_plug_in_is_found_beside_the_wheel_and_its_own_tests_pass(site: Path, tmp_path: Path) -> None:
    assert PLUGINS != []
    for example in PLUGINS:
        plugin = shutil.copytree(example, tmp_path / example.name)
        beside = tmp_path / f"{example.name}-built"
        build(plugin, beside)
        declared = tomllib.loads((plugin / "pyproject.toml").read_text())["project"]["entry-points"]["gridledger.projections"]
        found = python(site, FOUND, tmp_path, beside).splitlines()
        tested = [sys.executable, "-m", "pytest", "-q", "-p", "outside", "-p", "no:cacheprovider", "."]

        assert sorted(found) == sorted(f"{name} {value} True" for name, value in declared.items())
        assert " passed" in run(tested, plugin, site, beside)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from domain import units\n", "from gridledger.domain import units\n"),
        ("from domain.work import job\n", "from gridledger.domain.work import job\n"),
        ("from   adapters.log import (\n    postgres,\n)\n", "from   gridledger.adapters.log import (\n    postgres,\n)\n"),
        ("def f():\n    from api import app\n", "def f():\n    from gridledger.api import app\n"),
        ("if x:\n    import domain\n", "if x:\n    from gridledger import domain\n"),
        ("import domain.units as u, os\n", "import gridledger.domain.units as u, os\n"),
        ('x = "domain.units"\n', 'x = "gridledger.domain.units"\n'),
        ('x = "domain.units.ZERO"\n', 'x = "gridledger.domain.units.ZERO"\n'),
        ("x = r'domain.units'\n", "x = r'gridledger.domain.units'\n"),
        ('é = "ü"; x = "domain.units"\n', 'é = "ü"; x = "gridledger.domain.units"\n'),
        ('x = "domain.no_such_module"\n', 'x = "domain.no_such_module"\n'),
        ('"""Says from domain import units."""\n', '"""Says from domain import units."""\n'),
        ("from domainless import x\nimport apiary\n", "from domainless import x\nimport apiary\n"),
    ],
)
def test_names_are_carried_over_where_they_are_imported_and_nowhere_else(source: str, expected: str) -> None:
    assert nested(source, ROOT) == expected


def test_an_import_that_binds_a_rooms_name_is_refused() -> None:
    with pytest.raises(ValueError, match="binds a room's name"):
        nested("import domain.units\n", ROOT)
