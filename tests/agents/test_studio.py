"""The studio: scenes are hashed, children are kept and ended, and whatever goes wrong has a word."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from domain.ids import JobId, TaskId
from domain.log.answers import Problem, Unanswered
from domain.units import Units
from domain.work import job, manifest, terms, tiles
from domain.work.task import End
from tests.agents import made
from tests.agents.office import Office, Painter, Tile
from tests.network import Network
from worker_runtime import ports
from worker_runtime.gpu.assets import SceneRefused
from worker_runtime.gpu.mitsuba import EngineFailed
from worker_runtime.studio import Cache, Studio, Unrendered

ASSET = b"<scene/>"
TASK = TaskId("job-9/2")


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    before = Painter.alive
    yield
    assert Painter.alive == before


class Counting(Office):
    """Counts what is downloaded."""

    def __init__(self) -> None:
        super().__init__(Network(signs=False), 1)
        self.asked: list[str] = []
        self.fault: Exception | None = None

    async def asset(self, job: JobId, wanted: manifest.Asset) -> bytes:
        self.asked.append(wanted.name)
        if self.fault:
            raise self.fault
        return await super().asset(job, wanted)


def submitted(scene: manifest.Manifest, **more: object) -> job.Submitted:
    spec = terms.Spec(frames=2, size=(32, 32), tiles=(2, 2), group=2, samples=4, seed=1)
    of = tiles.spec_sha256(
        engine="mitsuba",
        build="mitsuba-3.9.1",
        manifest_sha256=scene.sha256(),
        frames=2,
        size=spec.size,
        tiles=spec.tiles,
        group=2,
        samples=4,
        seed=1,
    )
    facts = {"job": JobId("job-9"), "creator": "account-3", "engine": "mitsuba", "build": "mitsuba-3.9.1", "spec": spec, "spec_sha256": of}
    return made.event(job.Submitted, **{**facts, "manifest_sha256": scene.sha256(), "limit_price": Units(1), **more})


class Room:
    """A studio and what it stands in."""

    def __init__(self, folder: Path, renderer: Callable[[], ports.Renderer] = Painter, *, isolated: bool = True) -> None:
        self.office = Counting()
        scene = manifest.Manifest("ab" * 16, [manifest.describe("a.xml", ASSET)], ["a.xml", "a.xml"])
        for content in (scene.encode(), ASSET):
            self.office.stored[manifest.describe("x", content).sha256] = content
        self.office.network.events.append(made.recorded(submitted(scene)))
        self.cache = Cache(folder)
        self.studio = Studio(self.office, ports.Workshop(renderer, isolated), self.cache, lambda creator: creator == "account-4")

    async def render(self, task: TaskId = TASK, seed: int = 0) -> list[ports.Tile]:
        return await self.studio.render(await self.studio.order(task, seed), lambda count: None)


async def test_a_task_is_the_tiles_that_its_number_says(tmp_path: Path) -> None:
    order = await Room(tmp_path).studio.order(TaskId("job-9/4"), 0)
    assert (order.job, order.creator, order.frame, list(order.numbers)) == ("job-9", "account-3", 1, [2, 3])


async def test_a_bench_is_its_seed_s_scene(tmp_path: Path) -> None:
    order = await Room(tmp_path).studio.order(TaskId("bench-7"), 77)
    assert (order.job, order.frame, list(order.numbers), order.spec.seed) == ("", 0, [0, 1, 2, 3], 77)


async def test_a_specification_that_is_not_the_hashed_one_is_refused(tmp_path: Path) -> None:
    room = Room(tmp_path)
    scene = manifest.Manifest("ab" * 16, [manifest.describe("a.xml", ASSET)], ["a.xml", "a.xml"])
    room.office.network.events[-1] = made.recorded(submitted(scene, spec_sha256="00" * 32))
    with pytest.raises(Unrendered, match="spec"):
        await room.studio.order(TASK, 0)


async def test_tiles_come_as_they_are_done(tmp_path: Path) -> None:
    room, counts = Room(tmp_path), list[int]()
    done = await room.studio.render(await room.studio.order(TASK, 0), counts.append)
    assert counts == [1, 2]
    assert [tile.number for tile in done] == [2, 3]
    await room.studio.close()


async def test_a_scene_is_downloaded_once_and_its_child_kept(tmp_path: Path) -> None:
    room = Room(tmp_path)
    first, again = await room.render(), await room.render()
    assert first == again
    assert room.office.asked == ["a.xml"]
    assert len(room.studio.idle) == 1
    await room.studio.close()
    later = Room(tmp_path)
    await later.render()
    assert later.office.asked == []
    await later.studio.close()


async def test_a_file_that_changed_on_disk_is_downloaded_again(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.put(ASSET)
    (file,) = tmp_path.iterdir()
    file.write_bytes(b"<scene>")
    assert cache.get(file.name) is None
    assert not file.exists()


def test_the_longest_unused_files_make_room(tmp_path: Path) -> None:
    cache = Cache(tmp_path, bytes_max=25)
    names = []
    for number in range(3):
        content = bytes([number]) * 10
        cache.put(content)
        names.append(manifest.describe("x", content).sha256)
        os.utime(tmp_path / names[-1], ns=(number, number))
    cache.put(b"\x03" * 10)
    assert [cache.has(name) for name in names] == [False, False, True]


def test_files_put_at_once_are_all_kept(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    contents = [b"%d" % (number // 2) for number in range(240)]
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(cache.put, contents))
    assert {file.name for file in tmp_path.iterdir()} == {manifest.describe("x", content).sha256 for content in contents}


def test_a_file_that_another_process_writes_is_left_alone_unless_it_is_old(tmp_path: Path) -> None:
    cache = Cache(tmp_path, bytes_max=25)
    written, abandoned = tmp_path / f"{'ab' * 32}.1-1", tmp_path / f"{'ab' * 32}.1-2"
    for file in (written, abandoned):
        file.write_bytes(bytes(30))
    os.utime(abandoned, ns=(1, 1))
    cache.put(ASSET)
    assert {file.name for file in tmp_path.iterdir()} == {written.name, manifest.describe("x", ASSET).sha256}


async def test_a_bench_s_child_ends_with_it_and_one_is_started_ahead(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.studio.prepare()
    await room.render(TaskId("bench-7"), 77)
    assert room.studio.idle == []
    assert room.studio.spare is not None
    await room.studio.close()


async def test_no_more_than_a_few_children_are_kept(tmp_path: Path) -> None:
    room = Room(tmp_path)
    order = await room.studio.order(TASK, 0)
    for number in range(5):
        await room.studio._keep(order._replace(spec=order.spec._replace(manifest_sha256=str(number))), Painter())
    assert [name for name, _ in room.studio.idle] == ["3", "4"]
    await room.studio.close()


async def test_a_render_that_is_cancelled_ends_its_child(tmp_path: Path) -> None:
    before = Painter.alive
    room = Room(tmp_path, lambda: Painter(60))
    running = asyncio.create_task(room.render())
    await asyncio.sleep(0.1)
    assert Painter.alive == before + 1
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await room.studio.close()
    assert Painter.alive == before


async def test_somebody_else_s_scene_is_not_rendered_without_a_sandbox(tmp_path: Path) -> None:
    with pytest.raises(Unrendered, match="no_sandbox"):
        await Room(tmp_path, isolated=False).render()


async def test_one_s_own_scene_and_a_bench_are_rendered_without_a_sandbox(tmp_path: Path) -> None:
    room = Room(tmp_path, isolated=False)
    order = (await room.studio.order(TASK, 0))._replace(creator="account-4")
    assert len(await room.studio.render(order, lambda count: None)) == 2
    assert len(await room.render(TaskId("bench-7"), 77)) == 4
    await room.studio.close()


class Broken(Painter):
    """Fails where it is told to."""

    def __init__(self, where: str, fault: Exception) -> None:
        super().__init__()
        self.where, self.fault = where, fault

    def at(self, where: str) -> None:
        if self.where == where:
            raise self.fault

    async def warm(self) -> None:
        self.at("warm")

    async def open(self, described: manifest.Manifest, read: Callable[[str], bytes]) -> None:
        self.at("open")
        await super().open(described, read)

    async def render(self, spec: tiles.Spec, frame: int, numbers: Sequence[int]) -> AsyncIterator[Tile]:
        self.at("render")
        async for tile in super().render(spec, frame, numbers):
            yield tile
            self.at("tile")


FAULTS: dict[str, tuple[str, Exception, str]] = {
    "a child that does not start": ("warm", EngineFailed("start", "no"), "engine_start"),
    "a scene that we refuse": ("open", SceneRefused("dtd", "no"), "scene_dtd"),
    "a child that is killed": ("tile", EngineFailed("crashed", "no"), "engine_crashed"),
    "a specification that does not fit": ("render", ValueError("frame: 9"), "manifest"),
    "a disk that is full": ("open", OSError(28, "No space left"), "disk"),
}


@pytest.mark.parametrize(("where", "fault", "code"), FAULTS.values(), ids=FAULTS)
async def test_what_goes_wrong_has_a_word_that_the_ledger_takes(tmp_path: Path, where: str, fault: Exception, code: str) -> None:
    room = Room(tmp_path, lambda: Broken(where, fault))
    with pytest.raises(Unrendered) as raised:
        await room.render()
    await room.studio.close()
    assert raised.value.code == code
    End(task=TASK, fence=1, outcome="error", code=code)


@pytest.mark.parametrize(("fault", "code"), [(Problem(404, "not_yours"), "server_not_yours"), (Unanswered("GET"), "server_silent")])
async def test_a_scene_that_does_not_come_has_a_word_too(tmp_path: Path, fault: Exception, code: str) -> None:
    room = Room(tmp_path)
    room.office.fault = fault
    with pytest.raises(Unrendered) as raised:
        await room.render()
    await room.studio.close()
    assert raised.value.code == code


async def test_a_job_that_nobody_submitted_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unrendered, match="unknown_job"):
        await Room(tmp_path).studio.order(TaskId("job-8/1"), 0)
