"""Who leads next: one at a time by a lease, safe without it; never with a log that lost its end, or that is a copy."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from adapters import succession
from adapters.sequencer import Sequencer
from adapters.succession import Behind, Clock, Copied
from domain.errors import Duplicate
from domain.log import ledger as ledgers
from domain.log import snapshot
from domain.log.block import Diverged, seal
from domain.log.ledger import Ledger
from domain.log.log import Busy, MemoryLog, OutcomeUnknown, Unreachable
from domain.log.merkle import Head, Mark
from domain.log.receipts import Ask
from domain.treasury import account
from tests.contracts.log import everything
from tests.log.faulty import FaultyLog
from tests.log.ledgers import LOG, NOW_US, START, begin, init, key_of, opening, replay, uuid7
from tests.log.test_sequencer import Time, until


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(succession, "RETRY_S", 0)
    monkeypatch.setattr(succession, "settle_memory", lambda: None)


class Office:
    """Leases of one office: at most one is held at a time, unless somebody believes in a lease that has run out."""

    def __init__(self) -> None:
        self.holder, self.changed = "", asyncio.Condition()

    async def pass_to(self, name: str) -> None:
        async with self.changed:
            self.holder = name
            self.changed.notify_all()

    def lease(self, name: str) -> "Turn":
        return Turn(self, name)


class Turn:
    def __init__(self, office: Office, name: str) -> None:
        self._office, self._name = office, name
        self.sure, self.asleep = True, False
        """Whether it knows that it holds the lease; whether it hears of nothing."""

    @property
    def held(self) -> bool:
        return self.sure and self._office.holder == self._name

    async def acquire(self) -> None:
        async with self._office.changed:
            await self._office.changed.wait_for(lambda: self._office.holder in {"", self._name})
            self._office.holder = self._name

    async def lost(self) -> None:
        async with self._office.changed:
            await self._office.changed.wait_for(lambda: self._office.holder not in {"", self._name} and not self.asleep)

    async def release(self) -> None:
        if self._office.holder == self._name:
            await self._office.pass_to("")


@asynccontextmanager
async def server(log: MemoryLog, name: str, office: Office, time: Time | None = None) -> AsyncIterator[tuple[Sequencer, Turn]]:
    turn = office.lease(name)
    it = Sequencer(log, lambda: Ledger(START), name, clock=(time or Time()).clock(), lease=turn)
    run = asyncio.create_task(it.run())
    yield it, turn
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)


async def one() -> tuple[MemoryLog, Office]:
    log = MemoryLog()
    await begin(log)
    return log, Office()


async def test_who_stands_by_takes_no_commands_and_leads_when_the_other_stops() -> None:
    log, office = await one()
    async with server(log, "first", office) as (first, _), server(log, "second", office) as (second, _):
        await until(lambda: first.leading)
        receipt = await first.submit(opening(1))
        with pytest.raises(Busy):
            await second.submit(opening(2))
        assert (second.leading, second.idle.is_set()) == (False, True)
        await first.stop()
        await until(lambda: second.leading)

        assert await second.submit(opening(1)) == receipt
        assert (await replay(log)).world.leader == "second"


async def test_who_stands_by_has_folded_what_the_leader_wrote() -> None:
    log, office = await one()
    reads = list[int]()

    class Counted(MemoryLog):
        async def read(self, after: int = 0, *, follow: bool = False):  # type: ignore[no-untyped-def]
            if not follow:
                reads.append(after)
            async for record in log.read(after, follow=follow):
                yield record

        append = log.append

    async with server(log, "first", office) as (first, _), server(Counted(), "second", office) as (second, _):
        await until(lambda: first.leading)
        for n in range(5):
            await first.submit(opening(n))
        await asyncio.sleep(0.01)
        reads.clear()
        await first.stop()
        await until(lambda: second.leading)

    assert min(reads) == 18, "nothing is folded at the take-over but what came last"


async def test_a_leader_that_loses_the_lease_steps_down_even_if_nobody_asks_it_anything() -> None:
    log, office = await one()
    async with server(log, "first", office) as (first, _), server(log, "second", office) as (second, _):
        await until(lambda: first.leading)
        await office.pass_to("second")
        await until(lambda: second.leading and not first.elected.is_set())
        await second.stop()
        await until(lambda: first.leading)

        assert (await first.submit(opening(1))).count == 1


async def test_a_leader_that_slept_through_its_successors_reign_harms_nobody() -> None:
    log, office = await one()
    async with server(log, "first", office) as (first, turn), server(log, "second", office) as (second, _):
        await until(lambda: first.leading)
        turn.asleep, turn.sure = True, False
        await office.pass_to("second")
        await until(lambda: second.leading)
        receipt = await second.submit(opening(1))
        with pytest.raises(OutcomeUnknown):
            await first.submit(opening(2))
        await until(first.idle.is_set)

        assert (await second.submit(opening(1))) == receipt
        assert (await second.submit(opening(2))).count == 1


async def test_who_is_not_sure_of_the_lease_refuses_nobody_by_a_world_of_yesterday() -> None:
    """The second leader took the key away from the first account; the first one would say that it is taken."""
    log, office = await one()
    async with server(log, "first", office) as (first, turn):
        await until(lambda: first.leading)
        await first.submit(opening(1))
        rival = Ask.keyed(key_of(1), uuid7(NOW_US, 9), account.Open(), b"")
        with pytest.raises(Duplicate):
            await first.submit(rival)
        turn.sure = False
        with pytest.raises(Duplicate):
            await first.submit(rival)
        ledger = await replay(log)
        await log.append(ledger.election("another", NOW_US + 2_000_000))
        turn.asleep = True
        with pytest.raises(OutcomeUnknown):
            await first.submit(rival)


@pytest.mark.parametrize("leads", [True, False])
async def test_a_log_that_ends_before_what_others_have_read_is_not_led(leads: bool) -> None:
    log, _ = await one()
    head = (await replay(log)).head
    beyond = seal(head, [b"{}"]).after

    async def known() -> Sequence[Mark]:
        return [head.mark] if leads else [head.mark, beyond.mark]

    it = Sequencer(log, lambda: Ledger(START), "me", clock=Time().clock(), known=known)
    run = asyncio.create_task(it.run())
    if leads:
        await until(lambda: it.leading)
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
    else:
        with pytest.raises(Behind, match=f"size {beyond.size}"):
            await run
        assert len(await everything(log)) == 1, "and nothing was written"


@pytest.mark.parametrize("kept", [True, False])
async def test_who_leads_recovers_by_what_it_led_to_while_nobody_can_be_asked(kept: bool) -> None:
    """So a leader whose log is elsewhere goes on without its database, and still not on a log that lost what was acknowledged."""
    away, asked = False, list[str]()
    log, _ = await one()
    faulty = FaultyLog(log, ("fine", "fine", "not landed"))

    async def known() -> Sequence[Mark]:
        asked.append("known")
        if away:
            raise Unreachable
        return ()

    async def reference_us() -> int:
        asked.append("clock")
        if away:
            raise Unreachable
        return time.wall_us

    time = Time()
    it = Sequencer(faulty, lambda: Ledger(START), "me", clock=time.clock(), known=known, reference_us=reference_us)
    run = asyncio.create_task(it.run())
    await it.submit(opening(1))
    away = True
    asked.clear()
    if not kept:
        del log._records[2:]
    with pytest.raises(OutcomeUnknown):
        await it.submit(opening(2))
    if kept:
        assert (await it.submit(opening(2))).count == 1
        await it.stop()
        await run
    else:
        with pytest.raises(Behind):
            await run
    assert set(asked) == {"known", "clock"}


async def test_who_does_not_lead_yet_waits_until_somebody_can_be_asked() -> None:
    log, _ = await one()
    away = True

    async def known() -> Sequence[Mark]:
        if away:
            raise Unreachable
        return ()

    it = Sequencer(log, lambda: Ledger(START), "me", clock=Time().clock(), known=known)
    run = asyncio.create_task(it.run())
    await asyncio.sleep(0.02)
    assert not it.leading
    assert len(await everything(log)) == 1, "nothing was written"
    away = False
    await until(lambda: it.leading)
    await it.stop()
    await run


async def test_what_a_rival_writes_while_one_looks_is_no_lost_end() -> None:
    """Whoever led before may still land a block, and its views follow: the log is read to its end after they were asked."""
    log, _ = await one()

    async def known() -> Sequence[Mark]:
        if len(log._records) == 1:
            ledger = await replay(log)
            await log.append(ledger.election("rival", NOW_US + 10))
        return [(await replay(log)).head.mark]

    it = Sequencer(log, lambda: Ledger(START), "me", clock=Time().clock(), known=known)
    run = asyncio.create_task(it.run())
    assert (await it.submit(opening(1))).count == 1
    await it.stop()
    await run


async def test_a_log_of_another_history_is_not_led() -> None:
    log, _ = await one()
    other = START.extend([b"another history"] * 12)

    async def known() -> Sequence[Mark]:
        return [other.mark]

    with pytest.raises(Behind):
        await Sequencer(log, lambda: Ledger(START), "me", clock=Time().clock(), known=known).run()


async def test_a_snapshot_that_the_log_does_not_have_is_not_started_from() -> None:
    log, _ = await one()
    ahead = await replay(log)
    ahead.fold(ahead.election("me", NOW_US + 5).record)
    it = Sequencer(log, lambda: snapshot.thaw(snapshot.freeze(ahead, ""), LOG, ""), "me", clock=Time().clock())

    with pytest.raises(Behind, match="snapshot"):
        await it.run()


async def test_a_start_from_a_snapshot_decides_as_one_from_nothing() -> None:
    log, office = await one()
    async with server(log, "first", office) as (first, _):
        await until(lambda: first.leading)
        receipts = [await first.submit(opening(n)) for n in range(4)]
    frozen = snapshot.freeze(await replay(log), "")
    async with server(log, "second", office) as (second, _):
        await until(lambda: second.leading)
        receipts += [await second.submit(opening(n)) for n in range(4, 6)]
    third = Sequencer(log, lambda: snapshot.thaw(frozen, LOG, ""), "third", clock=Time().clock())
    run = asyncio.create_task(third.run())
    again = [await third.submit(opening(n)) for n in range(6)]
    await third.stop()
    await run

    assert again == receipts, "lines from before the snapshot, too"


@pytest.mark.parametrize(("home", "leads"), [("memory", True), ("postgresql:7", False)])
async def test_a_copy_is_not_led(home: str, leads: bool) -> None:
    log, _ = await one()

    async def here() -> str:
        return home

    it = Sequencer(log, lambda: Ledger(START), "me", clock=Time().clock(), home=here)
    run = asyncio.create_task(it.run())
    if leads:
        await it.submit(opening(1))
        await it.stop()
        await run
    else:
        with pytest.raises(Copied, match="lives in memory"):
            await run


async def test_a_step_of_the_wall_clock_is_not_taken_over_by_a_recovery() -> None:
    inner, time = MemoryLog(), Time()
    await begin(inner)
    log = FaultyLog(inner, ["fine", "fine", "not landed"])
    it = Sequencer(log, lambda: Ledger(START), "me", clock=Clock(lambda: time.wall_us, lambda: time.steady_us))
    run = asyncio.create_task(it.run())
    await it.submit(opening(1))
    time.wall_us += 400 * 86_400_000_000
    with pytest.raises(OutcomeUnknown):
        await it.submit(opening(2))
    receipt = await it.submit(opening(2))
    await it.stop()
    await run

    assert receipt.count == 1
    assert (await replay(inner)).at_us < NOW_US + 1_000_000


async def test_a_leader_that_meets_a_forked_log_stops() -> None:
    log, office = await one()

    class Forked(MemoryLog):
        async def read(self, after: int = 0, *, follow: bool = False):  # type: ignore[no-untyped-def]
            async for record in log.read(after):
                yield record
            yield seal(Head(LOG, 99, START.extend([b"x"] * 99).frontier), [b"y"]).record

    it = Sequencer(Forked(), lambda: Ledger(START), "me", clock=Time().clock(), lease=office.lease("me"))
    with pytest.raises(Diverged):
        await it.run()


def test_heads_that_were_passed_are_bounded_and_the_same_for_whoever_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledgers, "PASSED_MAX", 4)
    live = Ledger(START, stride=2)
    records = [live.genesis(init(), NOW_US).record]
    for n in range(40):
        live.decide(opening(n), NOW_US + n)
        sealed = live.seal(NOW_US + n)
        assert sealed is not None
        records.append(sealed.record)
    folded = Ledger(START, stride=2)
    for record in records:
        folded.fold(record)

    assert folded == live
    assert len(live.passed) <= 4
    assert live.passed[0] == START
    assert [head.size for head in live.passed] == sorted({head.size for head in live.passed})
