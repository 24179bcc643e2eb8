"""Copies keep to the contract of every log; a copy is byte for byte, goes on where it stands, and refuses what is no copy."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from obstore.store import LocalStore, MemoryStore

from adapters.copies import bucket
from adapters.copies import copy as copies
from adapters.copies.bucket import BucketLog
from adapters.copies.copy import Empty, Foreign, copy, examine, follow
from adapters.copies.segments import SegmentsLog, Taken
from domain.ids import LogId
from domain.log.block import Sealed, seal
from domain.log.log import Log, Lost, MemoryLog
from domain.log.merkle import Head
from tests.contracts.log import *  # noqa: F403
from tests.contracts.log import START, NewLog, block, everything, fold


@asynccontextmanager
async def in_bucket(folder: Path | None) -> AsyncIterator[Log]:
    yield BucketLog(LocalStore(folder, mkdir=True) if folder else MemoryStore())


@pytest.fixture(params=["segments", "memory store", "local store"])
def new_log(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NewLog:
    monkeypatch.setattr(bucket, "POLL_S", 0.05)
    monkeypatch.setattr(BucketLog, "pause_s", 0.05)

    def make() -> AbstractAsyncContextManager[Log]:
        if request.param == "segments":
            return SegmentsLog(tmp_path / "copy")
        return in_bucket(tmp_path / "objects" if request.param == "local store" else None)

    return make


async def filled(count: int, log: Log | None = None) -> Log:
    log, head = log or MemoryLog(), START
    for n in range(count):
        made = block(head, n % 3 + 1, f"number {n}")
        await log.append(made)
        head = made.after
    return log


async def end(log: Log) -> Head:
    return (await examine(log, START)).head


class Noisy(MemoryLog):
    """With void records among those that count, as Kafka may have them."""

    async def append(self, block: Sealed) -> None:
        await super().append(block)
        self._records.append((block.after.size, b"nonsense\n"))
        self._records.append((block.after.size, block.record))


async def test_a_copy_is_what_counts_byte_for_byte(new_log: NewLog) -> None:
    source = await filled(700, Noisy())
    plain = await filled(700)
    async with new_log() as target:
        before, after = await copy(source, target)

        assert before == START
        assert after == await end(source) == await fold(target)
        assert await everything(target) == await everything(plain)
        examined = await examine(source, START)
        assert examined.void == {"alien": 700, "stale": 700}


async def test_a_copy_goes_on_where_it_stands(new_log: NewLog) -> None:
    async with new_log() as target:
        await copy(await filled(5), target)
        source = await filled(9)
        before, after = await copy(source, target)
        again = await copy(source, target)

        assert (before, after) == (await end(await filled(5)), await end(source))
        assert again == (after, after)
        assert await everything(target) == await everything(source)


async def test_a_seal_and_a_bind_are_copied_too(new_log: NewLog) -> None:
    source = await filled(2)
    for kind in ("seal", "bind"):
        await source.append(seal(await end(source), [b'{"pos":0}'], kind))
        async with new_log() as target:
            _, after = await copy(source, target)
            assert after.sealed == (kind == "seal")


async def test_another_ledger_or_another_history_is_refused(new_log: NewLog) -> None:
    other, fork = MemoryLog(), MemoryLog()
    await other.append(block(Head(LogId("b" * 32))))
    await fork.append(block(START, 2, "another"))
    async with new_log() as target:
        await copy(await filled(3), target)
        kept = await everything(target)

        for source in (other, fork, await filled(2)):
            with pytest.raises(Foreign):
                await copy(source, target)
        with pytest.raises(Empty):
            await copy(MemoryLog(), target)
        assert await everything(target) == kept


async def test_who_follows_has_what_comes_until_told_to_stop(new_log: NewLog) -> None:
    source, stop, heard = await filled(3), asyncio.Event(), asyncio.Queue[Head]()
    async with new_log() as target:
        following = asyncio.create_task(follow(source, target, stop, heard.put_nowait))
        head = await end(source)
        while await heard.get() != head:
            pass
        await source.append(more := block(head))
        while await heard.get() != more.after:
            pass
        stop.set()

        assert await following == more.after
        assert await everything(target) == await everything(source)


class Failing(MemoryLog):
    """Loses every third block, or the answer to it."""

    tries = 0

    async def append(self, block: Sealed) -> None:
        self.tries += 1
        if self.tries % 3 == 0:
            raise Lost("as often")
        await super().append(block)


async def test_who_follows_goes_on_after_a_target_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "AGAIN_S", 0.0)
    source, target, stop, heard = await filled(20), Failing(), asyncio.Event(), asyncio.Queue[Head]()
    following = asyncio.create_task(follow(source, target, stop, heard.put_nowait))
    while await heard.get() != await end(source):
        pass
    stop.set()
    await following

    assert await everything(target) == await everything(source)


@pytest.mark.parametrize("left", [1, 40, 300])
async def test_what_a_crash_left_of_a_record_is_no_record_and_is_cut_off(tmp_path: Path, left: int) -> None:
    source = await filled(4)
    async with SegmentsLog(tmp_path) as target:
        await copy(source, target)
    file = tmp_path / "segment-000000.ndjson"
    whole = file.read_bytes()
    torn = block(await end(source), 3, "x" * 200)
    file.write_bytes(whole + torn.record[:left])
    log = SegmentsLog(tmp_path)

    assert await everything(log) == await everything(source)
    async with log:
        await log.append(torn)
        assert await everything(log) == [*await everything(source), torn.record]


async def test_segments_are_many_and_one_writes_to_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from adapters.copies import segments

    monkeypatch.setattr(segments, "SEGMENT_BYTES_MAX", 2_000)
    source = await filled(60)
    async with SegmentsLog(tmp_path) as target:
        await copy(source, target)
        with pytest.raises(Taken):
            await SegmentsLog(tmp_path).append(block(await end(source)))

    assert len(list(tmp_path.iterdir())) > 5
    assert await everything(SegmentsLog(tmp_path)) == await everything(source)
    assert await everything(SegmentsLog(tmp_path), 50) == await everything(source, 50)
    assert await copy(source, SegmentsLog(tmp_path)) == (await end(source), await end(source))


async def test_of_two_writers_of_one_bucket_one_wins() -> None:
    store = MemoryStore()
    one, two = BucketLog(store), BucketLog(store)
    await one.append(first := block(START))
    await two.size()
    await one.append(block(first.after, 1, "one"))
    with pytest.raises(Lost):
        await two.append(block(first.after, 1, "two"))

    assert await fold(one) == await fold(two)
