"""Who may import whom. The tables are the rule; the walk over the sources is the proof.

Direct imports suffice: a forbidden chain has a forbidden link. Imports inside functions and for type checkers count as well.
"""

import ast
import graphlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import hatch_build

pytestmark = pytest.mark.checkout

ROOT = Path(__file__).parent.parent

USED = {"domain", "projections", "adapters", "worker_runtime", "auditor", "exports"}
"""What people run (`cli`, `demo`) and what puts the parts together (`roles`) stand above these; on them stands only `gridledger.py`."""

ROOMS = {
    "domain": {"msgspec", "pydantic"},
    "projections": {"domain", "msgspec"},
    "adapters": {"domain", "projections", "msgspec"},
    "worker_runtime": {"domain", "msgspec", "structlog"},
    "auditor": {"domain", "projections", "msgspec", "coincurve", "Crypto", "httpx2"},
    "exports": {"domain", "projections", "msgspec"},
    "api": {"domain", "projections", "exports", "fastapi", "pydantic", "msgspec", "structlog"},
    "explorer": {"domain", "projections", "jinja2", "markupsafe", "starlette", "msgspec"},
    "cli": {*USED, "demo", "examples", "msgspec", "structlog", "typer", "rich", "httpx2"},
    "demo": {*USED, "cli", "msgspec", "structlog", "rich", "httpx2"},
    "roles": {*USED, "api", "explorer", "msgspec", "fastapi"},
}
"""Room -> what its modules may import besides themselves and the standard library."""

ALSO = {
    "worker_runtime.gpu": {"numpy", "mitsuba", "drjit"},
    "worker_runtime.gpu.stitch": {"PIL"},
    "worker_runtime.gpu.probe": {"pynvml"},
    "worker_runtime.checker": {"numpy"},
    "exports.parquet": {"pyarrow"},
    "api.app": {"starlette"},
    "api.forward": {"starlette"},
    "api.live": {"starlette"},
    "api.metrics": {"prometheus_client"},
    "api.graphql": {"strawberry", "graphql"},
    "api.sockets": {"socketio", "starlette"},
    "api.traffic": {"limits", "starlette"},
    "api.auth": {"coincurve"},
}
"""Sub-package or module -> what it and all below it may import on top of its room's allowance."""

CLIENTS = (
    {"psycopg", "psycopg_pool"},
    {"web3", "eth_account", "eth_abi", "eth_typing", "eth_utils", "hexbytes", "rlp", "coincurve", "Crypto"},
    {"vyper"},
    {"obstore"},
    {"httpx2"},
    {"uvicorn"},
    {"structlog"},
    {"confluent_kafka"},
    {"eventsourcing"},
    {"prometheus_client"},
)
"""Client libraries of the outside systems. A module of `adapters` uses those of one line at most."""

FLOORS = ({"work", "market", "treasury"}, {"proof"}, {"house"}, {"log"})
"""Inside `domain`, lowest first, above the words that lie in it directly: a floor imports its own and those below it."""

FILES = sorted(file for room in ROOMS for file in (ROOT / room).rglob("*.py"))


def module_of(file: Path) -> str:
    """The dotted name of a file in the checkout."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(source: str) -> Iterator[str]:
    """The dotted names that a module imports; `from a import b` gives both `a` and, if it may be one, the module `a.b`."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                assert level == 0, "imports are absolute"
                assert module is not None
                yield module
                yield from (f"{module}.{name.name}" for name in names if (ROOT / module.replace(".", "/")).is_dir())


def findings(module: str, source: str) -> list[str]:
    """What `module` imports against the tables."""
    room, *rest = module.split(".")
    allowed = ROOMS[room] | {room} | sys.stdlib_module_names
    for prefix, more in ALSO.items():
        allowed |= more if f"{module}.".startswith(f"{prefix}.") else set()
    names = set(imports(source))
    tops = {name.split(".")[0] for name in names}
    found = tops - allowed
    if room == "adapters":
        families = [family for family in CLIENTS if family & tops]
        found = found - families[0] if families else found
    if room == "domain":
        found |= {name for name in names if name.startswith("domain.") and _floor(name.split(".")[1:]) > _floor(rest)}
    return sorted(found)


def _floor(rest: list[str]) -> int:
    """0 for the words, then the floors counted from 1."""
    return next((number for number, floor in enumerate(FLOORS, 1) if rest[:1] and rest[0] in floor), 0)


def test_every_module_imports_only_what_its_room_may() -> None:
    assert {module_of(file): found for file in FILES if (found := findings(module_of(file), file.read_text()))} == {}


def test_what_is_built_into_the_wheel_are_the_rooms() -> None:
    assert set(hatch_build.ROOMS) == set(ROOMS)


def test_no_two_modules_need_each_other_to_be_loaded() -> None:
    known = {module_of(file) for file in FILES}
    graph = {module_of(file): known.intersection(loaded(file.read_text())) - {module_of(file)} for file in FILES}

    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(known)


def loaded(source: str) -> Iterator[str]:
    """What a module imports as soon as it is imported itself: not inside functions, not for type checkers."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imports(ast.unparse(node))


def test_every_folder_with_python_is_a_room_or_holds_no_product_code() -> None:
    beside = {"tests", "examples", "benchmarks", "docs", "tools", "contracts", "migrations", "deploy"}
    folders = {folder.name for folder in ROOT.iterdir() if folder.name[0] != "." and any(folder.glob("**/*.py"))}

    assert folders - beside - {"build", "dist", "node_modules", "demo"} <= set(ROOMS)


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        ("domain.work.job", "import psycopg", ["psycopg"]),
        ("domain.work.job", "from adapters import objects", ["adapters"]),
        ("domain.work.job", "def f():\n    import gridledger", ["gridledger"]),
        ("domain.units", "from domain.work import job", ["domain.work", "domain.work.job"]),
        ("domain.proof.audit", "from domain.house import matching", ["domain.house", "domain.house.matching"]),
        ("domain.proof.audit", "from domain import log", ["domain.log"]),
        ("domain.log.ledger", "from domain.house import matching\nfrom domain import units", []),
        ("api.app", "from adapters.objects import Store", ["adapters"]),
        ("api.reads", "import typer", ["typer"]),
        ("api.auth.signatures", "import coincurve", []),
        ("explorer.site", "from api import app\nfrom adapters import objects", ["adapters", "api"]),
        ("api.authority", "import coincurve", ["coincurve"]),
        ("cli.app", "import gridledger", ["gridledger"]),
        ("demo.screen", "from api import app", ["api"]),
        ("adapters.client", "from cli import app", ["cli"]),
        ("adapters.objects", "import obstore.store", []),
        ("adapters.objects", "import obstore\nimport psycopg", ["obstore"]),
        ("worker_runtime.loop", "from api import app", ["api"]),
        ("auditor.verify", "from adapters import chain", ["adapters"]),
    ],
)
def test_a_forbidden_import_is_found(module: str, source: str, expected: list[str]) -> None:
    assert findings(module, source) == expected
