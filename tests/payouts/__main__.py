"""`python -m tests.payouts --count 1000 --seconds 300 --seed 7 --json`: a run with that seed; status 1 if anything was found wrong."""

import argparse
import asyncio
import logging
import sys
import tempfile
from pathlib import Path

import msgspec
import structlog

from tests.payouts.run import payouts


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.payouts", description=__doc__)
    parser.add_argument("--count", type=int, default=1_000, help="of payouts")
    parser.add_argument("--seconds", type=float, default=3_600.0, help="after which nothing new is asked for")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with tempfile.TemporaryDirectory() as folder:
        report = asyncio.run(payouts(Path(folder, "chain"), Path(folder, "contracts"), given.count, given.seconds, given.seed))
    if given.json:
        print(msgspec.json.encode(report).decode())
    else:
        print("\n".join(f"{name}: {value}" for name, value in msgspec.structs.asdict(report).items()))
    if report.findings:
        print(f"again: python -m tests.payouts --count {given.count} --seconds {given.seconds} --seed {given.seed}", file=sys.stderr)
    return bool(report.findings)


if __name__ == "__main__":
    sys.exit(main())
