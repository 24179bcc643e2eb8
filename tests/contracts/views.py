"""What every store of views keeps to. An adapter's test is a fixture `new_views`, a context that yields empty ones for some projections,
and `from tests.contracts.views import *`."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from copy import copy
from typing import ClassVar, Protocol

import msgspec
import pytest
from msgspec import UNSET

from domain.event import Event, Recorded
from domain.log.merkle import Head
from domain.units import ZERO, Units
from projections.row import Batch, Change, First, Id, Index, Key, Last, Projection, Row, Sum, Sweep, Unindexed
from projections.views import Behind, Move, Store, Views
from tests.network import LOG

START = Head(LOG)


class Inner(msgspec.Struct, frozen=True):
    word: str
    amount: Units


class Thing(Row):
    table: ClassVar[str] = "thing"
    indexes: ClassVar[tuple[Index, ...]] = (Index(("colour",)), Index(("colour", "n")), Index(("colour",), "born"), Index((), "born"))
    thing: Id
    n: Key[int]
    colour: Last[str] = UNSET
    born: First[int] = UNSET
    seen: Last[bool] = UNSET
    first: First[str] = UNSET
    amount: Sum[Units] = ZERO
    times: Sum[int] = 0
    words: Last[tuple[str, ...]] = UNSET
    inner: Last[Inner] = UNSET
    price: Last[Units] = UNSET


class Word(Row):
    """Nothing but a key."""

    table: ClassVar[str] = "word"
    word: Key[str]


class Things(Projection):
    name = "things"
    rows = (Thing, Word)

    def fold(self, e: Recorded[Event]) -> Iterator[Change]:
        yield Word(e.stream)


class Others(Projection):
    name = "others"
    rows = ()


class Both(Views, Store, Protocol): ...


NewViews = Callable[..., AbstractAsyncContextManager[Both]]
THINGS = Things()


def head(size: int) -> Head:
    return START.extend([b"%d" % n for n in range(size)])


def move(before: int, after: int, *changes: Change, projection: Projection = THINGS) -> Move:
    batch = Batch()
    for change in changes:
        batch.add(change)
    return Move(projection, batch, head(before), head(after))


async def filled(views: Both, *changes: Change) -> None:
    assert await views.head(THINGS) is None
    await views.write(move(0, 1, *changes))


async def test_nothing_is_at_position_zero(new_views: NewViews) -> None:
    async with new_views(THINGS) as views:
        read, page = await views.get(Thing, "thing-1", 1), await views.page(Thing)

        assert (read.row, read.position) == (None, 0)
        assert (page.rows, page.position, page.more) == ([], 0, False)


async def test_a_row_comes_back_as_it_was_written(new_views: NewViews) -> None:
    row = Thing("thing-1", 2, "red", 7, True, "é\n\"'\\", Units(10**25), -3, ("a", "b\u2028"), Inner("x", Units(5)), Units(0))
    bare = Thing("thing-2", 0)
    async with new_views(THINGS) as views:
        await filled(views, row, bare, Word("w"))

        assert (await views.get(Thing, "thing-1", 2)).row == row
        assert (await views.get(Thing, "thing-2", 0)).row == bare
        assert (await views.get(Word, "w")).row == Word("w")


async def test_columns_take_changes_by_their_type_within_a_batch_and_across(new_views: NewViews) -> None:
    changes = [
        Thing("thing-1", 1, "red", 5, False, amount=Units(10), times=1, words=("a",)),
        Thing("thing-1", 1, born=6, first="one", amount=Units(-25), times=1),
        Thing("thing-1", 1, "blue", seen=True, first="two", amount=Units(10**20), words=(), price=Units(3)),
    ]
    expected = Thing("thing-1", 1, "blue", 5, True, "one", Units(10**20 - 15), 2, (), price=Units(3))
    async with new_views(THINGS) as views:
        await filled(views, *map(copy, changes))
        assert (await views.get(Thing, "thing-1", 1)).row == expected
    async with new_views(THINGS) as views:
        assert await views.head(THINGS) is None
        for n, change in enumerate(changes):
            await views.write(move(n, n + 1, change))
        assert (await views.get(Thing, "thing-1", 1)).row == expected


async def test_a_sweep_changes_what_matched_when_it_came(new_views: NewViews) -> None:
    red = [Thing(f"thing-{n}", 1, "red", n) for n in (1, 2)]
    sweep = Sweep(Thing, {"colour": "red", "n": 1}, {"colour": "blue", "times": 9})
    async with new_views(THINGS) as views:
        await filled(views, *red, Thing("thing-3", 2, "red", 3), sweep, Thing("thing-2", 1, times=1), Thing("thing-4", 1, "red", 4))
        await views.write(move(1, 2, Sweep(Thing, {"colour": "red", "n": 2}, {"colour": "green"})))
        rows = {row.thing: (row.colour, row.times) for row in (await views.page(Thing)).rows}

        assert rows == {"thing-1": ("blue", 9), "thing-2": ("blue", 10), "thing-3": ("green", 0), "thing-4": ("red", 0)}


async def test_ids_are_sorted_by_their_numbers(new_views: NewViews) -> None:
    ids = ["thing-9", "bench-10", "thing-11", "thing-11/2", "thing-11/10", "bench-100"]
    async with new_views(THINGS) as views:
        await filled(views, *[Thing(id, 1, "red", 1) for id in reversed(ids)])

        assert [row.thing for row in (await views.page(Thing)).rows] == ids
        assert [row.thing for row in (await views.page(Thing, where={"colour": "red"}, descending=True)).rows] == ids[::-1]


async def test_text_is_sorted_by_code_points(new_views: NewViews) -> None:
    words = ["", "A", "B", "a", "a b", "a-b", "ab", "é", "\U0001f600"]
    async with new_views(THINGS) as views:
        await filled(views, *map(Word, reversed(words)))

        assert [row.word for row in (await views.page(Word)).rows] == words


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(
    ("where", "by"), [({}, ""), ({}, "born"), ({"colour": "red"}, ""), ({"colour": "red"}, "born"), ({"thing": "thing-3"}, "")]
)
async def test_pages_follow_each_other_without_gap_or_repetition(
    new_views: NewViews, where: dict[str, str], by: str, *, descending: bool
) -> None:
    rows = [Thing(f"thing-{a}", b, "red" if (a + b) % 3 else "blue", (7 * a + b) % 5) for a in range(1, 13) for b in range(4)]
    async with new_views(THINGS) as views:
        await filled(views, *rows)
        whole = await views.page(Thing, where=where, by=by, descending=descending)
        expected = [row for row in rows if all(getattr(row, name) == value for name, value in where.items())]
        expected.sort(key=lambda row: ((row.born,) if by else (), int(row.thing[6:]), row.n), reverse=descending)
        seen, after = list[Thing](), None
        while True:
            page = await views.page(Thing, where=where, by=by, after=after, limit=5, descending=descending)
            seen += page.rows
            if (after := page.next) is None:
                break
            assert len(page.rows) == 5

        assert whole.rows == expected
        assert seen == expected
        assert not whole.more


async def test_what_has_no_index_is_refused(new_views: NewViews) -> None:
    async with new_views(THINGS) as views:
        for where, by in (({"n": 1}, ""), ({"seen": 1}, ""), ({"thing": "thing-1"}, "born"), ({}, "amount"), ({"no_such": 1}, "")):
            with pytest.raises(Unindexed):
                await views.page(Thing, where=where, by=by)


async def test_nonsense_from_outside_is_a_value_error(new_views: NewViews) -> None:
    async with new_views(THINGS) as views:
        for key in (("thing-1",), ("thing-1", "1"), ("thing", 1), ("thing-1/2/3", 1), ("thing-1\0", 1), ("thing-1", 2**53), (1, 1)):
            with pytest.raises(ValueError):
                await views.get(Thing, *key)
        for after in ((), ("thing-1",), ("x", 1), ("thing-1", 1, 1), ("thing-99999999999999999999", 1)):
            with pytest.raises(ValueError):
                await views.page(Thing, after=after)
        for where in ({"colour": 1}, {"colour": "\0"}, {"thing": "';--"}):
            with pytest.raises(ValueError):
                await views.page(Thing, where=where)


async def test_the_head_moves_with_the_rows(new_views: NewViews) -> None:
    async with new_views(THINGS) as views:
        await filled(views, Word("a"))

        assert await views.head(THINGS) == head(1)
        assert (await views.get(Word, "a")).position == 1
        assert (await views.get(Thing, "thing-1", 1)).position == 1


async def test_who_is_behind_changes_nothing(new_views: NewViews) -> None:
    async with new_views(THINGS) as views:
        await filled(views, Word("a"))
        for stale in (move(0, 3, Word("b")), move(2, 3, Word("b"))):
            with pytest.raises(Behind):
                await views.write(stale)

        assert await views.head(THINGS) == head(1)
        assert (await views.get(Word, "b")).row is None


async def test_several_projections_move_together_or_not_at_all(new_views: NewViews) -> None:
    others = Others()
    async with new_views(THINGS, others) as views:
        assert (await views.head(THINGS), await views.head(others)) == (None, None)
        await views.write(move(0, 2, Word("a")), move(0, 1, projection=others))
        with pytest.raises(Behind):
            await views.write(move(2, 3, Word("b")), move(0, 3, projection=others))

        assert (await views.head(THINGS), await views.head(others)) == (head(2), head(1))
        assert (await views.get(Word, "b")).row is None


async def test_who_waits_for_a_position_is_told_when_it_is_reached(new_views: NewViews) -> None:
    async with new_views(THINGS) as views:
        await filled(views)
        waiting = asyncio.create_task(views.reached(Thing, 3, 30))
        await asyncio.sleep(0.05)
        await views.write(move(1, 2))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await views.write(move(2, 4))

        assert await waiting == 4
        assert await views.reached(Thing, 4, 0) == 4


async def test_who_waits_in_vain_is_told_where_the_view_stands(new_views: NewViews) -> None:
    async with new_views(THINGS) as views:
        await filled(views)

        assert await views.reached(Thing, 2, 0.05) == 1


async def test_what_a_reader_got_does_not_change_under_him(new_views: NewViews) -> None:
    async with new_views(THINGS) as views:
        await filled(views, Thing("thing-1", 1, "red"))
        row, page = (await views.get(Thing, "thing-1", 1)).row, await views.page(Thing)
        await views.write(move(1, 2, Thing("thing-1", 1, "blue")))

        assert row == Thing("thing-1", 1, "red")
        assert page.rows == [row]
