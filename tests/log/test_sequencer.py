"""Answers only after the log has the block, and one way on whatever the log does."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters import migrate, sequencer, succession
from adapters.log import history
from adapters.log.postgres import PostgresLog
from adapters.sequencer import Sequencer
from adapters.succession import ClockOff, Deposed
from domain.errors import Duplicate, Refused
from domain.house import house
from domain.ids import HOUSE, account_id
from domain.log import wire
from domain.log.ledger import Ledger, NotOpened
from domain.log.log import Busy, Log, MemoryLog, OutcomeUnknown
from domain.log.receipts import Ask, Receipt
from domain.treasury import account
from tests.contracts.log import everything
from tests.log.faulty import Fault, FaultyLog
from tests.log.ledgers import NOW_US, START, begin, key_of, opening, replay, seen, uuid7
from tests.log.test_ledger import Deposits, Fails

Lead = tuple[Sequencer, asyncio.Task[None]]


class Time:
    """A clock that stands still unless it is told otherwise."""

    def __init__(self) -> None:
        self.wall_us, self.steady_us = NOW_US + 1_000, 5

    def clock(self) -> succession.Clock:
        return succession.Clock(lambda: self.wall_us, lambda: self.steady_us)


@asynccontextmanager
async def leading(log: Log, name: str = "me", time: Time | None = None) -> AsyncIterator[Lead]:
    leader = Sequencer(log, lambda: Ledger(START), name, clock=(time or Time()).clock())
    run = asyncio.create_task(leader.run())
    yield leader, run
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - of things that announce nothing
            await asyncio.sleep(0.001)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(succession, "RETRY_S", 0)
    monkeypatch.setattr(succession, "settle_memory", lambda: None)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(["fine", "fine", "lost", "landed", "not landed", "late"]), max_size=12), st.integers(1, 4))
def test_every_command_happens_once_whatever_the_log_does(faults: list[Fault], clients: int) -> None:
    async def main() -> None:
        inner = MemoryLog()
        await begin(inner)
        log, receipts = FaultyLog(inner, faults), dict[str, Receipt]()

        async def client(n: int) -> None:
            for ask in (opening(10 * n + i) for i in range(3)):
                while ask.cmd not in receipts:
                    try:
                        receipts[ask.cmd] = await leader.submit(ask)
                    except OutcomeUnknown:
                        continue

        async with leading(log) as (leader, _):
            await asyncio.gather(*map(client, range(clients)))
        ledger = await replay(log)
        lines = [line for record in await everything(log) for line in record.split(b"\n")[1:-1]]
        assert len(receipts) == len(ledger.receipts.new) == 3 * clients
        for cmd, receipt in receipts.items():
            assert receipt.lines == (lines[receipt.position - 1],), "byte for byte the leaf"
            assert wire.event(receipt.lines[0]).cmd == cmd

    asyncio.run(main())


async def test_an_election_is_sent_again_as_the_same_bytes() -> None:
    inner = MemoryLog()
    await begin(inner)
    log, ticks = FaultyLog(inner, ["not landed", "late", "fine"]), count(5)
    leader = Sequencer(log, lambda: Ledger(START), "me", clock=succession.Clock(lambda: NOW_US, lambda: next(ticks)))
    run = asyncio.create_task(leader.run())
    await leader.submit(opening(1))
    await leader.stop()
    await run

    assert len(set(log.sent[:3])) == 1, "another election could be taken after the first one was read"
    assert len(await everything(log)) == 3


async def test_a_refusal_waits_for_the_block_that_it_rests_on() -> None:
    inner = MemoryLog()
    await begin(inner)
    log = FaultyLog(inner, ["fine", "not landed"])
    rival = Ask.keyed(key_of(1), uuid7(NOW_US, 9), account.Open(), b"")
    async with leading(log) as (leader, _):
        both = await asyncio.gather(leader.submit(opening(1)), leader.submit(rival), return_exceptions=True)
        assert [type(outcome) for outcome in both] == [OutcomeUnknown] * 2
        both = await asyncio.gather(leader.submit(opening(1)), leader.submit(rival), return_exceptions=True)
        assert isinstance(both[1], Duplicate)


async def test_commands_that_wait_together_share_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequencer, "DECIDE_S_MAX", 60.0)  # however slow this machine is
    log = MemoryLog()
    await begin(log)
    async with leading(log) as (leader, _):
        await until(lambda: leader.leading)
        receipts = await asyncio.gather(*(leader.submit(opening(n)) for n in range(20)))

    assert [each.position for each in receipts] == list(range(14, 34))
    assert len(await everything(log)) == 3


async def test_a_block_takes_a_bounded_number_of_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequencer, "COMMANDS_PER_BLOCK_MAX", 7)
    monkeypatch.setattr(sequencer, "DECIDE_S_MAX", 60.0)
    log = MemoryLog()
    await begin(log)
    async with leading(log) as (leader, _):
        await asyncio.gather(*(leader.submit(opening(n)) for n in range(20)))

    assert [record.count(b"\n") - 1 for record in await everything(log)] == [12, 1, 7, 7, 6]


async def test_an_older_receipt_is_read_from_the_log() -> None:
    log = MemoryLog()
    await begin(log)
    async with leading(log) as (leader, _):
        firsts = [await leader.submit(opening(n)) for n in range(3)]
    async with leading(log) as (leader, _):
        assert [await leader.submit(opening(n)) for n in range(3)] == firsts


async def test_a_receipt_of_a_moment_ago_is_told_without_reading_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    log = MemoryLog()
    await begin(log)
    async with leading(log) as (leader, _):
        firsts = [await leader.submit(opening(n)) for n in range(3)]
        together = await asyncio.gather(*(leader.submit(opening(n)) for n in range(3, 9)))
        monkeypatch.setattr(log, "read", None)
        assert [await leader.submit(opening(n)) for n in range(9)] == [*firsts, *together]


async def test_what_is_kept_in_memory_is_bounded_and_the_rest_is_read_from_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "RECENT_BYTES_MAX", 2_000)
    log = MemoryLog()
    await begin(log)
    async with leading(log) as (leader, _):
        firsts = [await leader.submit(opening(n)) for n in range(12)]
        assert [await leader.submit(opening(n)) for n in range(12)] == firsts
        monkeypatch.setattr(log, "read", None)
        assert await leader.submit(opening(11)) == firsts[11]
        with pytest.raises(TypeError):
            await leader.submit(opening(0))


async def test_who_sees_another_leader_steps_down() -> None:
    log = MemoryLog()
    await begin(log)
    async with leading(log, "old") as (old, old_run), leading(log, "new") as (new, _):
        await new.submit(opening(1))
        with pytest.raises(OutcomeUnknown):
            await old.submit(opening(2))
        with pytest.raises(Deposed, match="new"):
            await old_run
        with pytest.raises(Busy):
            await old.submit(opening(2))
        await new.submit(opening(2))
        assert (old.leading, new.leading) == (False, True)


async def test_the_queue_is_bounded_in_number_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    for bound in ("QUEUE_MAX", "QUEUE_BYTES_MAX"):
        log = MemoryLog()
        await begin(log)
        with monkeypatch.context() as patch:
            patch.setattr(sequencer, bound, 3 if bound == "QUEUE_MAX" else 3 * opening(1).size)
            async with leading(log) as (leader, _):
                outcomes = await asyncio.gather(*(leader.submit(opening(n)) for n in range(5)), return_exceptions=True)
                assert [type(outcome) for outcome in outcomes] == [Receipt, Receipt, Receipt, Busy, Busy]
                assert (await leader.submit(opening(3))).count == 1, "there is room again"


async def test_who_waits_for_a_recovery_is_sent_away_soon_and_may_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequencer, "RECOVER_S_MAX", 0.05)
    log = MemoryLog()
    await begin(log)
    faulty = FaultyLog(log, ["fine", "not landed"])
    async with leading(faulty) as (leader, _):
        await until(lambda: leader.leading)
        faulty.silent = True
        with pytest.raises(OutcomeUnknown):
            await leader.submit(opening(1))
        began = asyncio.get_running_loop().time()
        for n in (1, 2):
            with pytest.raises(Busy):
                await leader.submit(opening(n))
        assert asyncio.get_running_loop().time() - began < 1
        faulty.silent = False
        await until(lambda: leader.leading)
        assert (await leader.submit(opening(1))).count == 1


async def test_who_stops_lands_what_waits_and_takes_no_more() -> None:
    log = MemoryLog()
    await begin(log)
    async with leading(log) as (leader, run):
        await until(lambda: leader.leading)
        asked = [asyncio.create_task(leader.submit(opening(n))) for n in range(3)]
        await asyncio.sleep(0)
        await leader.stop()
        await run
        assert [task.result().position for task in asked] == [14, 15, 16]
        with pytest.raises(Busy):
            await leader.submit(opening(3))
    assert (await replay(log)).head.size == 16


async def test_who_is_cancelled_leaves_nobody_waiting() -> None:
    log = MemoryLog()
    await begin(log)
    async with leading(log) as (leader, run):
        await until(lambda: leader.leading)
        asked = asyncio.create_task(leader.submit(opening(1)))
        await asyncio.sleep(0)
        run.cancel()
        with pytest.raises((Busy, OutcomeUnknown)):
            await asked


async def test_a_caller_that_gives_up_harms_nobody() -> None:
    log = MemoryLog()
    await begin(log)
    async with leading(log) as (leader, _):
        gone = asyncio.create_task(leader.submit(opening(1)))
        await asyncio.sleep(0)
        gone.cancel()
        assert (await leader.submit(opening(2))).count == 1


async def test_the_house_wakes_up_for_a_timer() -> None:
    log, time = MemoryLog(), Time()
    await begin(log)
    seen_us = list[int]()

    def chores(world: object, at_us: int, asked: int) -> object:
        if at_us >= NOW_US + 40_000 and not seen_us:
            seen_us.append(at_us)
            yield "test/1", Deposits(1)

    def wakes_us(world: object, at_us: int) -> int | None:
        return None if seen_us else NOW_US + 40_000

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(house, "chores", chores)
        patch.setattr(house, "wakes_us", wakes_us)
        async with leading(log, time=time) as (leader, _):
            await until(lambda: leader.leading)
            await asyncio.sleep(0.1)
            assert seen_us == [], "not early"
            time.steady_us += 39_000
            await until(lambda: bool(seen_us))
    assert seen_us == [NOW_US + 40_000]
    assert (await replay(log)).head.size == 14


async def test_timers_with_nothing_to_do_do_not_spin(monkeypatch: pytest.MonkeyPatch) -> None:
    log, asked = MemoryLog(), list[int]()
    await begin(log)

    def always(world: object, at_us: int) -> int:
        asked.append(at_us)
        return at_us

    monkeypatch.setattr(house, "wakes_us", always)
    async with leading(log) as (leader, _):
        await until(lambda: leader.leading)
        await asyncio.sleep(0.2)

    assert 1 <= len(asked) <= 12


async def test_a_log_without_a_first_block_is_not_led() -> None:
    async with leading(MemoryLog()) as (_, run):
        with pytest.raises(NotOpened):
            await run


async def test_a_step_of_the_wall_clock_moves_no_deadline() -> None:
    log, time = MemoryLog(), Time()
    await begin(log)
    async with leading(log, time=time) as (leader, _):
        await leader.submit(opening(1))
        time.wall_us += 3_600_000_000
        time.steady_us += 500
        receipt = await leader.submit(opening(2))

    assert wire.event(receipt.lines[0]).at_us == NOW_US + 1_500


async def test_who_is_behind_the_last_block_does_not_lead() -> None:
    log, time = MemoryLog(), Time()
    await begin(log)
    time.wall_us -= 5_100_000
    async with leading(log, time=time) as (_, run):
        with pytest.raises(ClockOff, match="behind the last block"):
            await run


@pytest.mark.parametrize(("off_us", "leads"), [(4_000_000, True), (-4_000_000, True), (6_000_000, False), (-6_000_000, False)])
async def test_who_is_off_the_reference_clock_does_not_lead(off_us: int, leads: bool) -> None:
    log, time = MemoryLog(), Time()
    await begin(log)

    async def reference_us() -> int:
        return time.wall_us + off_us

    leader = Sequencer(log, lambda: Ledger(START), "me", clock=time.clock(), reference_us=reference_us)
    run = asyncio.create_task(leader.run())
    await until(lambda: leader.leading or run.done())
    assert leader.leading == leads
    if leads:
        await leader.stop()
        await run
    else:
        with pytest.raises(ClockOff):
            await run


async def test_a_command_that_fails_by_our_fault_harms_its_caller_only() -> None:
    log = MemoryLog()
    await begin(log)
    async with leading(log) as (leader, run):
        await leader.submit(opening(1))
        for command, fault in ((Fails(), ZeroDivisionError), (Deposits(2, refuses=True), AssertionError)):
            with pytest.raises(fault):
                await leader.submit(Ask.about(HOUSE, "bad", command))
            while True:
                try:
                    assert (await leader.submit(opening(2))).position == 15
                    break
                except OutcomeUnknown:
                    continue
        assert not run.done()
    ledger = await replay(log)
    assert [name for name in ledger.world.versions if name.startswith("deposit")] == [], "nothing of it was kept"
    assert ledger.world.versions["ledger"] == 4, "one recovery, for the one that failed half-way"


async def test_a_failure_of_the_house_itself_stops_the_leader(monkeypatch: pytest.MonkeyPatch) -> None:
    log = MemoryLog()
    await begin(log)
    async with leading(log) as (leader, run):
        await leader.submit(opening(1))
        monkeypatch.setattr(house, "chores", lambda world, at_us, asked: iter([("bad", Fails())]))
        with pytest.raises(OutcomeUnknown):
            await leader.submit(opening(2))
        with pytest.raises(ZeroDivisionError):
            await run


@pytest.mark.system
async def test_a_ledger_in_postgres_goes_on_after_a_crash(database: str) -> None:
    migrate.apply(database)
    async with PostgresLog(database) as log:
        await begin(log)
        async with leading(log, "first") as (leader, _):
            before = await asyncio.gather(*(leader.submit(opening(n)) for n in range(50)))
            person = account_id(before[0].position)
            await leader.submit(seen(1, person))
    async with PostgresLog(database) as log, leading(log, "second") as (leader, _):
        again = await asyncio.gather(*(leader.submit(opening(n)) for n in range(50)))
        assert again == before
        assert (await leader.submit(seen(1, person))).count == 0
        with pytest.raises(Refused):
            await leader.submit(Ask.keyed(key_of(0), uuid7(NOW_US, 5), account.Open(), b""))
        ledger = await replay(log)

    assert ledger.world.leader == "second"
    assert len(ledger.receipts.new) == 50
