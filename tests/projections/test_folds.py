"""What the folds write, against the world that the same log makes."""

from collections import Counter

import pytest
from msgspec import UNSET

from domain import accounts
from domain.accounts import USDC
from domain.ids import AccountId, JobId
from domain.log.log import Log
from domain.market import worker as workers
from domain.proof import audit as audits
from domain.proof import bench, proof, ruling
from domain.work import task as tasks
from domain.world import World
from projections import catalog, runner
from projections.explorer.accounts import Stake
from projections.explorer.audits import Audit, Verdict
from projections.explorer.events import Line
from projections.explorer.house import Beacon
from projections.explorer.jobs import Job
from projections.explorer.overview import Overview, Volume
from projections.explorer.payouts import Payout
from projections.explorer.tasks import Attempt, Task
from projections.explorer.workers import Standing, Worker
from projections.finance.balances import Balance, BalanceDay, TrialLine, parts
from projections.finance.journal import JournalLine, StatementLine
from projections.finance.parties import PLATFORM, POOL, SAFETY, Party
from projections.memory import MemoryViews
from projections.row import Row
from tests.network import Network, life
from tests.projections.lives import ALL_ROWS, START, Written, everything, folded, network

SEEDS = range(12)
PENDING = ("leased", "committed", "auditing")
VERDICTS = ("valid", "invalid", "inconclusive")
ENDS = ("accepted", "matured", "rejected", "declined", "error", "no_reply", "cancelled", "gate", "inconclusive")
STATES = ("ready", "leased", "committed", "auditing", "accepted", "dead", "cancelled")


VIEWS = dict[int, MemoryViews]()


async def lived(seed: int) -> tuple[Network, MemoryViews]:
    """A random life and its views, to be read only: many tests look at the same ones."""
    if seed not in VIEWS:
        VIEWS[seed] = await folded(network(seed).records)
    return network(seed), VIEWS[seed]


async def all_of(views: MemoryViews, kind: type) -> list:  # type: ignore[type-arg]
    return (await views.page(kind, limit=ALL_ROWS)).rows


@pytest.mark.parametrize("seed", SEEDS)
async def test_jobs_say_what_the_world_says(seed: int) -> None:
    it, views = await lived(seed)
    for row in await all_of(views, Job):
        if (job := it.world.jobs.get(JobId(row.job))) is None:
            assert row.status == "archived"
            continue
        statuses = Counter(task.status for task in it.world.tasks.values() if task.job == job.id)
        statuses["accepted"] += statuses.pop("matured", 0)

        assert (row.status, row.creator) == (job.status, job.creator)
        assert {name: getattr(row, name) for name in STATES} == {name: statuses[name] for name in STATES}
        assert sum(getattr(row, name) for name in STATES) == row.tasks
        assert row.locked == sum(it.world.credit(accounts.held(USDC, task.id)) for task in it.world.tasks.values() if task.job == job.id)
        if row.opened_us:
            free = it.world.credit(accounts.unallocated(USDC, job.id))
            assert row.hold - row.locked - row.spent - (row.refund or 0) == free


@pytest.mark.parametrize("seed", SEEDS)
async def test_tasks_and_attempts_say_what_the_world_says(seed: int) -> None:
    it, views = await lived(seed)
    known = {row.task: row for row in await all_of(views, Task)}
    for task in it.world.tasks.values():
        row = known[task.id]
        assert (row.status, row.job, row.wu_milli) == (task.status, task.job, task.wu_milli)
        if task.fence:
            attempt = (await views.get(Attempt, task.id, task.fence)).row
            assert attempt is not None
            assert (row.fence, row.worker, row.leased_us) == (task.fence, task.worker, task.leased_us)
            assert (attempt.worker, attempt.leased_us) == (task.worker, task.leased_us)
            if task.status in {"leased", "committed", "auditing", "accepted", "matured"}:
                assert attempt.status == task.status
        if task.status in {"committed", "auditing"}:
            assert task.proof is not None
            assert (row.proof_position, row.audit) == (task.proof.pos, task.audit)


@pytest.mark.parametrize("seed", SEEDS)
async def test_workers_say_what_the_world_says(seed: int) -> None:
    it, views = await lived(seed)
    rows = {row.worker: row for row in await all_of(views, Worker)}
    standings = {(row.worker, row.cls): row for row in await all_of(views, Standing)}
    attempts = await all_of(views, Attempt)

    assert set(rows) == set(it.world.workers)
    for worker in it.world.workers.values():
        row = rows[worker.id]
        mine = [each for each in attempts if each.worker == worker.id]
        assert (row.owner, row.mode, row.presence, row.slots) == (worker.owner, worker.mode, worker.presence, worker.slots)
        assert (row.leases, row.quarantined_us) == (len(worker.leases), worker.quarantined_us)
        assert (row.attempts, row.benches) == (len([each for each in mine if each.job]), len([each for each in mine if not each.job]))
        assert (row.earned, row.matured) == (sum(each.earned for each in mine), sum(each.matured for each in mine))
        if worker.presence == "online":
            assert row.online_us == worker.online_us
        for cls, standing in worker.classes.items():
            known = standings[worker.id, cls]
            assert (known.price_per_kwu, known.bid_expires_us) == (standing.price, standing.bid_expires_us)
            assert (known.score, known.scored_us) == (standing.score, standing.scored_us)


@pytest.mark.parametrize("seed", SEEDS)
async def test_workers_are_counted_by_what_became_of_their_attempts_and_checks(seed: int) -> None:
    _, views = await lived(seed)
    attempts, audits, verdicts = [await all_of(views, kind) for kind in (Attempt, Audit, Verdict)]
    for row in await all_of(views, Worker):
        mine = Counter(each.status for each in attempts if each.worker == row.worker and each.job)
        benches = Counter(each.status for each in attempts if each.worker == row.worker and not each.job)
        results = Counter(each.result for each in audits if each.worker == row.worker and each.job)
        checks = Counter(each.verdict or each.status for each in verdicts if each.checker == row.worker)

        assert row.accepted == mine["accepted"] + mine["matured"]
        assert (row.rejected, row.declined, row.inconclusive) == (mine["rejected"], mine["declined"], mine["inconclusive"])
        assert row.cancelled == mine["cancelled"]
        assert row.failed == sum(mine[each] for each in ("error", "no_reply", "gate"))
        assert row.benches_failed == sum(benches.values()) - sum(benches[each] for each in (*PENDING, "scored"))
        assert row.attempts == sum(mine[each] for each in (*PENDING, *ENDS))
        assert row.late == sum(each.late is True for each in attempts if each.worker == row.worker)
        assert row.audits == results.total()
        assert (row.audits_valid, row.audits_invalid, row.audits_inconclusive) == tuple(results[each] for each in VERDICTS)
        assert (row.checks_valid, row.checks_invalid, row.checks_inconclusive) == tuple(checks[each] for each in VERDICTS)
        assert (row.checks, row.checks_missed) == (checks.total(), checks["missed"])


@pytest.mark.parametrize("seed", SEEDS)
async def test_time_online_is_from_each_arrival_to_the_next_departure(seed: int) -> None:
    it, views = await lived(seed)
    came, stayed = dict[str, int](), Counter[str]()
    for e in it.events:
        match e.event:
            case workers.Online() as event:
                came.setdefault(event.worker, e.at_us)
            case workers.Offline() as event:
                stayed[event.worker] += e.at_us - came.pop(event.worker)
    rows = await all_of(views, Worker)

    assert {row.worker: row.uptime_us for row in rows if row.uptime_us} == +stayed
    assert {row.worker: row.online_us for row in rows if row.presence == "online"} == came


@pytest.mark.parametrize("seed", SEEDS)
async def test_attempts_earn_what_the_journal_says(seed: int) -> None:
    it, views = await lived(seed)
    rows = {(row.task, row.fence): row for row in await all_of(views, Attempt)}
    for e in it.events:
        match e.event:
            case ruling.Accepted() as event:
                row = rows[event.task, event.fence]
                assert (row.earned, row.price, row.basis, row.audit or "") == (event.shares.worker, event.price, event.basis, event.audit)
                assert (row.ended_us, row.beacon, row.u, row.p_ppm) == (e.at_us, event.beacon, event.u, event.p_ppm)
            case tasks.Ended() as event:
                row = rows[event.task, event.fence]
                assert (row.status, row.earned, row.code, row.ended_us) == (event.outcome, event.fee, event.code, e.at_us)
            case proof.Committed() as event:
                row = rows[event.task, event.fence]
                assert row.late is True if event.late else (row.proof_position, row.committed_us) == (e.pos, e.at_us)


@pytest.mark.parametrize("seed", SEEDS)
async def test_what_workers_have_accrued_is_what_the_ledger_owes_them(seed: int) -> None:
    it, views = await lived(seed)
    rows = await all_of(views, Worker)
    for owner in it.world.people:
        mine = [row for row in rows if row.owner == owner]
        accrued = sum(row.earned - row.matured - row.forfeited for row in mine)
        assert accrued == it.world.credit(accounts.accrued(USDC, owner))


@pytest.mark.parametrize("seed", SEEDS)
async def test_audits_verdicts_payouts_and_stakes_say_what_the_world_says(seed: int) -> None:
    it, views = await lived(seed)
    for audit in it.world.audits.values():
        row = (await views.get(Audit, audit.id)).row
        assert row is not None
        votes = list(audit.verdicts.values())
        drawn = [checker for each in audit.rounds for checker in each.checkers]
        verdicts = (await views.page(Verdict, where={"audit": audit.id})).rows
        assert (row.status, row.result or "", row.round) == (audit.status, audit.result, len(audit.rounds))
        assert (row.valid, row.invalid, row.inconclusive) == tuple(votes.count(each) for each in ("valid", "invalid", "inconclusive"))
        assert sorted(each.checker for each in verdicts) == sorted(drawn)
        assert {each.checker: each.verdict for each in verdicts if each.verdict} == audit.verdicts
    for payout in it.world.payouts.values():
        paid = (await views.get(Payout, payout.id)).row
        assert paid is not None
        assert (paid.status, paid.account, paid.amount, paid.batch or "") == (payout.status, payout.account, payout.amount, payout.batch)
    for person in it.world.people.values():
        stake = (await views.get(Stake, person.id, USDC)).row
        assert (stake.amount if stake else 0) == it.world.stake(USDC, person.id)


@pytest.mark.parametrize("seed", SEEDS)
async def test_balances_are_the_worlds_and_the_trial_balance_is_zero(seed: int) -> None:
    it, views = await lived(seed)
    balances = await all_of(views, Balance)
    days = await all_of(views, BalanceDay)
    trial = await all_of(views, TrialLine)

    assert {row.account: row.amount for row in balances if row.amount} == it.world.balances
    assert all(row.amount == row.debits - row.credits for row in (*balances, *days, *trial))
    for row in balances:
        assert row.amount == sum(day.amount for day in days if day.account == row.account)
    for asset in it.world.assets:
        assert sum(line.amount for line in trial if line.asset == asset) == 0


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_journal_holds_each_line_once_and_statements_what_has_an_owner(seed: int) -> None:
    it, views = await lived(seed)
    expected = [(e.pos, n, account, amount) for e in it.events for n, (account, amount) in enumerate(e.entry, 1)]
    journal = [(row.position, row.line, row.account, row.amount) for row in await all_of(views, JournalLine)]
    statements = [(row.position, row.line, row.account, row.amount) for row in await all_of(views, StatementLine)]

    assert journal == expected
    assert sorted(statements) == [line for line in expected if parts(line[2]).owner]


def held(world: World, account: str) -> int:
    """What the ledger owes a party, whatever for; payouts under way are still his."""
    if account == PLATFORM:
        return sum(world.credit(each(USDC)) for each in (accounts.fee, accounts.fee_deferred))
    if account == POOL:
        return sum(world.credit(each(USDC)) for each in (accounts.pool, accounts.checkers))
    if account == SAFETY:
        return world.credit(accounts.safety(USDC))
    owner = AccountId(account)  # type: ignore[arg-type]
    of = (accounts.available, accounts.accrued, accounts.payable, accounts.checker_payable, accounts.stake)
    in_flight = [payout for payout in world.payouts.values() if payout.account == owner]
    on_chain = sum(payout.amount for payout in in_flight if not world.credit(accounts.inflight(USDC, payout.id)))
    return sum(world.credit(each(USDC, owner)) for each in of) + sum(payout.amount for payout in in_flight) - on_chain


@pytest.mark.parametrize("seed", SEEDS)
async def test_on_every_row_of_the_parties_money_in_less_money_out_is_what_is_held(seed: int) -> None:
    it, views = await lived(seed)
    for row in await all_of(views, Party):
        assert row.deposited + row.earned + row.fee - row.spent - row.slashed - row.paid == held(it.world, row.account), row.account


async def test_after_a_whole_life_what_was_earned_is_what_was_spent() -> None:
    rows = await all_of(await folded(life(signs=False).records), Party)

    assert sum(row.earned + row.fee for row in rows) == sum(row.spent for row in rows)
    assert sum(row.slashed for row in rows) == 0
    assert sum(row.paid for row in rows) > 0


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_overview_counts_what_there_is(seed: int) -> None:
    it, views = await lived(seed)
    row = (await views.get(Overview, "network")).row
    volume = (await views.get(Volume, USDC)).row
    assert row is not None
    assert volume is not None
    happened = Counter(e.event.verb() for e in it.events)
    workers = it.world.workers.values()

    assert (row.events, row.position) == (len(it.events), len(it.events))
    assert (row.first_us, row.last_us) == (it.events[0].at_us, it.ledger.at_us)
    assert (row.accounts, row.workers + row.checkers) == (len(it.world.people), len(workers))
    assert row.online == sum(worker.presence == "online" for worker in workers)
    assert row.tasks_leased == sum(task.status == "leased" for task in it.world.tasks.values() if task.job)
    assert row.jobs_open == sum(job.status in {"open", "paused", "closing"} for job in it.world.jobs.values())
    assert row.audits_open == sum(audit.status != "closed" for audit in it.world.audits.values() if audit.cause == "lottery")
    assert (row.jobs, row.beacons, row.tasks_accepted) == (
        happened["job.submitted"],
        happened["beacon.drawn"],
        happened["task.accepted"],
    )
    assert volume.staked == sum(it.world.stake(USDC, owner) for owner in it.world.people)
    escrow = [amount for account, amount in it.world.balances.items() if parts(account).code.startswith("2120")]
    assert volume.held == -sum(escrow)
    assert volume.spent == sum(job.spent for job in await all_of(views, Job))
    assert volume.earned == sum(attempt.earned for attempt in await all_of(views, Attempt))
    assert volume.earned + volume.checkers + volume.fee == volume.spent
    assert volume.slashed == it.world.credit(accounts.safety(USDC))


TIMES: tuple[tuple[type[Row], str, tuple[str, ...]], ...] = (
    (Job, "submitted_us", ("job.submitted",)),
    (Job, "quoted_us", ("job.quoted",)),
    (Job, "opened_us", ("job.opened",)),
    (Job, "closed_us", ("job.closed",)),
    (Job, "archived_us", ("job.archived",)),
    (Attempt, "leased_us", ("task.leased", "bench.opened")),
    (Attempt, "ended_us", ("task.accepted", "task.rejected", "attempt.ended", "worker.scored", "audit.closed")),
    (Attempt, "matured_us", ("earnings.matured",)),
    (Audit, "opened_us", ("audit.opened",)),
    (Audit, "closed_us", ("audit.closed",)),
    (Verdict, "sealed_us", ("verdict.committed",)),
    (Verdict, "revealed_us", ("verdict.revealed",)),
    (Worker, "registered_us", ("worker.registered",)),
)


@pytest.mark.parametrize(("kind", "column", "verbs"), TIMES, ids=[f"{kind.table}.{column}" for kind, column, _ in TIMES])
async def test_times_are_those_of_the_events(kind: type[Row], column: str, verbs: tuple[str, ...]) -> None:
    seen = set[int]()
    for seed in SEEDS:
        it, views = await lived(seed)
        times = {getattr(row, column) for row in await all_of(views, kind)} - {UNSET}
        expected = {e.at_us for e in it.events if e.event.verb() in verbs}
        others = {e.at_us for e in it.events if column == "ended_us" and isinstance(e.event, audits.Closed) and e.event.job}
        seen |= times

        assert times <= expected
        assert expected - times <= others

    assert seen


@pytest.mark.parametrize("seed", SEEDS)
async def test_workers_were_last_leased_to_and_gone_when_the_log_says(seed: int) -> None:
    it, views = await lived(seed)
    leased, gone = dict[str, int](), dict[str, int]()
    for e in it.events:
        match e.event:
            case tasks.Leased(worker=id) | bench.Opened(worker=id):
                leased[id] = e.at_us
            case workers.Offline(worker=id):
                gone[id] = e.at_us
    rows = await all_of(views, Worker)

    assert {row.worker: row.last_leased_us for row in rows if row.last_leased_us} == leased
    assert {row.worker: row.offline_us for row in rows if row.offline_us} == gone


@pytest.mark.parametrize("seed", SEEDS)
async def test_events_are_listed_by_position_and_by_stream_with_their_very_lines(seed: int) -> None:
    it, views = await lived(seed)
    lines = [line for record in it.records for line in record.split(b"\n")[1:-1]]

    assert [row.line.encode() for row in await all_of(views, Line)] == lines
    for stream in {e.stream for e in it.events}:
        rows = (await views.page(Line, where={"stream": stream}, limit=ALL_ROWS)).rows
        assert [row.ver for row in rows] == list(range(1, len(rows) + 1))


async def test_beacons_are_sorted_by_their_number() -> None:
    it = life(signs=False)
    rows = await all_of(await folded(it.records), Beacon)

    assert [row.position for row in rows] == [e.pos for e in it.events if e.event.verb() == "beacon.drawn"]


@pytest.mark.parametrize("events_max", [1, 7, 100])
async def test_the_size_of_batches_changes_nothing(events_max: int, monkeypatch: pytest.MonkeyPatch) -> None:
    it = network(3)
    expected = await everything(await folded(it.records))
    monkeypatch.setattr(runner, "EVENTS_PER_BATCH_MAX", events_max)

    assert await everything(await folded(it.records)) == expected


async def test_a_view_as_of_a_position_is_one_of_the_log_up_to_there() -> None:
    it = network(5)
    log: Log = Written(it.records)
    for projection in catalog.ALL:
        position = 0
        for end in range(0, len(it.records), 61):
            position += sum(record.count(b"\n") - 1 for record in it.records[max(0, end - 61) : end])
            views = await runner.as_of(projection, log, position, START)
            expected = await everything(await folded(it.records[:end], projection), projection)

            assert await everything(views, projection) == expected
            assert (await views.page(projection.rows[0])).position == position


async def test_a_view_as_of_a_position_within_a_block_has_no_more_of_the_block() -> None:
    it = network(5)
    first = it.records[0].count(b"\n") - 1
    views = await runner.as_of(catalog.of(Line), Written(it.records), first - 2, START)

    assert [row.position for row in await all_of(views, Line)] == list(range(1, first - 1))
    assert (await views.get(Line, first)).position == first - 2


def test_lives_are_rich_enough_to_show_something() -> None:
    happened = {e.event.verb() for seed in SEEDS for e in network(seed).events}

    assert happened >= {
        *("task.accepted", "task.rejected", "stake.slashed", "attempt.ended", "earnings.matured", "pool.distributed"),
        *("audit.widened", "worker.quarantined", "job.closing", "job.closed", "job.archived", "job.paused", "batch.finalised"),
        *("worker.offline", "payout.cancelled", "stake.released"),
    }
