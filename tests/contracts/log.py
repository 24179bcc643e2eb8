"""What every log keeps to. An adapter's test is a fixture `new_log`, a context that yields an empty one, and
`from tests.contracts.log import *`."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, aclosing

import pytest

from domain.ids import LogId
from domain.log import log as logs
from domain.log.block import BLOCK_BYTES_MAX, Sealed, Void, accept, seal
from domain.log.log import Log, Lost
from domain.log.merkle import Head

START = Head(LogId("a" * 32))
NewLog = Callable[[], AbstractAsyncContextManager[Log]]


def block(head: Head, n: int = 1, says: str = "") -> Sealed:
    return seal(head, [b'{"pos":%d,"says":"%b"}' % (head.size + i, says.encode()) for i in range(1, n + 1)])


async def everything(log: Log, after: int = 0) -> list[bytes]:
    async with aclosing(log.read(after)) as records:
        return [record async for record in records]


async def next_record(log: Log, after: int) -> bytes:
    async with aclosing(log.read(after, follow=True)) as records:
        return await anext(records)


async def fold(log: Log) -> Head:
    head = START
    for record in await everything(log):
        try:
            head = accept(head, record).after
        except Void:
            continue
    return head


async def test_an_empty_log_has_no_records_and_no_origin(new_log: NewLog) -> None:
    async with new_log() as log:
        assert await everything(log) == []
        assert await logs.origin(log) is None


async def test_what_was_appended_is_read_back_byte_for_byte(new_log: NewLog) -> None:
    async with new_log() as log:
        first = block(START, 3, "\u20ac \\ \x00")
        second = block(first.after)
        await log.append(first)
        await log.append(second)

        assert await everything(log) == [first.record, second.record]
        assert await logs.origin(log) == START


@pytest.mark.parametrize(("after", "expected"), [(0, [0, 1, 2]), (2, [0, 1, 2]), (3, [1, 2]), (4, [2]), (6, []), (99, [])])
async def test_reading_starts_with_the_block_that_holds_the_next_position(new_log: NewLog, after: int, expected: list[int]) -> None:
    async with new_log() as log:
        blocks = [block(START, 3)]
        blocks += [block(blocks[0].after)]
        blocks += [block(blocks[1].after, 2)]
        for each in blocks:
            await log.append(each)

        assert await everything(log, after) == [blocks[n].record for n in expected]


async def test_more_blocks_than_one_page_are_read_in_order(new_log: NewLog) -> None:
    async with new_log() as log:
        head, records = START, list[bytes]()
        for _ in range(120):
            await log.append(sealed := block(head))
            head = sealed.after
            records.append(sealed.record)

        assert await everything(log) == records


async def test_who_follows_reads_what_there_is_and_then_sees_what_comes(new_log: NewLog) -> None:
    async with new_log() as log:
        blocks = [block(START)]
        blocks += [block(blocks[0].after)]
        blocks += [block(blocks[1].after)]
        await log.append(blocks[0])
        async with aclosing(log.read(follow=True)) as records:
            assert await anext(records) == blocks[0].record
            reading = asyncio.ensure_future(anext(records))
            await asyncio.sleep(0.02)
            for each in blocks[1:]:
                await log.append(each)

            assert [await reading, await anext(records)] == [each.record for each in blocks[1:]]


async def test_of_two_blocks_on_one_head_the_second_is_lost(new_log: NewLog) -> None:
    async with new_log() as log:
        await log.append(block(START, 1))

        for rival in (block(START, 2), block(START, 1, "other"), block(START, 1)):
            with pytest.raises(Lost):
                await log.append(rival)
        assert await fold(log) == block(START, 1).after


async def test_a_block_on_a_head_that_never_was_is_lost_and_leaves_the_place_free(new_log: NewLog) -> None:
    """A writer that outlived a restored backup, or appended behind a lost block."""
    async with new_log() as log:
        first = block(START, 1)
        second = block(first.after, 1)
        await log.append(first)
        other_history = block(START.extend([b"another history"]), 1)

        for stray in (other_history, block(second.after, 1)):
            with pytest.raises(Lost):
                await log.append(stray)
        await log.append(second)

        assert await fold(log) == second.after


async def test_a_block_beyond_the_limit_is_lost_and_leaves_the_place_free(new_log: NewLog) -> None:
    async with new_log() as log:
        over = BLOCK_BYTES_MAX - len(seal(START, [b""]).record) + 1
        with pytest.raises(Lost):
            await log.append(seal(START, [b"x" * over]))
        await log.append(largest := seal(START, [b"x" * (over - 1)]))

        assert await everything(log) == [largest.record]
        assert len(largest.record) == BLOCK_BYTES_MAX
