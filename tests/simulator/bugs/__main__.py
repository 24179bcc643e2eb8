"""Plants one bug after the other, and prints as Markdown what was planted, which judge found it, after how many steps and in which time.

    python -m tests.simulator.bugs

Exit 1 if one was not found in time.
"""

import sys

from tests.simulator.bugs.catalog import BUGS
from tests.simulator.bugs.planted import CPU_S_MAX, Caught, hunt


def table(caught: list[Caught]) -> str:
    rows = ["| planted bug | what is planted | found by | after steps | CPU s | seed |", "|---|---|---|--:|--:|--:|"]
    for each in caught:
        bug = each.bug
        rows.append(f"| {bug.name} | {bug.planted} | {each.judge or 'nobody'} | {each.result.steps:,} | {each.cpu_s:.1f} | {bug.seed} |")
    return "\n".join(rows)


def main() -> int:
    caught = [hunt(bug) for bug in BUGS]
    sys.stdout.write(table(caught) + "\n")
    return int(any(not each.judge or each.cpu_s > CPU_S_MAX for each in caught))


if __name__ == "__main__":
    sys.exit(main())
