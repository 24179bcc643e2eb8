"""`python -m tests.chaos --minutes 5 --seed 1 --brokers 3`: rival leaders on ledgers in real Kafka brokers, one episode after the other,
until the time is over; without `--brokers` half of it with one broker and half of it with three. Prints what was done, and exits with 1
if anything was found wrong, with the command that draws the same again."""

import argparse
import asyncio
import json
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from adapters.kafka import brokers
from adapters.kafka.brokers import Cluster
from tests.chaos import deeds, disks
from tests.chaos.episode import Episode, Script
from tests.fix_kafka import TOOLS

FAULTS = 14
"""In an episode."""
FINDINGS_MAX = 10
BROKER_SAYS = 2_000
"""Characters of a broker's last words that are shown when something was found."""
BROKERS: dict[str, object] = {
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": 500,
    "log.segment.delete.delay.ms": 1_000,
    "log.index.size.max.bytes": 65_536,
}


def drawn(seed: str, faults: int, ending: str = "") -> Script:
    draw = random.Random(seed)
    kinds, weights = [*deeds.DRAWN], [*deeds.DRAWN.values()]
    if faults >= len(kinds):  # each kind at least once
        some = kinds + draw.choices(kinds, weights, k=faults - len(kinds))
        draw.shuffle(some)
    else:
        some = draw.choices(kinds, weights, k=faults)
    return Script(some, ending or draw.choice([*deeds.ENDINGS]), draw.choice([2, 3]))


class Run(NamedTuple):
    """What is wanted of all episodes with so many brokers; there is at least one."""

    seed: int
    brokers: int
    seconds: float
    faults: int
    endings: Sequence[str]
    """In turn; none: drawn."""


def chaos(run: Run, counts: Counter[str]) -> list[dict[str, str]]:
    """Until the time is over, or something was found."""
    with tempfile.TemporaryDirectory(prefix="gridledger-chaos-") as folder:
        directory = Path(folder, "kafka")
        with disks.prepared(directory, run.brokers), brokers.running(directory, TOOLS, run.brokers, BROKERS, keep=True) as cluster:
            # In one loop: a broker ends with the thread that started it.
            findings = asyncio.run(episodes(run, cluster, counts))
            for number in cluster.numbers if findings else ():
                log = directory / f"broker-{number}" / "broker.log"
                print(f"broker {number}:\n{log.read_text(errors='replace')[-BROKER_SAYS:]}", file=sys.stderr)
    return findings


async def episodes(run: Run, cluster: Cluster, counts: Counter[str]) -> list[dict[str, str]]:
    until, findings, number = time.monotonic() + run.seconds, list[dict[str, str]](), 0
    while (number == 0 or time.monotonic() < until) and not findings:
        name, began_s = f"{run.seed}-{run.brokers}-{number}", time.monotonic()
        script = drawn(name, run.faults, run.endings[number % len(run.endings)] if run.endings else "")
        found = await Episode(cluster, f"chaos-{name}", script, name, counts).run()
        counts[f"episodes with {run.brokers} brokers"] += 1
        findings += [{"episode": name, "brokers": str(run.brokers), "what": each} for each in found[:FINDINGS_MAX]]
        said = f"  FOUND: {found[0]}" if found else ""
        print(f"{name:>16}  {time.monotonic() - began_s:5.1f} s  {script.ending}{said}", file=sys.stderr, flush=True)
        number += 1
    return findings


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--brokers", type=int, choices=(1, 3))
    parser.add_argument("--faults", type=int, default=FAULTS, help="in an episode")
    parser.add_argument("--endings", nargs="*", choices=deeds.ENDINGS, default=[], help="what is done to the topics at last, in turn")
    own = parser.parse_args()
    if own.minutes < 0:
        parser.error("--minutes is 0 (one episode) or more")
    logging.disable()
    kind, began_s, counts, findings = disks.set_apart(), time.monotonic(), Counter[str](), list[dict[str, str]]()
    numbers = [own.brokers] if own.brokers else [1, 3]
    for number in numbers:
        findings += chaos(Run(own.seed, number, own.minutes * 60 / len(numbers), own.faults, own.endings), counts)
    facts: dict[str, Any] = {
        "seed": own.seed,
        "seconds": round(time.monotonic() - began_s),
        "full disks are": kind,
        **sorted_counts(counts),
    }
    print("\n".join(f"{name:<36} {value:>12}" for name, value in facts.items()))
    for finding in findings:
        again = f"python -m tests.chaos --minutes {own.minutes} --seed {own.seed} --brokers {finding['brokers']}"
        print(f"FOUND in {finding['episode']}: {finding['what']}\n  again: {again}")
    print(json.dumps({**facts, "findings": findings}))
    return int(bool(findings))


def sorted_counts(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items()))


if __name__ == "__main__":
    sys.exit(main())
