"""Rows that a few events by hand make, whole: what random lives meet seldom, and every time and status."""

from collections.abc import Iterable

from domain import accounts
from domain.accounts import USDC
from domain.event import Event, Recorded
from domain.ids import AccountId, Actor, AuditId, BatchId, BeaconId, CommandId, DepositId, JobId, PayoutId, TaskId, WorkerId
from domain.log import wire
from domain.log.merkle import Head
from domain.policy import DAY
from domain.proof import audit, bench, proof, ruling, verdict
from domain.treasury import account, batch, deposit, earnings, payout, stake
from domain.units import ZERO, Units
from domain.work import job, task, terms
from projections.explorer.accounts import Account, AccountKey, Accounts, Role, Stake
from projections.explorer.audits import Audits, Round
from projections.explorer.jobs import Job, Jobs
from projections.explorer.market import SLOT_US, Market, Sold
from projections.explorer.payouts import Batch, Deposit, Deposits, Payout, Payouts
from projections.explorer.tasks import Attempt, Task, Tasks
from projections.explorer.workers import Worker, Workers
from projections.finance.balances import BalanceDay, Balances
from projections.memory import MemoryViews
from projections.row import Batch as Changes
from projections.row import Projection, Row
from projections.views import Move
from tests.network import CLASS, LOG

OWNER, OTHER = AccountId(Actor("account-1")), AccountId(Actor("account-2"))
WORKER, JOB, TASK, AUDIT = WorkerId(Actor("worker-3")), JobId("job-4"), TaskId("job-4/2"), AuditId("audit-5")
BEACON = BeaconId("beacon-6")


async def rows(projection: Projection, kind: type[Row], *events: Event, apart_us: int = 1_000) -> list[dict[str, object]]:
    """What is not empty of the rows, after these events at positions 1, 2, … and times 1,000, 2,000, …"""
    views, changes, start = MemoryViews(projection), Changes(), Head(LOG)
    for n, event in enumerate(events, 1):
        recorded = Recorded(n, event.stream, n, n * apart_us, CommandId("c"), (1, 1), OWNER, event, event.entry())
        for change in projection.fold(wire.event(wire.encode(recorded))):
            changes.add(change)
    await views.write(Move(projection, changes, start, start.extend([b""] * len(events))))
    found = (await views.page(kind)).rows
    return [{name: getattr(row, name) for name in kind.__struct_fields__ if getattr(row, name)} for row in found]


def without_nothing(**columns: object) -> dict[str, object]:
    return {name: value for name, value in columns.items() if value}


PAYOUT, FAILED = PayoutId("payout-1"), PayoutId("payout-2")
PAID = (batch.Item(PAYOUT, OWNER, accounts.payable(USDC, OWNER), Units(70)),)
LOST = (batch.Item(FAILED, OTHER, accounts.payable(USDC, OTHER), Units(30)),)
BATCH = BatchId("batch-4")
LIFE_OF_A_PAYOUT: tuple[Event, ...] = (
    payout.Requested(PAYOUT, OWNER, USDC, Units(70), "worker", "0xaa", 1, "0x"),
    payout.Requested(FAILED, OTHER, USDC, Units(30), "checker", "0xbb", 1, "0x"),
    payout.Approved(PAYOUT, OWNER, USDC, Units(70), OTHER, "requested"),
    payout.Approved(PAYOUT, OWNER, USDC, Units(70), AccountId(Actor("account-9")), "approved"),
    batch.Signed(BATCH, USDC, (PAYOUT, FAILED), 7, "0x01", "0xt1"),
    batch.Signed(BATCH, USDC, (PAYOUT, FAILED), 7, "0x02", "0xt2"),
    batch.Mined(BATCH, USDC, "0xt2", 50, PAID, LOST),
    batch.Unmined(BATCH, USDC, "0xt2", 50, PAID, LOST),
    batch.Mined(BATCH, USDC, "0xt1", 51, PAID, LOST),
    batch.Finalised(BATCH, USDC, "0xt1", 51, PAID, LOST, Units(5)),
)
REQUESTED = {
    "payout": PAYOUT,
    "account": OWNER,
    "asset": USDC,
    "kind": "worker",
    "to": "0xaa",
    "amount": 70,
    "number": 1,
    "requested_us": 1_000,
}


async def test_a_payout_from_request_to_finality() -> None:
    expected: Iterable[dict[str, object]] = (
        {"position": 1, "status": "requested"},
        {"position": 1, "status": "requested"},
        {"position": 3, "status": "requested", "approvals": 1, "approved_us": 3_000},
        {"position": 4, "status": "approved", "approvals": 2, "approved_us": 4_000},
        {"position": 5, "status": "signed", "batch": BATCH, "signed_us": 5_000, "tx_hash": "0xt1"},
        {"position": 6, "tx_hash": "0xt2"},
        {"position": 7, "status": "mined", "outcome": "paid", "block": 50, "mined_us": 7_000},
        {"position": 8, "status": "signed", "outcome": "", "block": 0, "mined_us": 0},
        {"position": 9, "status": "mined", "outcome": "paid", "block": 51, "mined_us": 9_000, "tx_hash": "0xt1"},
        {"position": 10, "status": "final", "final_us": 10_000},
    )
    row = dict[str, object](REQUESTED)
    for n, change in enumerate(expected, 1):
        row |= change
        assert (await rows(Payouts(), Payout, *LIFE_OF_A_PAYOUT[:n]))[0] == without_nothing(**row)


async def test_a_payout_that_failed_in_its_batch_and_one_that_was_taken_back() -> None:
    gone = payout.Cancelled(PAYOUT, OWNER, USDC, Units(70), accounts.payable(USDC, OWNER))
    failed = (await rows(Payouts(), Payout, *LIFE_OF_A_PAYOUT))[1]

    assert (failed["status"], failed["outcome"], failed["final_us"]) == ("final", "failed", 10_000)
    assert await rows(Payouts(), Payout, LIFE_OF_A_PAYOUT[0], gone) == [
        REQUESTED | {"position": 2, "status": "cancelled", "cancelled_us": 2_000}
    ]


async def test_a_batch_from_signature_to_finality() -> None:
    expected: Iterable[dict[str, object]] = (
        {"position": 5, "status": "signed", "signatures": 1, "tx_hash": "0xt1", "signed_us": 5_000},
        {"position": 6, "signatures": 2, "tx_hash": "0xt2"},
        {"position": 7, "status": "mined", "block": 50, "mined_us": 7_000},
        {"position": 8, "status": "signed", "block": 0, "mined_us": 0},
        {"position": 9, "status": "mined", "block": 51, "mined_us": 9_000, "tx_hash": "0xt1"},
        {"position": 10, "status": "final", "final_us": 10_000, "paid": 1, "failed": 1, "amount": 70, "gas": 5},
    )
    row: dict[str, object] = {"batch": BATCH, "asset": USDC, "nonce": 7, "payouts": 2}
    for n, change in enumerate(expected, 5):
        row |= change
        assert await rows(Payouts(), Batch, *LIFE_OF_A_PAYOUT[:n]) == [without_nothing(**row)]


async def test_deposits_become_final_or_are_orphaned() -> None:
    facts = DepositId("deposit-1"), OWNER, USDC, "0xt", 3, 9, Units(50)
    row = {"deposit": "deposit-1", "account": OWNER, "asset": USDC, "tx": "0xt", "log_index": 3, "block": 9, "amount": 50, "seen_us": 1_000}
    seen = deposit.Seen(*facts)

    assert await rows(Deposits(), Deposit, seen) == [row | {"position": 1, "status": "seen"}]
    assert await rows(Deposits(), Deposit, seen, deposit.Finalised(*facts, True)) == [
        row | {"position": 2, "status": "final", "final_us": 2_000, "credited": True}
    ]
    assert await rows(Deposits(), Deposit, seen, deposit.Finalised(*facts, False)) == [
        row | {"position": 2, "status": "final", "final_us": 2_000}
    ]
    assert await rows(Deposits(), Deposit, seen, deposit.Orphaned(*facts)) == [
        row | {"position": 2, "status": "orphaned", "orphaned_us": 2_000}
    ]


async def test_roles_keys_and_payout_addresses_come_and_go() -> None:
    api = account.KeyLine("ab", "api", "api", ("account", "agent"), 77)
    signing = account.KeyLine("0xcd", "eip712", "owner")
    events = (
        account.Opened(OWNER, "person", ("creator", "provider"), "ff", (api,)),
        account.Changed(OWNER, ("checker",), ("provider",), (signing,), ("ab",), "0xee", 5_000),
        account.Changed(OWNER, ("admin",), (), approver=OTHER, approval="0x"),
    )

    assert await rows(Accounts(), Account, *events) == [
        {
            "account": OWNER,
            "position": 3,
            "kind": "person",
            "identity_commitment": "ff",
            "opened_us": 1_000,
            "payout_address": "0xee",
            "usable_us": 5_000,
        }
    ]
    assert await rows(Accounts(), Role, *events) == [
        {"account": OWNER, "role": "admin", "position": 3, "held": True, "since_us": 3_000, "approver": OTHER},
        {"account": OWNER, "role": "checker", "position": 2, "held": True, "since_us": 2_000},
        {"account": OWNER, "role": "creator", "position": 1, "held": True, "since_us": 1_000},
        {"account": OWNER, "role": "provider", "position": 2, "since_us": 2_000},
    ]
    key = {
        "key": "ab",
        "account": OWNER,
        "alg": "api",
        "purpose": "api",
        "scopes": ("account", "agent"),
        "expires_us": 77,
        "added_us": 1_000,
    }
    assert await rows(Accounts(), AccountKey, *events) == [
        {"key": "0xcd", "position": 2, "account": OWNER, "alg": "eip712", "purpose": "owner", "held": True, "added_us": 2_000},
        key | {"position": 2, "added_us": 1_000, "removed_us": 2_000},
    ]


async def test_a_stake_is_locked_asked_back_slashed_and_released() -> None:
    slashed = stake.Slashed(OWNER, WORKER, USDC, AUDIT, TASK, Units(9), 1_000_000, Units(9), ZERO, (), ZERO)
    events = (
        stake.Locked(OWNER, USDC, Units(100), "available", 1, "0x"),
        stake.Unlocking(OWNER, USDC, Units(40), 9_000, 2, "0x"),
        slashed,
        stake.Released(OWNER, USDC, Units(40)),
    )
    row = {"account": OWNER, "asset": USDC, "locked": 100}

    assert await rows(Accounts(), Stake, *events[:2]) == [row | {"position": 2, "amount": 100, "unlocking": 40, "available_us": 9_000}]
    assert await rows(Accounts(), Stake, *events[:3]) == [
        row | {"position": 3, "amount": 91, "unlocking": 40, "available_us": 9_000, "slashed": 9}
    ]
    assert await rows(Accounts(), Stake, *events) == [row | {"position": 4, "amount": 51, "slashed": 9, "released": 40}]


LEASED = task.Leased(TASK, JOB, USDC, 1, WORKER, OWNER, CLASS, Units(768), 6_400, 99_000, 3, Units(800))
PROVED = proof.Committed(TASK, JOB, 1, WORKER, OWNER, CLASS, False, ("aa",), 8, "bb", 123, "build", "device", "0x")
SHARES = ruling.Shares(Units(668), Units(77), Units(23))
WAIVED = ruling.Accepted(TASK, JOB, USDC, 1, WORKER, OWNER, CLASS, Units(768), "waived", AuditId(""), BEACON, 100_000, "17", SHARES, 50_000)
MATURED = earnings.Matured(USDC, (earnings.MaturedLine(TASK, OWNER, Units(668), Units(77), Units(23), WORKER, 1, "matured"),))
OPENED = job.Opened(JOB, OTHER, USDC, Units(1_600), (terms.Run((1, 2), 6_400),), 2)


async def test_a_task_that_the_lottery_waived() -> None:
    row = {"task": TASK, "job": JOB, "number": 2, "group": 1, "wu_milli": 6_400}
    lease = {
        "fence": 1,
        "worker": WORKER,
        "owner": OWNER,
        "cls": CLASS,
        "price": 768,
        "leased_us": 2_000,
        "expires_us": 99_000,
        "attempts": 1,
    }
    proved = {"committed_us": 3_000, "proof_position": 3}
    accepted = {"accepted_us": 4_000, "matures_us": 50_000}
    events = (OPENED, LEASED, PROVED, WAIVED, MATURED)

    assert (await rows(Tasks(), Task, *events[:1]))[1] == row | {"position": 1, "status": "ready"}
    assert (await rows(Tasks(), Task, *events[:2]))[1] == row | lease | {"position": 2, "status": "leased"}
    assert (await rows(Tasks(), Task, *events[:3]))[1] == row | lease | proved | {"position": 3, "status": "committed"}
    assert (await rows(Tasks(), Task, *events[:4]))[1] == row | lease | proved | accepted | {"position": 4, "status": "accepted"}
    assert (await rows(Tasks(), Task, *events))[1] == row | lease | proved | accepted | {
        "position": 5,
        "status": "matured",
        "matured_us": 5_000,
    }


async def test_an_attempt_that_the_lottery_waived() -> None:
    assert await rows(Tasks(), Attempt, OPENED, LEASED, PROVED, WAIVED, MATURED) == [
        {
            "task": TASK,
            "fence": 1,
            "position": 5,
            "leased_position": 2,
            "leased_us": 2_000,
            "job": JOB,
            "worker": WORKER,
            "owner": OWNER,
            "cls": CLASS,
            "asset": USDC,
            "price": 768,
            "wu_milli": 6_400,
            "candidates": 3,
            "runner_up_price": 800,
            "expires_us": 99_000,
            "status": "matured",
            "ended_us": 4_000,
            "committed_us": 3_000,
            "proof_position": 3,
            "seconds_us": 123,
            "raw_bytes": 8,
            "build": "build",
            "device": "device",
            "log_sha256": "bb",
            "basis": "waived",
            "beacon": BEACON,
            "p_ppm": 100_000,
            "u": "17",
            "earned": 668,
            "matured": 668,
            "matured_us": 5_000,
        }
    ]


async def test_a_job_with_a_waived_task_and_one_that_is_cancelled() -> None:
    closed = job.Closed(JOB, OTHER, USDC, "cancelled", "creator", terms.Counts(1, 0, 1), Units(832), 1, True)
    events = (OPENED, LEASED, PROVED, WAIVED, closed, MATURED, job.Archived(JOB))
    row = {"job": JOB, "opened_us": 1_000, "hold": 1_600, "tasks": 2, "attempts": 1, "first_leased_us": 2_000}
    accepted = {"accepted": 1, "spent": 768, "last_accepted_us": 4_000}
    ended = {"cancelled": 1, "outcome": "cancelled", "reason": "creator", "refund": 832, "closed_us": 5_000}
    open_ = {"status": "open", "ready": 1}

    assert await rows(Jobs(), Job, *events[:2]) == [row | open_ | {"position": 2, "leased": 1, "locked": 768}]
    assert await rows(Jobs(), Job, *events[:3]) == [row | open_ | {"position": 3, "committed": 1, "locked": 768}]
    assert await rows(Jobs(), Job, *events[:4]) == [row | open_ | accepted | {"position": 4}]
    assert await rows(Jobs(), Job, *events[:5]) == [row | accepted | ended | {"position": 5, "status": "closed"}]
    assert await rows(Jobs(), Job, *events) == [
        row | accepted | ended | {"position": 7, "status": "archived", "matured": 1, "archived_us": 7_000}
    ]


async def test_a_task_that_was_cancelled_for_a_fee_stays_so_when_the_fee_matures() -> None:
    ended = task.Ended(TASK, JOB, USDC, 1, WORKER, OWNER, CLASS, Units(768), "cancelled", "job_cancelled", Units(76), "", "cancelled")
    line = earnings.MaturedLine(TASK, OWNER, Units(76), ZERO, ZERO, WORKER, 1, "cancelled")
    matured = earnings.Matured(USDC, (line,))
    (attempt,) = await rows(Tasks(), Attempt, LEASED, ended, matured)
    (row,) = await rows(Jobs(), Job, LEASED, ended, matured)
    (worker,) = await rows(Workers(), Worker, LEASED, ended, matured)

    assert (await rows(Tasks(), Task, LEASED, ended, matured))[0]["status"] == "cancelled"
    assert (attempt["status"], attempt["earned"], attempt["matured"], attempt["matured_us"]) == ("cancelled", 76, 76, 3_000)
    assert (worker["earned"], worker["matured"], worker["cancelled"], "leases" in worker) == (76, 76, 1, False)
    assert (row["spent"], row["cancelled"], "matured" in row, "locked" in row) == (76, 1, False, False)


async def test_a_bench_that_is_scored_or_found_wrong() -> None:
    id = TaskId("bench-1")
    opened = bench.Opened(id, WORKER, OWNER, CLASS, BEACON, 1, 42, 1_500, 4, 20_000)
    scored = bench.Scored(WORKER, CLASS, id, 900, 1_600)
    wrong = audit.Closed(AUDIT, id, JobId(""), WORKER, CLASS, "bench", "invalid", 0, 2, 0, ())
    (good,), (bad,) = await rows(Tasks(), Attempt, opened, scored), await rows(Tasks(), Attempt, opened, wrong)
    (of_good,), (of_bad,) = await rows(Tasks(), Task, opened, scored), await rows(Tasks(), Task, opened, wrong)

    assert (good["status"], good["score"], good["ended_us"]) == ("scored", 1_600, 2_000)
    assert (bad["status"], bad["code"], bad["ended_us"]) == ("failed", "invalid", 2_000)
    assert (of_good["status"], of_bad["status"], of_good["seed"], of_bad["rejected"]) == ("scored", "failed", 42, 1)


async def test_a_second_look_is_kept_with_its_round() -> None:
    about = AUDIT, TASK, 1, WORKER
    first, second = WorkerId(Actor("worker-7")), WorkerId(Actor("worker-8"))
    opened = audit.Opened(*about, 1, BEACON, (0,), (first,), 9_000, 1, 1, JOB, OWNER, CLASS, "lottery", 3, 100_000, "17")
    sealed = verdict.Committed(AUDIT, TASK, first, OWNER, 1, "ab", "0x")
    look = audit.SecondLook(*about, 1, BeaconId("beacon-9"), (0,), (second,), 12_000, 200_000, "5")

    assert await rows(Audits(), Round, opened, sealed, look) == [
        {
            "audit": AUDIT,
            "round": 1,
            "position": 3,
            "regions": (0,),
            "checkers": (first,),
            "opened_us": 1_000,
            "due_us": 12_000,
            "looked_us": 3_000,
            "second": (second,),
            "beacon": "beacon-9",
            "p_ppm": 200_000,
            "u": "5",
        }
    ]


async def test_each_day_has_its_own_sums() -> None:
    facts = DepositId("deposit-1"), OWNER, USDC, "0xt", 3, 9, Units(50)
    days = await rows(Balances(), BalanceDay, deposit.Seen(*facts), deposit.Finalised(*facts, True), apart_us=DAY)
    inbound = [(row["day"], row["amount"]) for row in days if row["account"] == accounts.inbound(USDC)]

    assert inbound == [(1, 50), (2, -50)]


async def test_what_is_sold_is_kept_by_the_quarter_of_the_hour() -> None:
    found = await rows(Market(), Sold, LEASED, LEASED, apart_us=SLOT_US)

    assert [(row["slot"], row["price_per_kwu"], row["wu_milli"], row["leases"], row["amount"]) for row in found] == [
        (1, 120_000, 6_400, 1, 768),
        (2, 120_000, 6_400, 1, 768),
    ]
