"""Planted bugs: each is a small patch of the product that somebody could have written, and a judge has to find it.

    python -m tests.simulator.bugs

plants one after the other and prints, as Markdown, what was planted, which judge found it, after how many steps and in which time.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import msgspec

from tests.simulator import mistakes
from tests.simulator.mistakes import Patch
from tests.simulator.play import Result, play
from tests.simulator.script import Entry, Script, of_seed

CPU_S_MAX = 20.0


class Bug(NamedTuple):
    name: str
    planted: str
    patches: Callable[[], list[Patch]]
    judges: tuple[str, ...]
    """Any of them may find it; each is made for it."""
    seed: int
    """Of a script in which it matters."""
    also: str = ""
    """A fault that comes all the time, besides."""

    def script(self) -> Script:
        return with_fault(of_seed(self.seed), self.also) if self.also else of_seed(self.seed)


class Caught(NamedTuple):
    bug: Bug
    result: Result
    cpu_s: float

    @property
    def judge(self) -> str:
        """Who found it; empty: nobody, or a judge that only saw the wreckage."""
        found = self.result.finding.partition(":")[0]
        return found if found in self.bug.judges else ""


@contextmanager
def planted(bug: Bug) -> Iterator[None]:
    with ExitStack() as stack:
        for owner, name, value in bug.patches():
            stack.enter_context(replaced(owner, name, value))
        yield


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = owner.__dict__[name] if isinstance(owner, type) else getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def with_fault(script: Script, fault: str) -> Script:
    """The script with one more fault, every few seconds."""
    more = [Entry(1_000 * n, fault, n) for n in range(2, script.seconds, 3)]
    return msgspec.structs.replace(script, entries=tuple(sorted([*script.entries, *more], key=lambda each: each.at_ms)))


def hunt(bug: Bug) -> Caught:
    began_s = time.process_time()
    with planted(bug):
        result = play(bug.script())
    return Caught(bug, result, time.process_time() - began_s)


Row = tuple[Any, ...]
MONEY: list[Row] = [
    (
        "an unbalanced entry",
        "an accepted task's entry gives the fee one unit more",
        mistakes.unbalanced_entry,
        ("entries", "invariants"),
        2,
    ),
    ("rounding to the first", "what is left over of a price goes to the worker", mistakes.rounding_to_the_first, ("shares",), 2),
    ("escrow released twice", "an attempt that ended frees its price twice", mistakes.double_release, ("entries", "invariants"), 2),
    ("escrow kept", "a closed job gives back one unit less", mistakes.refund_short, ("escrow",), 2),
    ("price rounded down", "a price is rounded down instead of up", mistakes.price_rounded_down, ("lease",), 2),
    ("matured twice", "matured shares are posted twice", mistakes.matured_twice, ("entries", "invariants"), 2),
    ("matured early", "shares mature as soon as they are earned", mistakes.matured_early, ("early", "shares"), 2),
    ("pool paid twice", "who was paid from the pool may claim it again", mistakes.pool_paid_twice, ("pool",), 2),
    ("slashed by half", "a conviction takes half of the penalty", mistakes.slashed_by_half, ("stake",), 3),
    ("frozen money moves", "a freeze is written down and stops nothing", mistakes.frozen_moves, ("payout", "batch"), 2),
    ("a payout's number again", "a request does not use its number up", mistakes.number_reused, ("payout",), 2),
]
CHAIN: list[Row] = [
    ("credited before finality", "a deposit is credited when it is mined", mistakes.early_credit, ("deposit",), 2),
    ("reorg ignored", "a mined batch is final after some blocks, wherever it is", mistakes.reorg_ignored, ("batch",), 7, "reorg"),
    ("orphan kept", "a deposit that was reorganised away waits for ever", mistakes.orphan_kept, ("settled",), 7, "reorg"),
    ("a nonce again", "a new batch takes the last one's nonce", mistakes.nonce_again, ("batch",), 2),
    ("unsent bytes signed again", "what is sent is signed anew each time", mistakes.signed_again, ("chain",), 2),
    ("sent before it is logged", "a batch is sent before its bytes are in the log", mistakes.sent_first, ("chain",), 2),
    ("a bumped batch pays others", "a fee bump leaves a payout out", mistakes.bump_pays_others, ("batch",), 2),
    ("any block as beacon", "a beacon is the newest block", mistakes.newest_beacon, ("beacon",), 2),
]
LOG: list[Row] = [
    ("dedupe off", "no receipt is ever found", mistakes.no_dedupe, ("once",), 2),
    ("receipts forgotten", "receipts are kept for the last few commands only", mistakes.receipts_forgotten, ("once",), 2),
    ("refused early", "a refusal is answered before its block is in the log", mistakes.refused_early, ("answers",), 2),
    ("acknowledged early", "a command is answered before it is in the log", mistakes.answered_early, ("answers",), 2),
    ("a deposed leader goes on", "who lost a block reads on and leads without an election", mistakes.goes_on, ("leader",), 5),
    ("grace forgotten", "an election moves no deadline", mistakes.no_grace, ("early", "grace"), 3),
    ("a void swallowed", "a stale record counts", mistakes.void_counts, ("failure",), 4),
    ("snapshot of live memory", "a snapshot is what the leader has in memory", mistakes.live_snapshot, ("snapshot",), 12),
    ("set iteration", "claims on the pool stand in the order of a set", mistakes.set_order, ("replay",), 4),
    (
        "position before effect",
        "a view's position is written before its rows",
        mistakes.position_first,
        ("projections",),
        2,
        "crash server",
    ),
    ("the house skips its turn", "in a block with commands the house does nothing", mistakes.house_skips, ("invariants",), 2),
]
WORK: list[Row] = [
    ("fence ignored", "a proof counts whatever its fence", mistakes.no_fence, ("fence",), 2, "slow worker"),
    (
        "a late proof counts",
        "a lease is taken for five seconds longer than it says, and its proof counts",
        mistakes.late_counts,
        ("proof",),
        2,
    ),
    ("expiry early", "what is due within three seconds is due", mistakes.early_expiry, ("early",), 2),
    ("a stale timer", "a lease that ended keeps its timer", mistakes.stale_timer, ("invariants",), 2),
    ("lease released twice", "a lease that ended is not taken off the worker", mistakes.lease_kept, ("invariants", "lease"), 2),
    ("quarantine ignored", "a convicted worker gets new leases", mistakes.no_quarantine, ("lease",), 3),
    ("probation ignored", "a newcomer may have any number of tasks", mistakes.no_probation, ("lease", "invariants"), 2),
    ("ended twice", "the deadline of a closing job ends it once more", mistakes.ends_twice, ("failure",), 2),
    ("one's own job", "a creator's own worker may do his job", mistakes.own_job, ("lease",), 2),
]
PROOF: list[Row] = [
    ("draw not from the beacon", "the lottery's number depends on the proof alone", mistakes.no_beacon, ("lottery",), 2),
    ("always the first region", "what is checked is not drawn", mistakes.first_region, ("lottery",), 2),
    ("a checker also owner", "who owns the worker may check it", mistakes.own_checker, ("checkers",), 2),
    ("revealed before all sealed", "a verdict is opened while others still seal", mistakes.early_reveal, ("verdict",), 3),
    ("convicted on one word", "one invalid verdict convicts", mistakes.one_word, ("verdict",), 3),
]
BUGS = [Bug(*row) for row in (*MONEY, *CHAIN, *LOG, *WORK, *PROOF)]


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
