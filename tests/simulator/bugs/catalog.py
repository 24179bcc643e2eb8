"""All planted bugs."""

from typing import Any

from tests.simulator.bugs import log, money, work
from tests.simulator.bugs.planted import Bug

Row = tuple[Any, ...]
MONEY: list[Row] = [
    (
        "an unbalanced entry",
        "an accepted task's entry gives the fee one unit more",
        money.unbalanced_entry,
        ("entries", "invariants"),
        2,
    ),
    ("rounding to the first", "what is left over of a price goes to the worker", money.rounding_to_the_first, ("shares",), 2),
    ("escrow released twice", "an attempt that ended frees its price twice", money.double_release, ("entries", "invariants"), 2),
    ("escrow kept", "a closed job gives back one unit less", money.refund_short, ("escrow",), 2),
    ("price rounded down", "a price is rounded down instead of up", money.price_rounded_down, ("lease",), 2),
    ("matured twice", "matured shares are posted twice", money.matured_twice, ("entries", "invariants"), 2),
    ("matured early", "shares mature as soon as they are earned", money.matured_early, ("early", "shares"), 2),
    ("pool paid twice", "who was paid from the pool may claim it again", money.pool_paid_twice, ("pool",), 2),
    ("slashed by half", "a conviction takes half of the penalty", money.slashed_by_half, ("stake",), 3),
    ("frozen money moves", "a freeze is written down and stops nothing", money.frozen_moves, ("payout", "batch"), 2),
    ("a payout's number again", "a request does not use its number up", money.number_reused, ("payout",), 2),
]
CHAIN: list[Row] = [
    ("credited before finality", "a deposit is credited when it is mined", money.early_credit, ("deposit",), 2),
    ("reorg ignored", "a mined batch is final after some blocks, wherever it is", money.reorg_ignored, ("batch",), 2, "reorg"),
    ("orphan kept", "a deposit that was reorganised away waits for ever", money.orphan_kept, ("settled",), 7, "reorg"),
    ("a nonce again", "a new batch takes the last one's nonce", money.nonce_again, ("batch",), 2),
    ("unsent bytes signed again", "what is sent is signed anew each time", money.signed_again, ("chain",), 2),
    ("sent before it is logged", "a batch is sent before its bytes are in the log", money.sent_first, ("chain",), 2),
    ("a bumped batch pays others", "a fee bump leaves a payout out", money.bump_pays_others, ("batch",), 2),
    ("any block as beacon", "a beacon is the newest block", money.newest_beacon, ("beacon",), 2),
]
LOG: list[Row] = [
    ("dedupe off", "no receipt is ever found", log.no_dedupe, ("once",), 2),
    ("receipts forgotten", "receipts are kept for the last few commands only", log.receipts_forgotten, ("once",), 2),
    ("refused early", "a refusal is answered before its block is in the log", log.refused_early, ("answers",), 2),
    ("acknowledged early", "a command is answered before it is in the log", log.answered_early, ("answers",), 2),
    ("a deposed leader goes on", "who lost a block reads on and leads without an election", log.goes_on, ("leader",), 6, "pause server"),
    ("grace forgotten", "an election moves no deadline", log.no_grace, ("early", "grace"), 3),
    ("a void swallowed", "a stale record counts", log.void_counts, ("failure",), 4),
    ("snapshot of live memory", "a snapshot is what the leader has in memory", log.live_snapshot, ("snapshot",), 23),
    ("set iteration", "claims on the pool stand in the order of a set", log.set_order, ("replay",), 4),
    (
        "position before effect",
        "a view's position is written before its rows",
        log.position_first,
        ("projections",),
        6,
        "crash server",
    ),
    ("the house skips its turn", "in a block with commands the house does nothing", log.house_skips, ("invariants",), 2),
]
WORK: list[Row] = [
    ("fence ignored", "a proof counts whatever its fence", work.no_fence, ("fence",), 2, "slow worker", 4),
    (
        "a late proof counts",
        "a lease is taken for five seconds longer than it says, and its proof counts",
        work.late_counts,
        ("proof",),
        2,
    ),
    ("expiry early", "what is due within three seconds is due", work.early_expiry, ("early",), 2),
    ("a stale timer", "a lease that ended keeps its timer", work.stale_timer, ("invariants",), 2),
    ("lease released twice", "a lease that ended is not taken off the worker", work.lease_kept, ("invariants", "lease"), 2),
    ("quarantine ignored", "a convicted worker gets new leases", work.no_quarantine, ("lease",), 5),
    ("probation ignored", "a newcomer may have any number of tasks", work.no_probation, ("lease", "invariants"), 2),
    ("ended twice", "the deadline of a closing job ends it once more", work.ends_twice, ("failure",), 2),
    ("one's own job", "a creator's own worker may do his job", work.own_job, ("lease",), 2),
]
PROOF: list[Row] = [
    ("draw not from the beacon", "the lottery's number depends on the proof alone", work.no_beacon, ("lottery",), 2),
    ("always the first region", "what is checked is not drawn", work.first_region, ("lottery",), 2),
    ("a checker also owner", "who owns the worker may check it", work.own_checker, ("checkers",), 2),
    ("revealed before all sealed", "a verdict is opened while others still seal", work.early_reveal, ("verdict",), 3),
    ("convicted on one word", "one invalid verdict convicts", work.one_word, ("verdict",), 3),
]
BUGS = [Bug(*row) for row in (*MONEY, *CHAIN, *LOG, *WORK, *PROOF)]
