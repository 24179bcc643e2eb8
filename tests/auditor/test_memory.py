"""An audit takes as much memory for a long log as for a short one: what it remembers is what is still open."""

import json
import os
import subprocess
import sys
from bisect import bisect_left
from pathlib import Path
from typing import Any

import pytest

from auditor import bundle as bundles
from domain.log.block import read_header
from domain.treasury import anchor
from tests import network
from tests.network import Network, block_hash

pytestmark = pytest.mark.system

SHORT, LONG = 6_000, 24_000
MORE_MAX = 1.05
"""Of the peak of a process, for four times the events. It is some 65 MB, most of it the interpreter's, so two hundred bytes for each
event would be more."""

MEASURE = """
import json, resource, sys
from pathlib import Path
from auditor import ranges, reading
from auditor.verify import verify

if sys.argv[2] == "remembering":
    kept, blocks = [], reading.Reader.blocks
    def remembering(reader):
        for taken in blocks(reader):
            kept.append(taken)
            yield taken
    reading.Reader.blocks = remembering
ranges.SMALL_BYTES, ranges.RANGE_EVENTS = 1 << 20, 2_500
report = verify(Path(sys.argv[1]), jobs=int(sys.argv[3]))
[own] = [int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM:")]
workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps({"size": report.size, "found": report.found, "peaks": [own, workers]}))
"""


def long_life() -> Network:
    """The same life again and again: deposits, jobs, proofs, audits, payouts, beacons, anchors; everything ends and is archived."""
    it, creator, workers = network.populated()
    while it.ledger.head.size < LONG:
        del it.events[:-10_000]
        it.deposit(creator, 20_000_000)
        for id in workers.values():
            if not it.world.workers[id].quarantined_us:
                it.online(id, f"{it._n:08x}")
        job = it.submit(creator, 6)
        it.open(job)
        while job in it.world.jobs and it.world.jobs[job].status == "open":
            network.work(it, workers)
        it.wait(2 * it.policy.maturity_us)
        it.wait(2 * it.policy.epoch_us)
        network.pay_all(it)
        head = it.ledger.head
        it.do(it.daemon("anchorer"), anchor.Anchor(size=head.size, root=head.root, tx=block_hash(head.size), block=it.world.final_block))
        it.wait(2 * it.policy.archive_us)
    return it


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The long life, and the beginning of it."""
    it, folder = long_life(), tmp_path_factory.mktemp("lives")
    sizes = [header.next_size for record in it.records if (header := read_header(record))]
    cut = bisect_left(sizes, SHORT) + 1
    for name, records in (("short", it.records[:cut]), ("long", it.records)):
        bundles.write(folder / name, records, it.objects)
    return {name: folder / name for name in ("short", "long")}


def measured(path: Path, how: str = "plain", jobs: int = 1) -> dict[str, Any]:
    """Verified by a process of its own, with the peaks of what it and its children held, in KiB. (What `getrusage` says of a process
    itself begins with what its parent held when it made it.)"""
    command = [sys.executable, "-c", MEASURE, str(path), how, str(jobs)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.fixture(scope="module")
def alone(lives: dict[str, Path]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The short one and the long one, by one process."""
    return measured(lives["short"]), measured(lives["long"])


def test_a_log_of_four_times_the_length_takes_the_same_memory(alone: tuple[dict[str, Any], dict[str, Any]]) -> None:
    short, long = alone

    assert (short["found"], long["found"]) == (0, 0)
    assert long["size"] > 3.9 * short["size"]
    assert long["peaks"][0] <= MORE_MAX * short["peaks"][0]


def test_processes_take_the_same_memory_each(lives: dict[str, Path]) -> None:
    short, long = (measured(lives[name], jobs=2) for name in ("short", "long"))

    assert (short["found"], long["found"]) == (0, 0)
    assert [peak <= MORE_MAX * before for peak, before in zip(long["peaks"], short["peaks"], strict=True)] == [True, True]


def test_the_measure_sees_who_remembers_the_log(lives: dict[str, Path], alone: tuple[dict[str, Any], dict[str, Any]]) -> None:
    assert measured(lives["long"], "remembering")["peaks"][0] > 1.5 * alone[1]["peaks"][0]
