"""Runs new seeds until the time is over, or so many of them.

    python -m tests.simulator --seconds 60 [--seed 1] [--json]
    python -m tests.simulator --seeds 100

Prints what happened, as JSON or for people. Exit 1 if a judge found anything: then the seed, and the command that repeats it.
"""

import argparse
import json
import sys
import time
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.simulator.play import Result, play
from tests.simulator.script import Script, of_seed, read, shrunk, write


class Tally:
    """What many runs came to."""

    def __init__(self) -> None:
        self.began_s = time.process_time()
        self.seeds = self.steps = self.events = self.commands = self.messages = 0
        self.faults, self.settled = Counter[str](), Counter[str]()
        self.findings, self.traces = list[dict[str, Any]](), sha256()

    def add(self, seed: int, result: Result) -> None:
        self.seeds += 1
        self.steps += result.steps
        self.traces.update(result.trace.encode())
        self.events += result.events
        self.commands += result.commands
        self.messages += result.messages
        self.faults.update(result.fired)
        self.settled.update(result.settled)
        if result.finding:
            repeat = f"python -m tests.simulator --seeds 1 --seed {seed}"
            self.findings.append({"seed": seed, "finding": result.finding, "repeat": repeat})

    def summary(self) -> dict[str, Any]:
        cpu_s = max(time.process_time() - self.began_s, 1e-6)
        return {
            "seeds": self.seeds,
            "steps": self.steps,
            "trace": self.traces.hexdigest(),
            "steps_per_s": round(self.steps / cpu_s),
            "commands": self.commands,
            "messages": self.messages,
            "events": self.events,
            "faults": dict(sorted(self.faults.items())),
            "settled": dict(sorted(self.settled.items())),
            "findings": self.findings,
        }


def smaller(script: Script) -> Script:
    """A script that makes the same judge find something, and as little else as possible."""
    judge = play(script).finding.partition(":")[0]
    return shrunk(script, lambda each: bool(judge) and play(each).finding.partition(":")[0] == judge)


def arguments() -> argparse.Namespace:
    asked = argparse.ArgumentParser(prog="python -m tests.simulator", description=__doc__)
    asked.add_argument("--seed", type=int, default=1, help="the first seed")
    asked.add_argument("--seeds", type=int, default=0, help="how many; 0: until the time is over")
    asked.add_argument("--seconds", type=float, default=60.0, help="of wall time, if --seeds is not given")
    asked.add_argument("--json", action="store_true", help="print one JSON object")
    asked.add_argument("--script", type=Path, help="run this file instead")
    asked.add_argument("--shrink", type=Path, help="make the first seed's script smaller, as long as it fails, and write it there")
    return asked.parse_args()


def main() -> int:
    asked, tally = arguments(), Tally()
    if asked.shrink:
        asked.shrink.write_bytes(write(smaller(of_seed(asked.seed))) + b"\n")
        return 0
    if asked.seconds <= 0 or asked.seeds < 0:
        sys.stderr.write("python -m tests.simulator: nothing is simulated in no time\n")
        return 2
    until_s = time.monotonic() + asked.seconds
    if asked.script:
        tally.add(0, play(read(asked.script.read_bytes())))
    else:
        seed = asked.seed
        while tally.seeds < asked.seeds or (not asked.seeds and time.monotonic() < until_s):
            tally.add(seed, play(of_seed(seed)))
            seed += 1
    summary = tally.summary()
    if asked.json:
        sys.stdout.write(json.dumps(summary) + "\n")
    else:
        sys.stdout.writelines(f"{name:<12} {value}\n" for name, value in summary.items())
    return int(bool(tally.findings))


if __name__ == "__main__":
    sys.exit(main())
