"""Snapshots on disk: whole or not there, the newest three, of no use to another version; and compared with who follows the log."""

import asyncio
import errno
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from adapters.log import snapshots as folders
from adapters.log.follower import Follower
from adapters.log.snapshots import Differs, Snapshots
from adapters.server import recorder as recorders
from adapters.server.recorder import Recorder
from adapters.succession import Behind
from domain.log import snapshot
from domain.log.ledger import Ledger
from domain.log.log import MemoryLog
from tests.log.ledgers import LOG, NOW_US, START, opened, opening


async def written(log: MemoryLog, blocks: int) -> list[int]:
    """A log of so many blocks; the sizes at which they end."""
    ledger, first = opened()
    await log.append(first)
    sizes = [first.after.size]
    for n in range(1, blocks):
        ledger.decide(opening(n), NOW_US + n)
        block = ledger.seal(NOW_US + n)
        assert block is not None
        await log.append(block)
        sizes.append(block.after.size)
    return sizes


def names(folder: Path) -> list[int]:
    return sorted(int(file.name.partition("-")[0]) for file in folder.iterdir())


async def test_the_newest_is_what_one_starts_from_and_three_are_kept(tmp_path: Path) -> None:
    log, kept = MemoryLog(), Snapshots(tmp_path / "snapshots", LOG)
    sizes = await written(log, 6)
    assert kept.newest() == Ledger(START)
    for size in sizes:
        header = await kept.make(log, size)
        assert (header.size, kept.newest().head.size) == (size, size)

    assert names(tmp_path / "snapshots") == sizes[-3:]
    assert [mark.size for mark in kept.marks()] == sizes[-3:][::-1]


async def test_each_is_folded_from_the_one_before_and_equal_to_one_from_the_beginning(tmp_path: Path) -> None:
    log, one, other = MemoryLog(), Snapshots(tmp_path / "one", LOG), Snapshots(tmp_path / "other", LOG)
    *_, early, last = await written(log, 6)
    await one.make(log, early)

    assert await one.make(log) == await other.make(log, last)


async def test_one_that_is_folded_anew_finds_a_state_that_was_wrong_all_along(tmp_path: Path) -> None:
    log, kept = MemoryLog(), Snapshots(tmp_path, LOG)
    *_, early, last = await written(log, 6)
    await kept.make(log, early)
    wrong = kept.newest()
    wrong.world.final_block = 7
    kept.keep(snapshot.freeze(wrong, kept.fold))
    inherited = await kept.make(log, last)
    with pytest.raises(Differs, match=f"position {last}"):
        await kept.make(log, last, anew=True)

    assert kept.newest().world.final_block == 7, "the earlier one stands"
    assert (await kept.make(log, last, anew=True)).sha256 != inherited.sha256


async def test_a_damaged_one_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log, kept = MemoryLog(), Snapshots(tmp_path, LOG)
    first, *_, last = await written(log, 4)
    await kept.make(log, first)
    await kept.make(log, last)
    newest = max(tmp_path.iterdir())
    newest.write_bytes(newest.read_bytes()[:-10])

    assert kept.newest().head.size == first
    assert "of no use" in caplog.text


async def test_another_version_of_the_code_begins_anew_but_knows_how_far_the_log_went(tmp_path: Path) -> None:
    log, kept = MemoryLog(), Snapshots(tmp_path, LOG)
    *_, last = await written(log, 3)
    await kept.make(log)
    kept.fold = "e" * 64

    assert kept.newest() == Ledger(START)
    assert [mark.size for mark in kept.marks()] == [last]


def test_the_version_of_the_code_is_that_of_its_sources() -> None:
    assert len(folders.fold_version()) == 64
    assert folders.fold_version() == folders.fold_version()


async def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, kept = MemoryLog(), Snapshots(tmp_path, LOG)
    first, *_ = await written(log, 3)
    await kept.make(log, first)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="space"):
        await kept.make(log)

    assert names(tmp_path) == [first]


async def test_what_stands_beyond_the_log_is_not_folded_on(tmp_path: Path) -> None:
    log, kept = MemoryLog(), Snapshots(tmp_path, LOG)
    await written(log, 3)
    await kept.make(log)
    shorter = MemoryLog()
    await written(shorter, 2)

    with pytest.raises(Behind):
        await kept.make(shorter)
    with pytest.raises(Behind, match="no block of the log ends"):
        await kept.make(log, 3)


class Beside:
    """A recorder whose process is this one."""

    def __init__(self, folder: Path, log: MemoryLog, monkeypatch: pytest.MonkeyPatch) -> None:
        self.follower, self.kept = Follower(log, Ledger(START)), Snapshots(folder, LOG)
        self.recorder = Recorder(self.follower, self.kept, folder, every_events=1)
        self.lies: dict[str, Any] = {}

        async def made(arguments: list[str]) -> dict[str, Any] | None:
            header = await self.kept.make(log, int(arguments[3]))
            return {"size": header.size, "root": header.root, "sha256": header.sha256} | self.lies

        monkeypatch.setattr(self.recorder, "_made", made)


async def test_the_one_who_follows_and_the_one_who_folds_anew_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = MemoryLog()
    it = Beside(tmp_path, log, monkeypatch)
    *_, last = await written(log, 5)
    following = asyncio.create_task(it.follower.run())
    await it.follower.reached(last, 5)
    await it.recorder.record()
    following.cancel()

    assert names(tmp_path) == [last]


async def test_a_state_that_differs_stops_the_server_and_is_never_started_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = MemoryLog()
    it = Beside(tmp_path, log, monkeypatch)
    *_, last = await written(log, 5)
    following = asyncio.create_task(it.follower.run())
    await it.follower.reached(last, 5)
    it.follower.world.final_block = 7  # somebody wrote into a world that is to be read only
    with pytest.raises(Differs, match=f"position {last}"):
        await it.recorder.record()
    following.cancel()

    assert it.kept.newest() == Ledger(START)
    assert [file.suffix for file in tmp_path.iterdir()] == [".wrong"]


async def test_a_process_that_fails_is_a_warning_not_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    follower = Follower(MemoryLog(), Ledger(START))
    monkeypatch.setattr(sys, "executable", "/bin/false")
    await Recorder(follower, Snapshots(tmp_path, LOG), tmp_path).record()

    assert "no snapshot was made" in caplog.text


async def test_a_snapshot_is_due_after_so_many_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, recorded = MemoryLog(), list[int]()
    monkeypatch.setattr(recorders, "LOOK_S", 0)
    follower = Follower(log, Ledger(START))
    recorder = Recorder(follower, Snapshots(tmp_path, LOG), tmp_path, every_events=14)

    async def record() -> None:
        recorded.append(follower.head.size)
        recorder._size = follower.head.size

    monkeypatch.setattr(recorder, "record", record)
    running, following = asyncio.create_task(recorder.run()), asyncio.create_task(follower.run())
    sizes = await written(log, 2)
    await follower.reached(sizes[-1], 5)
    await asyncio.sleep(0.02)
    assert recorded == []
    ledger = snapshot.thaw(follower.freeze(""), LOG, "")
    ledger.decide(opening(8), NOW_US + 9)
    block = ledger.seal(NOW_US + 9)
    assert block is not None
    await log.append(block)
    await follower.reached(block.after.size, 5)
    await asyncio.sleep(0.02)
    running.cancel()
    following.cancel()

    assert recorded == [block.after.size]
