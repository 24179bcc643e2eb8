"""What every object store does. A test of an adapter subclasses `ObjectsContract` and provides the fixture `store`.

The fixture `again` opens the same store as a new process would; a store that ends with its process gives itself.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable

import pytest

from domain.work.objects import (
    ObjectMissing,
    ObjectTooLarge,
    ObjectTruncated,
    Store,
    Stored,
    UploadMissing,
    WrongHash,
    WrongOffset,
)

LARGE = bytes(range(256)) * (80 << 10)
"""20 MiB: more than a part of any store."""


def name(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


async def chunks(content: bytes, size: int = 1 << 20) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def broken(content: bytes) -> AsyncIterator[bytes]:
    async for chunk in chunks(content):
        yield chunk
    raise ConnectionError("the client went away")


async def read(store: Store, sha256: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in await store.open(sha256, start, end)])


class ObjectsContract:
    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError

    @pytest.fixture
    def again(self, store: Store) -> Callable[[], Store]:
        return lambda: store

    @pytest.fixture
    def left(self, store: Store) -> Callable[[], list[str]]:
        """All that lies in the store, by whatever way its medium has of telling."""
        raise NotImplementedError

    @pytest.mark.parametrize("content", [b"", b"x", LARGE], ids=["empty", "small", "large"])
    @pytest.mark.parametrize("known", [True, False], ids=["announced", "unannounced"])
    async def test_what_was_put_is_read_back_under_its_hash(self, store: Store, content: bytes, known: bool) -> None:
        stored = await store.put(chunks(content), sha256=name(content) if known else None, size=len(content) if known else None)

        assert stored == Stored(name(content), len(content))
        assert await read(store, stored.sha256) == content
        assert await store.size(stored.sha256) == len(content)

    async def test_putting_the_same_again_changes_nothing(self, store: Store, left: Callable[[], list[str]]) -> None:
        await store.put(chunks(b"same"))
        before = left()
        await store.put(chunks(b"same"), sha256=name(b"same"))

        assert left() == before
        assert len(before) == 1

    @pytest.mark.parametrize(("start", "end"), [(0, 1), (5, 9), (len(LARGE) - 3, None), (7, 1 << 40), (9 << 20, (9 << 20) + 5)])
    async def test_a_range_is_those_bytes(self, store: Store, start: int, end: int | None) -> None:
        await store.put(chunks(LARGE))

        assert await read(store, name(LARGE), start, end) == LARGE[start:end]

    @pytest.mark.parametrize(("start", "end"), [(4, None), (1 << 40, None), (2, 2), (3, 1)])
    async def test_a_range_of_nothing_is_empty(self, store: Store, start: int, end: int | None) -> None:
        await store.put(chunks(b"four"))

        assert await read(store, name(b"four"), start, end) == b""

    @pytest.mark.parametrize("content", [b"short", LARGE], ids=["small", "large"])
    async def test_a_wrong_hash_is_refused_and_leaves_nothing(self, store: Store, left: Callable[[], list[str]], content: bytes) -> None:
        with pytest.raises(WrongHash) as refusal:
            await store.put(chunks(content), sha256=name(b"other"))

        assert refusal.value.facts == {"expected": name(b"other"), "given": name(content)}
        assert left() == []

    @pytest.mark.parametrize("known", [True, False], ids=["announced", "unannounced"])
    async def test_a_truncated_object_is_refused_and_leaves_nothing(self, store: Store, left: Callable[[], list[str]], known: bool) -> None:
        with pytest.raises(ObjectTruncated) as refusal:
            await store.put(chunks(LARGE[:-1]), sha256=name(LARGE) if known else None, size=len(LARGE))

        assert refusal.value.facts == {"expected": len(LARGE), "given": len(LARGE) - 1}
        assert left() == []

    async def test_an_object_beyond_the_cap_is_refused_at_the_first_byte_too_many(
        self, store: Store, left: Callable[[], list[str]]
    ) -> None:
        taken = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal taken
            while True:
                taken += 1
                yield bytes(1 << 20)

        with pytest.raises(ObjectTooLarge):
            await store.put(endless(), size_max=12 << 20)

        assert taken <= 14
        assert left() == []

    async def test_an_object_longer_than_announced_is_refused(self, store: Store, left: Callable[[], list[str]]) -> None:
        with pytest.raises(ObjectTooLarge) as refusal:
            await store.put(chunks(b"12345"), size=4)

        assert refusal.value.facts == {"maximum": 4}
        assert left() == []

    async def test_a_client_that_goes_away_leaves_nothing(self, store: Store, left: Callable[[], list[str]]) -> None:
        with pytest.raises(ConnectionError):
            await store.put(broken(LARGE), sha256=name(LARGE))

        assert left() == []

    async def test_a_cancelled_put_leaves_nothing(self, store: Store, left: Callable[[], list[str]]) -> None:
        reached = asyncio.Event()

        async def stalled() -> AsyncIterator[bytes]:
            async for chunk in chunks(LARGE):
                yield chunk
            reached.set()
            await asyncio.sleep(60)

        task = asyncio.ensure_future(store.put(stalled(), sha256=name(LARGE)))
        await asyncio.wait_for(reached.wait(), 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for _ in range(100):
            if left() == []:
                break
            await asyncio.sleep(0.02)

        assert left() == []

    @pytest.mark.parametrize("sha256", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 65, "0" * 63 + "\n", "..%2f" * 12 + "abcd"])
    async def test_what_is_no_hash_names_nothing(self, store: Store, left: Callable[[], list[str]], sha256: str) -> None:
        with pytest.raises(ObjectMissing):
            await store.open(sha256)
        with pytest.raises(ObjectMissing):
            await store.put(chunks(b"x"), sha256=sha256)
        with pytest.raises(ObjectMissing):
            await store.begin("acct-1", sha256, 1)

        assert not await store.exists(sha256)
        assert left() == []

    async def test_an_unknown_object_is_missing(self, store: Store) -> None:
        with pytest.raises(ObjectMissing):
            await store.open(name(b"never"))
        with pytest.raises(ObjectMissing):
            await store.size(name(b"never"))

        assert not await store.exists(name(b"never"))

    async def test_an_upload_in_pieces_becomes_the_object(
        self, store: Store, again: Callable[[], Store], left: Callable[[], list[str]]
    ) -> None:
        upload = await store.begin("acct-7", name(LARGE), len(LARGE))
        for start in range(0, len(LARGE), 9 << 20):
            # Each piece reaches a process of its own: nothing but the store remembers.
            upload = await again().append(upload.id, upload.offset, chunks(LARGE[start : start + (9 << 20)]))
        stored = await again().complete(upload.id)

        assert stored == Stored(name(LARGE), len(LARGE))
        assert await read(store, stored.sha256) == LARGE
        assert len(left()) == 1

    async def test_an_upload_tells_its_owner_and_how_far_it_got(self, store: Store, again: Callable[[], Store]) -> None:
        upload = await store.begin("acct-7", name(b"12345"), 5)
        await store.append(upload.id, 0, chunks(b"123"))
        found = await again().progress(upload.id)

        assert (found.owner, found.sha256, found.bytes, found.offset) == ("acct-7", name(b"12345"), 5, 3)

    @pytest.mark.parametrize("offset", [0, 2, 4, 1 << 60])
    async def test_a_wrong_offset_is_answered_with_the_right_one(self, store: Store, offset: int) -> None:
        upload = await store.begin("acct-7", name(b"12345"), 5)
        await store.append(upload.id, 0, chunks(b"123"))
        with pytest.raises(WrongOffset) as refusal:
            await store.append(upload.id, offset, chunks(b"45"))

        assert refusal.value.facts == {"expected": 3, "given": offset}
        assert (await store.progress(upload.id)).offset == 3

    async def test_a_broken_connection_keeps_what_came(self, store: Store) -> None:
        upload = await store.begin("acct-7", name(LARGE), len(LARGE))
        with pytest.raises(ConnectionError):
            await store.append(upload.id, 0, broken(LARGE[: 11 << 20]))
        kept = (await store.progress(upload.id)).offset
        await store.append(upload.id, kept, chunks(LARGE[kept:]))
        await store.complete(upload.id)

        assert kept == 11 << 20
        assert await read(store, name(LARGE)) == LARGE

    async def test_of_two_writers_of_the_same_bytes_one_wins(self, store: Store) -> None:
        upload = await store.begin("acct-7", name(b"12345"), 5)
        outcomes = await asyncio.gather(*(store.append(upload.id, 0, chunks(b"12345")) for _ in range(4)), return_exceptions=True)
        await store.complete(upload.id)

        assert sum(isinstance(outcome, WrongOffset) for outcome in outcomes) == 3
        assert await read(store, name(b"12345")) == b"12345"

    async def test_more_than_was_announced_is_refused(self, store: Store) -> None:
        upload = await store.begin("acct-7", name(b"12345"), 5)
        with pytest.raises(ObjectTooLarge):
            await store.append(upload.id, 0, chunks(b"123456", 6))

        assert (await store.progress(upload.id)).offset == 0

    async def test_an_upload_beyond_the_cap_does_not_begin(self, store: Store, left: Callable[[], list[str]]) -> None:
        with pytest.raises(ObjectTooLarge):
            await store.begin("acct-7", name(b"x"), 101, size_max=100)

        assert left() == []

    async def test_an_unfinished_upload_stays_open(self, store: Store) -> None:
        upload = await store.begin("acct-7", name(b"12345"), 5)
        await store.append(upload.id, 0, chunks(b"123"))
        with pytest.raises(ObjectTruncated) as refusal:
            await store.complete(upload.id)
        await store.append(upload.id, 3, chunks(b"45"))

        assert refusal.value.facts == {"expected": 5, "given": 3}
        assert await store.complete(upload.id) == Stored(name(b"12345"), 5)

    async def test_an_upload_with_the_wrong_hash_ends_and_leaves_nothing(self, store: Store, left: Callable[[], list[str]]) -> None:
        upload = await store.begin("acct-7", name(b"12345"), 5)
        await store.append(upload.id, 0, chunks(b"54321"))
        with pytest.raises(WrongHash):
            await store.complete(upload.id)
        with pytest.raises(UploadMissing):
            await store.progress(upload.id)

        assert left() == []

    async def test_an_abandoned_upload_leaves_nothing(self, store: Store, left: Callable[[], list[str]]) -> None:
        upload = await store.begin("acct-7", name(LARGE), len(LARGE))
        await store.append(upload.id, 0, chunks(LARGE[: 9 << 20]))
        await store.abandon(upload.id)
        await store.abandon(upload.id)

        assert left() == []

    @pytest.mark.parametrize("upload", ["", "../objects", "0" * 32, "0" * 31 + "/", "0" * 32 + "\n"])
    async def test_an_unknown_upload_is_missing(self, store: Store, upload: str) -> None:
        with pytest.raises(UploadMissing):
            await store.append(upload, 0, chunks(b"x"))
        with pytest.raises(UploadMissing):
            await store.complete(upload)
        await store.abandon(upload)
