"""The habits of CONTRIBUTING.md, as far as a program can see them. Each rule is shown to find what it forbids."""

import ast
import re
import statistics
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from hatch_build import ROOMS

pytestmark = pytest.mark.checkout

ROOT = Path(__file__).parent.parent
PURE = ("domain", "projections")

MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
FUNCTION_LINES_P90_MAX = 30
PACKAGE_FILES_MAX = 12

BANNED_MODULES = {"utils", "util", "common", "core", "base", "helpers", "misc"}
BANNED_ENDINGS = ("Manager", "Service", "Handler", "Impl")
PURE_BANNED_MODULES = {"time", "random", "secrets", "os", "socket", "threading", "subprocess"}
PURE_BANNED_CALLS = {"now", "utcnow", "today", "time_ns", "uuid1", "uuid4", "urandom", "getrandbits"}

# Written in two halves, so that this file does not find itself.
REMINDERS = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
REGISTRIES = re.compile(
    r"py" + r"pi\.org|python" + r"hosted\.org|registry\.npm" + r"js|crates" + r"\.io|proxy\.golang" + r"\.org|"
    r"repo1?\.maven|deb\.debian" + r"\.org|find-" + r"links=|index-" + r"url="
)
MACHINE_PATHS = re.compile(r"/(?:root|work|home/[a-z]\w*|Users/[A-Za-z]\w*|opt/wheels)" + r"/\w")


def tracked() -> list[Path]:
    """What is committed, or would be by `git add`."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return sorted(ROOT / name for name in listed if name and (ROOT / name).is_file())


TRACKED = tracked()
SOURCES = [file for file in TRACKED if file.suffix == ".py"]
PRODUCT = [file for file in SOURCES if file.relative_to(ROOT).parts[0] in ROOMS or file.parent == ROOT]


def name_of(file: Path) -> str:
    return str(file.relative_to(ROOT))


@cache
def functions(source: str) -> list[tuple[str, int]]:
    """Each function's name and length in lines, decorators and docstring not counted."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node
            found.append((node.name, (node.end_lineno or 0) - first.lineno + 1))
    return found


def p90(lengths: list[int]) -> float:
    return statistics.quantiles(lengths, n=10)[-1] if len(lengths) > 1 else max(lengths, default=0)


def banned_names(module: str, source: str) -> list[str]:
    """Names that say nothing: of the module, and of classes defined in it."""
    classes = [node.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)]
    return [part for part in module.split(".") if part in BANNED_MODULES] + [name for name in classes if name.endswith(BANNED_ENDINGS)]


def impurities(source: str) -> list[str]:
    """Clocks, chance, the system, floats that hold money, and sets gone through in whatever order they have."""
    tree = ast.parse(source)
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found += [name.name for name in names if name.name.split(".")[0] in PURE_BANNED_MODULES]
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in PURE_BANNED_MODULES:
                found.append(module)
            case ast.Call(func=ast.Attribute(attr=attribute)) if attribute in PURE_BANNED_CALLS:
                found.append(attribute)
            case ast.For(iter=expression) | ast.comprehension(iter=expression) if _is_set(expression):
                if not _only_for_sets(tree, node):
                    found.append(f"iteration over {ast.unparse(expression)}")
            case ast.Call(func=ast.Name(id="list" | "tuple" | "enumerate" | "iter" | "next" | "zip"), args=[first, *_]):
                if _is_set(first):
                    found.append(ast.unparse(node))
    return found


def _is_set(node: ast.expr) -> bool:
    match node:
        case ast.Set() | ast.SetComp() | ast.Call(func=ast.Name(id="set" | "frozenset")):
            return True
        case ast.BinOp(left=left, op=ast.BitAnd() | ast.BitOr() | ast.Sub() | ast.BitXor(), right=right):
            return _is_set(left) or _is_set(right)
        case ast.Call(func=ast.Attribute(attr="union" | "intersection" | "difference" | "symmetric_difference")):
            return True
    return False


def _only_for_sets(tree: ast.AST, loop: ast.AST) -> bool:
    """Whether a comprehension's result has no order, either: a set, or what `sorted`, `sum`, `any`, `all`, `min`, `max`, `len` take."""
    for node in ast.walk(tree):
        match node:
            case ast.SetComp(generators=generators) if loop in generators:
                return True
            case ast.Call(
                func=ast.Name(id="sorted" | "sum" | "any" | "all" | "set" | "frozenset"),
                args=[ast.GeneratorExp(generators=generators) | ast.ListComp(generators=generators), *_],
            ) if loop in generators:
                return True
    return False


def test_every_module_fits_into_the_budget() -> None:
    lengths = {name_of(file): len(file.read_text().splitlines()) for file in SOURCES}

    assert {name: length for name, length in lengths.items() if length > MODULE_LINES_MAX} == {}


def test_every_function_fits_into_the_budget() -> None:
    found = [(name_of(file), name, length) for file in SOURCES for name, length in functions(file.read_text())]

    assert [it for it in found if it[2] > FUNCTION_LINES_MAX] == []


def test_nine_functions_of_ten_are_short() -> None:
    lengths = {
        room: [length for file in PRODUCT if file.is_relative_to(ROOT / room) for _, length in functions(file.read_text())]
        for room in ROOMS
    }

    assert {room: long for room, its in lengths.items() if (long := p90(its)) > FUNCTION_LINES_P90_MAX} == {}


def test_a_package_has_a_dozen_files_at_most() -> None:
    modules = [file for file in PRODUCT if file.name != "__init__.py" and file.parent != ROOT]
    counts = {name_of(folder): sum(file.parent == folder for file in modules) for folder in {file.parent for file in modules}}

    assert {package: count for package, count in counts.items() if count > PACKAGE_FILES_MAX} == {}


def test_every_init_is_empty() -> None:
    assert [name_of(file) for file in SOURCES if file.name == "__init__.py" and file.read_text()] == []


def test_every_package_has_an_init() -> None:
    folders = {file.parent for file in PRODUCT if file.parent != ROOT}

    assert [name_of(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_names_are_of_the_trade() -> None:
    modules = {".".join(file.relative_to(ROOT).with_suffix("").parts): file.read_text() for file in PRODUCT}

    assert {module: banned for module, source in modules.items() if (banned := banned_names(module, source))} == {}


def test_decisions_and_folds_are_pure() -> None:
    pure = [file for file in PRODUCT if file.relative_to(ROOT).parts[0] in PURE]

    assert {name_of(file): found for file in pure if (found := impurities(file.read_text()))} == {}


def texts() -> Iterator[tuple[str, str]]:
    """Every tracked file that a person wrote."""
    for file in TRACKED:
        if name_of(file).split("/")[0] != "requirements":
            yield name_of(file), file.read_bytes().decode("utf-8", "replace")


@pytest.mark.parametrize("pattern", [REMINDERS, REGISTRIES, MACHINE_PATHS], ids=["reminders", "registries", "machine paths"])
def test_no_file_holds_what_belongs_elsewhere(pattern: re.Pattern[str]) -> None:
    found = [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in texts()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]

    assert found == []


def test_the_locks_hold_no_address_and_no_path() -> None:
    locks = [*(ROOT / "requirements").glob("*.txt"), ROOT / "tools" / "package-lock.json"]
    found = [f"{file.name}: {line}" for file in locks for line in file.read_text().splitlines() if "://" in line or "resolved" in line]

    assert found == []
    assert all(lock.read_text().count("sha256:") > 0 or lock.suffix == ".json" for lock in locks)


def test_every_locked_version_has_hashes() -> None:
    for lock in (ROOT / "requirements").glob("*.txt"):
        blocks = re.split(r"\n(?=\S)", lock.read_text().strip())

        assert [block.split()[0] for block in blocks if "==" not in block or "--hash=sha256:" not in block] == []


THE_PICTURE = "docs/wall.webp"
"""The README's: a job of the demo, by docs/wall.py."""


def test_nothing_binary_is_committed() -> None:
    assert [name_of(file) for file in TRACKED if not _is_text(file.read_bytes()) and name_of(file) != THE_PICTURE] == []


def _is_text(content: bytes) -> bool:
    try:
        return "\0" not in content.decode()
    except UnicodeDecodeError:
        return False


@pytest.mark.parametrize(
    ("rule", "bad", "good"),
    [
        (impurities, "import time", "import math"),
        (impurities, "from random import shuffle", "from hashlib import sha256"),
        (impurities, "x = datetime.now()", "x = world.now_us"),
        (impurities, "x = uuid.uuid4()", "x = ids.job_id(position)"),
        (impurities, "for x in {1, 2}: pass", "for x in sorted({1, 2}): pass"),
        (impurities, "x = [y for y in set(z)]", "x = {y for y in set(z)}"),
        (impurities, "x = list(frozenset(z))", "x = sorted(frozenset(z))"),
        (impurities, "for x in a & set(b): pass", "x = any(y for y in set(b))"),
        (impurities, "x = [y for y in a.union(b)]", "x = sorted(y for y in a.union(b))"),
        (lambda source: banned_names("api.app", source), "class JobService: pass", "class Services: pass"),
        (lambda source: banned_names(source, ""), "api.utils", "api.reads"),
        (REMINDERS.findall, "# TO" + "DO: more", "# to do it"),
        (REGISTRIES.findall, "https://py" + "pi.org/simple", "https://example.org"),
        (MACHINE_PATHS.findall, "/ro" + "ot/checkout", "/usr/bin/python3"),
        (lambda source: [] if _is_text(source.encode()) else [source], "a\0b", "a\u2028b"),
        (lambda source: [n for n, length in functions(source) if length > 3], "def f():\n 1\n 2\n 3", 'def f():\n """d\n\n\n"""\n 1'),
    ],
)
def test_each_rule_finds_what_it_forbids_and_only_that(rule: Callable[[str], list[str]], bad: str, good: str) -> None:
    assert rule(bad) != []
    assert rule(good) == []
