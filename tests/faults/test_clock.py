"""A wall clock that jumps by 400 days, and steps as NTP makes them, under a running server: no deadline moves. Debian's libfaketime reads
the offset anew each time; it leaves CLOCK_MONOTONIC alone, as a kernel does (without that option waits never end)."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from adapters import process
from domain.log import wire
from tests.faults.crowd import Crowd
from tests.faults.history import History, replayed
from tests.faults.site import Site

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
STEPS = ("+400d", "-400d", "-0.5", "+30", "+0")
OFF_S_MAX = 15.0
"""Between ledger time and true time: less than the smallest of the large steps."""
ORDINARY = {"account.opened.v1", "account.changed.v1", "worker.registered.v1", "ledger.leader_elected.v1"}


@pytest.fixture
def offset(tmp_path: Path) -> Path:
    """The file that says by how much the clock is wrong."""
    file = tmp_path / "offset"
    file.write_text("+0\n")
    return file


def wrong(offset: Path) -> Mapping[str, str]:
    assert LIBRARY, "install Debian's libfaketime: tools/setup test"
    asked = {"FAKETIME_TIMESTAMP_FILE": str(offset), "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    return {**os.environ, **asked, "LD_PRELOAD": str(LIBRARY)}


def test_the_library_moves_the_wall_clock_of_a_running_process_and_no_other(offset: Path) -> None:
    program = "import sys, time\nfor _ in sys.stdin: print(time.time(), time.monotonic(), flush=True)"
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=wrong(offset)) as told:
        assert told.stdin
        assert told.stdout
        seen = []
        for step in ("+0", "+400d"):
            offset.write_text(f"{step}\n")
            told.stdin.write("\n")
            told.stdin.flush()
            seen.append([float(word) for word in told.stdout.readline().split()])

    assert seen[1][0] - seen[0][0] == pytest.approx(400 * 86_400, abs=5)
    assert seen[1][1] - seen[0][1] < 5


async def test_no_step_of_the_wall_clock_moves_ledger_time_or_a_deadline(site: Site, database: str, offset: Path) -> None:
    history, off_s = History(), list[float]()
    server = site.start(environment=wrong(offset))
    try:
        await asyncio.to_thread(site.ready, server)
        async with Crowd(site.url, history) as crowd:
            for step in STEPS:
                offset.write_text(f"{step}\n")
                people = crowd.people + 2
                await crowd.live(lambda: crowd.people < people)  # noqa: B023 - it has ended when the number changes
                await asyncio.sleep(0.6)
                last = replayed(site.log, await site.records(database))[0]
                off_s.append(time.time() - last.at_us / 1e6)
        assert await site.findings(history, database) == []
        server.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(server.wait, 30) == 0
    finally:
        await asyncio.to_thread(process.stop, server, signal.SIGKILL)

    lines = replayed(site.log, await site.records(database))[1]
    kinds = {wire.event(line).event.__struct_config__.tag for line in lines[12:]}
    assert all(abs(each) < OFF_S_MAX for each in off_s), off_s
    assert kinds <= ORDINARY, "nothing was due"
    assert history.counts["unknown at least once"] == 0


@pytest.mark.parametrize("step", ["-400d", "+30"])
def test_a_server_with_a_wrong_clock_does_not_lead_and_says_so_in_one_line(site: Site, offset: Path, step: str) -> None:
    offset.write_text(f"{step}\n")
    server = site.start(environment=wrong(offset))

    assert server.wait(30) == 4
    said = [line for line in site.log_text.splitlines() if not line.startswith("{")]
    assert len(said) == 1, said
    assert "clock" in said[0]
