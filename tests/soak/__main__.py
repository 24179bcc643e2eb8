"""`python -m tests.soak --minutes 30`: kills, payouts under reorganisations, the demo under chaos, and simulated seeds, until the time is
over. Prints what it did, and exits with 1 if anything was found wrong, with the command that shows it again."""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.faults.site import ROOT

ROUND_S = 180.0
WRITERS, DATABASES, PAYOUTS = 100, 10, 200
"""Per round; so 30 minutes have 1,000 and 100 kills, and 2,000 payouts."""
CHAOS_EVERY = 3
LONGER_S_MAX = 300.0
"""A part that takes so much longer than it was given hangs."""


class Part(NamedTuple):
    """A program that is given a seed and prints one line of JSON; its status is not 0 if it found something."""

    name: str
    module: str
    arguments: tuple[str, ...]
    seconds: float

    @property
    def command(self) -> list[str]:
        return ["python", "-m", self.module, *self.arguments]


def parts(number: int, seed: int, share: float, until: float) -> Iterator[Part]:
    """Of one round, which is to end at `until`. The simulator has what time is left."""

    def some(count: int) -> str:
        return str(max(1, round(count * share)))

    def left() -> float:
        return max(5.0, until - time.monotonic())

    kills = ("--writers", some(WRITERS), "--databases", some(DATABASES))
    yield Part("kills", "tests.soak.kills", (*kills, "--seed", str(seed), "--json"), left())
    yield Part("payouts", "tests.payouts", ("--count", some(PAYOUTS), "--seconds", "60", "--seed", str(seed), "--json"), left())
    if number % CHAOS_EVERY == CHAOS_EVERY - 1:
        with tempfile.TemporaryDirectory(prefix="gridledger-soak-") as out:
            small = ("--frames", "2", "--samples", "32", "--seed", str(seed), "--out", out)
            yield Part("demo", "gridledger", ("demo", "--chaos", "--json", *small), 180.0)
    seconds = left()
    yield Part("simulator", "tests.simulator", ("--seconds", f"{seconds:.0f}", "--seed", str(seed), "--json"), seconds)


def run(part: Part) -> tuple[int, dict[str, Any], str]:
    """Status, what it printed, and the end of its complaints. A part that hangs is ended with all of its own."""
    command = [sys.executable, *part.command[1:]]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        said, complaint = process.communicate(timeout=part.seconds + LONGER_S_MAX)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return 1, {}, f"it did not end within {part.seconds + LONGER_S_MAX:.0f} s"
    lines = said.strip().splitlines()
    return process.returncode, json.loads(lines[-1]) if lines else {}, complaint.strip()[-500:]


def count(counts: Counter[str], part: str, facts: dict[str, Any]) -> None:
    """Whatever it counted, by its name; kills by kind."""
    if part == "demo":
        counts["demos with chaos"] += 1
        for death in facts.get("chaos", {}).get("killed", ()):
            kind = "payer" if "payer" in death["what"] else death["who"] if death["who"] in {"server", "PostgreSQL"} else "agent"
            counts[f"{kind} kills"] += 1
        return
    for name, value in facts.items():
        if isinstance(value, int) and not isinstance(value, bool) and name != "seed" and not name.endswith("_per_s"):
            counts[{"kills": "payer kills"}.get(name, name) if part == "payouts" else name] += value


def soak(minutes: float, seed: int) -> dict[str, Any]:
    began, counts, findings = time.monotonic(), Counter[str](), list[dict[str, str]]()
    rounds = max(1, round(minutes * 60 / ROUND_S))
    for number in range(rounds):
        until = began + minutes * 60 * (number + 1) / rounds
        for part in parts(number, seed + number, minutes * 60 / rounds / ROUND_S, until):
            status, facts, complaint = run(part)
            count(counts, part.name, facts)
            counts["rounds"] = number + 1
            if status:
                what = json.dumps(facts.get("findings") or facts or complaint)[:2_000]
                findings.append({"part": part.name, "what": what, "again": " ".join(part.command)})
            told = "" if status == 0 else f"  FOUND: {findings[-1]['again']}"
            print(f"{time.monotonic() - began:7.0f} s  round {number + 1}/{rounds}  {part.name}{told}", file=sys.stderr, flush=True)
    facts = {"minutes": minutes, "seed": seed, "seconds": round(time.monotonic() - began), **counts}
    return {**facts, "findings": findings}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    given = parser.parse_args()
    if given.minutes <= 0:
        parser.error("--minutes is more than 0")
    facts = soak(given.minutes, given.seed)
    print("\n".join(f"{name:<32} {value:>12,}" for name, value in facts.items() if isinstance(value, (int, float))))
    for finding in facts["findings"]:
        print(f"FOUND by {finding['part']}: {finding['what']}\n  again: {finding['again']}")
    print(json.dumps(facts))
    return int(bool(facts["findings"]))


if __name__ == "__main__":
    sys.exit(main())
