"""Fixtures that more than one room needs, and how coroutine tests run.

Fixtures of one subject live in a plug-in beside this file: every `tests/fix_*.py` is loaded. Tests run in random order.
"""

import asyncio
import contextlib
import gc
import inspect
import os
import signal
import socket
from collections.abc import Generator, Iterator
from functools import cache
from itertools import count
from pathlib import Path

import httpcore2
import pytest
from hypothesis import settings

pytest_plugins = [f"tests.{file.stem}" for file in sorted(Path(__file__).parent.glob("fix_*.py"))]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job; its children would ignore it, too, and not end by it
    signal.signal(signal.SIGINT, signal.default_int_handler)

gc.set_threshold(100_000, 20, 50)  # as in a server: what was imported lives as long as the tests
httpcore2.default_ssl_context = cache(httpcore2.default_ssl_context)  # each client would read the system's certificates: 40 ms

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
COROUTINE_S_MAX = 100
_NAMES = (f"test_{os.getpid()}_{number}" for number in count())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with tests that may take long begin first, so that at the end no core waits for one of them. Else the order is by chance."""
    may_take_s = dict[Path, float]()
    for item in items:
        limit = item.get_closest_marker("timeout")
        may_take_s[item.path] = max(may_take_s.get(item.path, 0.0), limit.args[0] if limit else 0.0)
    items.sort(key=lambda item: -may_take_s[item.path])


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """An `async def` test runs in an event loop of its own, and fails rather than hangs."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    asyncio.run(asyncio.wait_for(pyfuncitem.obj(**arguments), COROUTINE_S_MAX))
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that was skipped has shown nothing: it counts as failed."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
    return report


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The libpq URI of a real PostgreSQL 18, started on first use. For a database of one's own ask for `database`."""
    from adapters import postgres_server

    data = tmp_path_factory.mktemp("postgres") / "data"
    with postgres_server.running(data, postgres_server.FORGETFUL, keep=False) as uri:
        yield uri


@pytest.fixture
def database(postgres: str) -> Iterator[str]:
    """The libpq URI of an empty database that is this test's alone."""
    import psycopg
    from psycopg import conninfo, sql

    name = next(_NAMES)
    with psycopg.connect(postgres, autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield conninfo.make_conninfo(postgres, dbname=name)
        server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def free_port() -> int:
    """A TCP port of the loopback address that nobody listened on a moment ago."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
