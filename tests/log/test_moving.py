"""A ledger moves: sealed where it was, bound where it is. Whatever interrupts that, the next try makes good; a lost home is left behind."""

from collections.abc import Iterable, Sequence

import pytest

from adapters.copies import moving
from adapters.copies.copy import Empty, Foreign, copy
from adapters.copies.moving import Elsewhere, move, restore
from adapters.sequencer import Sequencer
from adapters.succession import Behind, Copied
from domain.log.block import Broken, Kind, seal
from domain.log.ledger import Ledger, Moved
from domain.log.log import Log, MemoryLog
from domain.log.merkle import Head, Mark
from tests.contracts.log import block, everything
from tests.log.faulty import Fault, FaultyLog
from tests.log.ledgers import NOW_US, START, begin, opening, replay, replayed

STEPS = "read", "sealed", "copied", "bound"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "RETRY_S", 0.0)


class Place(FaultyLog):
    """A home of its own name."""

    def __init__(self, name: str, faults: Iterable[Fault] = ()) -> None:
        super().__init__(MemoryLog(), faults)
        self.name = name

    async def home(self) -> str:
        return self.name


async def now_us() -> int:
    return NOW_US + 60_000_000


class Killed(BaseException):
    """In the middle of it."""


def dies(at: str) -> moving.Tell:
    def tell(step: str) -> None:
        if step == at:
            raise Killed

    return tell


async def begun(count: int = 3) -> Place:
    """A ledger that lives in memory, and of whom some opened accounts."""
    log = Place("memory")
    await begin(log)
    await worked(log, count)
    return log


async def worked(log: Log, count: int) -> None:
    ledger = await replay(log)
    for n in range(count):
        ledger.decide(opening(ledger.head.size + n, ledger.at_us + 1), ledger.at_us + 1)
        made = ledger.seal(ledger.at_us)
        assert made is not None
        await log.append(made)


async def moved(old: Place, new: Place, seen: Sequence[Mark] = (), at: str = "") -> tuple[Head, Ledger]:
    return await move(old, new, "mover", now_us, seen, dies(at))


async def restored(source: Log, new: Place, seen: Sequence[Mark] = (), at: str = "") -> tuple[Head, Ledger]:
    return await restore(source, new, "mover", now_us, seen, dies(at))


async def test_both_homes_have_one_head_and_the_old_one_is_sealed() -> None:
    old, new = await begun(), Place("new")
    before = await everything(old)
    sealed, ledger = await moved(old, new)
    records = await everything(new)

    assert (await replay(old)).head == sealed
    assert sealed.sealed
    assert records[: len(before)] == before
    assert records[:-1] == await everything(old)
    assert len(records) == len(before) + 2
    assert await replay(new) == ledger
    assert (ledger.world.home, ledger.world.heir) == ("new", "")


async def test_work_goes_on_at_the_new_home_and_on_the_way_back() -> None:
    old, new = await begun(), Place("new")
    await moved(old, new)
    await worked(new, 2)
    _, ledger = await moved(new, old)
    await worked(old, 2)

    assert ledger.world.home == "memory"
    assert (await everything(old))[: len(await everything(new))] == await everything(new)
    assert (await moved(old, Place("third")))[1].world.home == "third"


@pytest.mark.parametrize("step", STEPS)
async def test_a_move_that_died_goes_on(step: str) -> None:
    old, new = await begun(), Place("new")
    with pytest.raises(Killed):
        await moved(old, new, at=step)
    sealed, ledger = await moved(old, new)
    again = await moved(old, new)

    assert again == (sealed, ledger)
    assert (await replay(old)).head == sealed
    assert [it.world.home for it in (await replay(new), await replay(old))] == ["new", "memory"]
    assert len(await everything(new)) == len(await everything(old)) + 1


@pytest.mark.parametrize("fault", ["lost", "landed", "not landed", "late"])
async def test_seal_and_bind_are_there_once_whatever_the_logs_answer(fault: Fault) -> None:
    old = await begun()
    old._faults = iter([fault])
    before: list[Fault] = ["fine"] * (len(await everything(old)) + 1)
    new = Place("new", [*before, fault])
    await moved(old, new)

    assert len(await everything(new)) == len(await everything(old)) + 1
    assert (await replay(new)).world.home == "new"


async def test_a_sealed_ledger_decides_nothing_and_is_not_led() -> None:
    old, new = await begun(), Place("new")
    await moved(old, new)
    ledger, before = await replay(old), await everything(old)

    with pytest.raises(Moved, match="goes on at new"):
        ledger.decide(opening(9, ledger.at_us + 1), ledger.at_us + 1)
    with pytest.raises(Moved):
        ledger.election("somebody", ledger.at_us + 1)
    with pytest.raises(Moved, match="to go on at new"):
        await Sequencer(old, lambda: Ledger(START), "somebody", home=old.home).run()
    assert await everything(old) == before


async def test_a_move_that_began_goes_to_the_home_that_the_seal_names() -> None:
    old = await begun()
    with pytest.raises(Killed):
        await moved(old, Place("new"), at="sealed")
    before = await everything(old)
    with pytest.raises(Elsewhere, match="go on at new"):
        await moved(old, Place("another"))

    assert await everything(old) == before


async def test_what_is_no_home_of_the_ledger_or_has_lost_its_end_is_not_moved() -> None:
    old, copied, new = await begun(), Place("copy"), Place("new")
    await copy(old, copied)
    head = (await replay(old)).head.extend([b"more"])
    with pytest.raises(Copied):
        await moved(copied, new)
    with pytest.raises(Behind):
        await moved(old, new, [head.mark])
    with pytest.raises(Empty):
        await moved(Place("nothing"), new)

    assert await everything(new) == []
    assert not (await replay(old)).head.sealed


async def test_a_home_with_another_history_is_refused_before_the_bind() -> None:
    old, new = await begun(), Place("new")
    await new.append(block(START, 2))
    before = await everything(new)
    with pytest.raises(Foreign):
        await moved(old, new)

    assert await everything(new) == before


async def test_a_ledger_whose_home_is_lost_goes_on_from_its_copy() -> None:
    old, copied, new = await begun(), MemoryLog(), Place("new")
    await copy(old, copied)
    kept = await everything(copied)
    head, ledger = await restored(copied, new)
    await worked(new, 2)

    assert head == (await replay(copied)).head
    assert ledger.world.home == "new"
    assert len(await everything(new)) == len(kept) + 4
    assert await everything(copied) == kept, "the copy stays what it was"
    assert b'"reason":"lost"' in (await everything(new))[len(kept)]


@pytest.mark.parametrize("step", ["copied", "bound"])
async def test_a_restoration_that_died_goes_on(step: str) -> None:
    old, new = await begun(), Place("new")
    with pytest.raises(Killed):
        await restored(old, new, at=step)
    head, ledger = await restored(old, new)

    assert await restored(old, new) == (head, ledger)
    assert len(await everything(new)) == len(await everything(old)) + 2


async def test_a_ledger_is_restored_in_the_middle_of_a_move_whose_goal_is_lost() -> None:
    old, new = await begun(), Place("new")
    with pytest.raises(Killed):
        await moved(old, Place("lost"), at="sealed")
    _, ledger = await restored(old, new)

    assert ledger.world.home == "new"
    assert len(await everything(new)) == len(await everything(old)) + 3, "bound to what is lost, sealed, bound"


async def test_a_copy_that_ends_before_what_was_read_is_not_restored() -> None:
    old, copied, new = await begun(), MemoryLog(), Place("new")
    await copy(old, copied)
    await worked(old, 1)
    with pytest.raises(Behind):
        await restored(copied, new, [(await replay(old)).head.mark])

    assert await everything(new) == []


def forged(of: bytes, head: Head, kind: Kind) -> bytes:
    """The lines of another record, told at this place."""
    return seal(head, of.split(b"\n")[1:-1], kind).record


async def test_a_block_whose_kind_and_event_differ_stops_whoever_folds_it() -> None:
    old, new = await begun(), Place("new")
    await moved(old, new)
    *_, plain, ending, binding = await everything(new)
    sealed, opened = await replay(old), replayed(*(await everything(old))[:-1])

    for ledger, record in [
        (opened, forged(ending, opened.head, "block")),
        (opened, forged(binding, opened.head, "block")),
        (opened, forged(plain, opened.head, "seal")),
        (sealed, forged(ending, sealed.head, "bind")),
        (sealed, forged(binding.replace(b'"home":"new"', b'"home":"old"'), sealed.head, "bind")),
    ]:
        before = ledger.head
        with pytest.raises(Broken):
            ledger.fold(record)
        assert ledger.head == before
