"""Plants one bug after the other (tests/chaos/planted.py), and prints as Markdown what was planted, which check found it and after how many
seconds, the birth of the rivals included: `python -m tests.chaos.bugs`, `--only NAME`, `--json`.

Exit 1 if one was not found in time by a check that is made for it.
"""

import argparse
import asyncio
import json
import logging
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from adapters.kafka import brokers, clients
from adapters.kafka.brokers import Cluster
from tests.chaos.__main__ import BROKERS
from tests.chaos.episode import Episode, Script
from tests.faults.site import ROOT
from tests.fix_kafka import TOOLS

CAUGHT_S_MAX = 120.0
ANSWER_S = 1.0
"""How long readers wait for a broker here, which is there."""
SIDE_BY_SIDE, HUNT_S_MAX = 3, 480.0
RACE, FLOOD, AWAY = ["nothing"] * 4, ["flood of stray records"], ["broker stopped for long"]
STRAYS = ["stray records"] * 4


class Bug(NamedTuple):
    planted: str
    checks: tuple[str, ...]
    """Any of them may find it; each is made for it."""
    faults: list[str]
    ending: str = ""
    rivals: int = 3


HUNTED: dict[str, Bug] = {
    "answered early": Bug("a block is in when it is sent", ("commands", "blocks", "rivals"), RACE),
    "unknown is lost": Bug("whatever error comes, the block is lost", ("blocks",), AWAY),
    "delivered is in": Bug("a block that Kafka took is in, whatever lies before it", ("commands", "blocks", "rivals"), RACE),
    "elsewhere is lost": Bug("a block that is not next to what was read is lost", ("blocks", "settling"), FLOOD),
    "folded beyond its own": Bug("what a rival built on a block makes it lost", ("blocks",), FLOOD),
    "void counts": Bug("the writer counts records that do not count", ("blocks", "settling", "readers", "rivals"), STRAYS),
    "committed only": Bug("readers may skip what was aborted", ("readers",), ["aborted transaction"]),
    "markers not stepped over": Bug("the end of the log is the last record's", ("readers", "settling"), []),
    "topic not watched": Bug("the topic's id and its offsets are not looked at", ("endings",), [], "made anew", rivals=1),
    "settings not watched": Bug("nobody looks at settings after the start", ("endings",), [], "given a retention", rivals=1),
    "leads without election": Bug("who has read the log to its end leads", ("leaders",), RACE),
    "sent again by another producer": Bug("after silence a new producer sends the block again", ("blocks",), AWAY),
}


class Caught(NamedTuple):
    name: str
    found: str
    """The first finding by a check that is made for it; empty: nobody found it."""
    seconds: float
    others: list[str]
    """What other checks found meanwhile."""


def hunt(cluster: Cluster, name: str) -> Caught:
    """Episodes until it is found, or the time is over."""
    bug, began_s, seconds, found, others = HUNTED[name], time.monotonic(), 0.0, list[str](), list[str]()
    while not found and seconds < CAUGHT_S_MAX:
        script = Script(bug.faults, bug.ending, bug.rivals, impatient=True, turn_s=0.1, gap_s=(0.0, 0.2), bug=name)
        topic = f"bug-{seconds:.0f}-{name.replace(' ', '-')}"
        findings = asyncio.run(Episode(cluster, topic, script, topic, Counter()).run())
        found = [each for each in findings if each.partition(":")[0] in bug.checks]
        others += [each for each in findings if each not in found]
        seconds = time.monotonic() - began_s
    return Caught(name, found[0] if found else "", seconds, others)


def hunt_here(names: list[str]) -> list[Caught]:
    """One after the other, on a broker of their own."""
    with (
        mock.patch.object(clients, "ANSWER_S", ANSWER_S),
        tempfile.TemporaryDirectory(prefix="gridledger-bugs-") as folder,
        brokers.running(Path(folder, "kafka"), TOOLS, 1, BROKERS) as cluster,
    ):
        return [hunt(cluster, name) for name in names]


def hunt_all() -> list[Caught]:
    """In processes side by side: most of the time they wait."""

    def some(names: list[str]) -> list[Caught]:
        only = [word for name in names for word in ("--only", name)]
        command = [sys.executable, "-m", "tests.chaos.bugs", "--json", *only]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=HUNT_S_MAX, check=False)
        if not done.stdout:
            raise RuntimeError(done.stderr[-3000:])
        return [Caught(**each) for each in json.loads(done.stdout.splitlines()[-1])]

    names = [*HUNTED]
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        found = [each for group in pool.map(some, [names[n::SIDE_BY_SIDE] for n in range(SIDE_BY_SIDE)]) for each in group]
    return sorted(found, key=lambda each: names.index(each.name))


def table(caught: list[Caught]) -> str:
    rows = [(each.name, HUNTED[each.name].planted, each.found.partition(":")[0] or "nobody", f"{each.seconds:.1f}") for each in caught]
    return "\n".join(
        ["| planted bug | what is planted | found by | after s |", "|---|---|---|--:|", *(f"| {' | '.join(row)} |" for row in rows)]
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.bugs", description=__doc__)
    parser.add_argument("--only", choices=HUNTED, action="append")
    parser.add_argument("--json", action="store_true")
    own = parser.parse_args()
    logging.disable()
    caught = hunt_here(own.only) if own.only else hunt_all()
    print(json.dumps([each._asdict() for each in caught]) if own.json else table(caught))
    return int(any(not each.found or each.seconds > CAUGHT_S_MAX for each in caught))


if __name__ == "__main__":
    sys.exit(main())
