"""The engine: the same bits from every process, and a failure for every way in which a child can fail."""

import asyncio
import importlib.util
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from domain.proof import comparator
from domain.work import manifest, tiles
from examples.atelier import make_scene as atelier
from examples.marbles import make_scene as marbles
from worker_runtime.gpu import assets, bench, mitsuba, rules, sandbox, stitch

pytestmark = pytest.mark.system

SIZE, GRID, SAMPLES = (128, 72), (4, 2), 8
BARE = sandbox.Sandbox("not asked for")
Written = tuple[manifest.Manifest, dict[str, bytes]]


def described(frames: Sequence[Path]) -> Written:
    files = {path.name: path.read_bytes() for path in sorted(frames[0].parent.iterdir())}
    listed = [manifest.describe(name, content) for name, content in files.items()]
    return manifest.Manifest("00" * 16, listed, [path.name for path in frames]), files


@pytest.fixture(scope="module")
def atelier_scene(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return described(atelier.write(tmp_path_factory.mktemp("atelier"), 2))


def spec_of(scenery: manifest.Manifest, samples: int = SAMPLES, seed: int = 7) -> tiles.Spec:
    frames = len(scenery.frames)
    return tiles.Spec(mitsuba.ENGINE, mitsuba.BUILD, scenery.sha256(), frames, SIZE, GRID, 4, samples, seed)


@asynccontextmanager
async def opened(
    written: Written, threads: int = 1, confinement: sandbox.Sandbox | None = None, tile_s_max: float = 60
) -> AsyncIterator[mitsuba.Engine]:
    async with mitsuba.Engine(confinement or sandbox.find(), threads=threads, tile_s_max=tile_s_max) as engine:
        await engine.open(written[0], written[1].__getitem__)
        yield engine


def contents(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


async def rendered(engine: mitsuba.Engine, spec: tiles.Spec, frame: int, numbers: Sequence[int]) -> dict[int, bytes]:
    return {tile.number: tile.raw async for tile in engine.render(spec, frame, numbers)}


async def test_a_tile_is_the_same_bits_alone_in_any_order_process_frame_and_number_of_threads(atelier_scene: Written) -> None:
    spec = spec_of(atelier_scene[0])
    async with opened(atelier_scene) as engine:
        whole = await rendered(engine, spec, 0, range(8))
        other = await rendered(engine, spec, 1, [3, 5])
        again = await rendered(engine, spec, 0, [5, 3])
    async with opened(atelier_scene, threads=4) as engine:
        alone = await rendered(engine, spec, 0, [5])
    async with opened(atelier_scene, threads=2, confinement=BARE) as engine:
        bare = await rendered(engine, spec, 0, [3, 5])
    assert len({*whole.values()}) == 8
    assert (again[5], again[3]) == (whole[5], whole[3])
    assert alone[5] == whole[5]
    assert bare == {3: whole[3], 5: whole[5]}
    assert other[5] != whole[5]


async def test_tiles_are_those_of_the_specification(atelier_scene: Written) -> None:
    spec = spec_of(atelier_scene[0])
    async with opened(atelier_scene) as engine:
        raws = await rendered(engine, spec, 1, range(8))
    picture = stitch.frame(spec, raws)
    assert picture.shape == (72, 128, 3)
    assert picture.min() >= 0
    assert picture.std() > 0.1


@pytest.mark.parametrize(("samples", "seed"), [(1, 7), (7, 7), (8, 8)])
async def test_fewer_samples_and_other_seeds_are_convicted(atelier_scene: Written, samples: int, seed: int) -> None:
    spec = spec_of(atelier_scene[0])
    async with opened(atelier_scene) as engine:
        honest = (await rendered(engine, spec, 0, [2]))[2]
        cheap = tiles.unpack((await rendered(engine, spec_of(atelier_scene[0], samples, seed), 0, [2]))[2])
    claimed = tiles.pack(cheap.pixels, cheap.height, cheap.width, bytes.fromhex(spec.sha256()))
    assert comparator.verdict(comparator.compare(honest, claimed)) == "invalid"
    assert comparator.verdict(comparator.compare(honest, honest)) == "valid"


async def test_somebody_elses_scene_with_other_plugins_renders(tmp_path: Path) -> None:
    written = described(marbles.write(tmp_path))
    spec = spec_of(written[0], samples=4)
    async with opened(written) as engine:
        picture = stitch.frame(spec, await rendered(engine, spec, 0, range(8)))
    assert picture.std() > 0.05


async def test_the_bench_is_checked_by_rendering_one_tile_of_it() -> None:
    spec = bench.spec(5)
    async with opened(bench.scene(5)) as engine:
        proof = await rendered(engine, spec, 0, range(spec.tiles))
    async with opened(bench.scene(5)) as engine:
        check = await rendered(engine, spec, 0, [2])
    assert check[2] == proof[2]


async def test_a_child_can_be_warm_before_there_is_a_scene(atelier_scene: Written) -> None:
    async with mitsuba.Engine(sandbox.find()) as engine:
        await engine.warm()
        started = time.monotonic()
        await engine.open(atelier_scene[0], atelier_scene[1].__getitem__)
        await rendered(engine, spec_of(atelier_scene[0], samples=1), 0, [0])
        assert time.monotonic() - started < 5


def test_every_plugin_that_we_let_pass_is_one_of_the_renderers() -> None:
    found = importlib.util.find_spec("mitsuba")
    assert found
    assert found.submodule_search_locations
    shipped = {path.stem for path in Path(found.submodule_search_locations[0], "plugins").iterdir()}
    assert {kind for kinds in rules.PLUGINS.values() for kind in kinds.split()} - shipped == set()


async def test_a_refused_scene_never_reaches_the_child() -> None:
    text = b'<scene version="3.0.0"><bsdf type="../../evil"/></scene>'
    scenery = manifest.Manifest("00" * 16, [manifest.describe("a.xml", text)], ["a.xml"])
    async with mitsuba.Engine(sandbox.find()) as engine:
        with pytest.raises(assets.SceneRefused) as refused:
            await engine.open(scenery, lambda name: text)
    assert refused.value.code == "type"


async def test_what_only_the_renderer_can_refuse_is_a_failure_of_the_scene() -> None:
    text = bench.scene(1)[1][bench.FRAME].replace(b'name="fov"', b'name="field"')
    scenery = manifest.Manifest("00" * 16, [manifest.describe("a.xml", text)], ["a.xml"])
    async with opened((scenery, {"a.xml": text})) as engine:
        with pytest.raises(mitsuba.EngineFailed) as failed:
            await rendered(engine, spec_of(scenery), 0, [0])
    assert failed.value.code == "scene"
    assert "field" in failed.value.detail


async def test_a_crash_is_an_error_and_not_a_hang(atelier_scene: Written) -> None:
    async with opened(atelier_scene) as engine:
        assert engine.child
        rendering = asyncio.create_task(rendered(engine, spec_of(atelier_scene[0], samples=4_000), 0, [0]))
        await asyncio.sleep(0.5)
        engine.child.kill()
        with pytest.raises(mitsuba.EngineFailed) as failed:
            await asyncio.wait_for(rendering, 5)
    assert failed.value.code == "crashed"


async def test_a_child_that_takes_too_long_is_killed(atelier_scene: Written) -> None:
    async with opened(atelier_scene, tile_s_max=0.3) as engine:
        with pytest.raises(mitsuba.EngineFailed) as failed:
            await asyncio.wait_for(rendered(engine, spec_of(atelier_scene[0], samples=4_000), 0, [0]), 30)
        assert engine.child
        assert engine.child.returncode is not None
    assert failed.value.code == "timeout"


async def test_a_child_that_stands_still_is_killed(atelier_scene: Written) -> None:
    async with opened(atelier_scene, confinement=BARE, tile_s_max=0.5) as engine:
        assert engine.child
        await rendered(engine, spec_of(atelier_scene[0], samples=1), 0, [0])
        engine.child.send_signal(signal.SIGSTOP)
        with pytest.raises(mitsuba.EngineFailed) as failed:
            await asyncio.wait_for(rendered(engine, spec_of(atelier_scene[0], samples=1), 0, [0]), 30)
    assert failed.value.code == "timeout"


async def test_leaving_early_ends_the_child(atelier_scene: Written) -> None:
    async with opened(atelier_scene) as engine:
        async with aclosing(engine.render(spec_of(atelier_scene[0]), 0, range(8))) as rendering:
            assert (await anext(rendering)).number == 0
        assert engine.child
        assert engine.child.returncode is not None


async def test_cancelling_ends_the_child_and_removes_its_files(atelier_scene: Written) -> None:
    async with opened(atelier_scene) as engine:
        rendering = asyncio.create_task(rendered(engine, spec_of(atelier_scene[0], samples=4_000), 0, [0]))
        await asyncio.sleep(0.5)
        rendering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await rendering
        assert engine.child
        assert engine.child.returncode is not None
        folder = engine.folder
    assert folder
    assert not folder.exists()


async def test_an_engine_that_failed_stays_failed(atelier_scene: Written) -> None:
    async with opened(atelier_scene) as engine:
        await engine.kill()
        for _ in range(2):
            with pytest.raises(mitsuba.EngineFailed) as failed:
                await rendered(engine, spec_of(atelier_scene[0]), 0, [0])
            assert failed.value.code == "crashed"


READY = "import sys, json, time\nprint(json.dumps({'ready': {'mitsuba': '3.9.1', 'drjit': '1.5.0'}}), flush=True)\n"
LIARS = {
    "another build": ('print(\'{"ready": {"mitsuba": "3.8.0", "drjit": "1.4.0"}}\', flush=True)', "build"),
    "no answer but an end": ("", "crashed"),
    "a complaint and an end": ("raise SystemExit('no such library')", "crashed"),
    "no JSON": ("print('hello', flush=True)\nimport time; time.sleep(60)", "protocol"),
    "no object": ("print('[]', flush=True)\nimport time; time.sleep(60)", "crashed"),
    "a line without end": ("while True: print('x' * 65536, end='')", "protocol"),
    "an answer to something else": (READY + "input(); print('{\"tile\": 3}', flush=True)\ntime.sleep(60)", "protocol"),
    "silence": (READY + "time.sleep(60)", "timeout"),
    "half of the pixels": (
        READY + "input(); print('{\"loaded\": 1}', flush=True)\norder = json.loads(input())\n"
        "print(json.dumps({'tile': 0, 'bytes': 32 * 36 * 12, 'seconds_us': 1}) + '\\nxx', flush=True)",
        "crashed",
    ),
    "other pixels than asked": (
        READY + "input(); print('{\"loaded\": 1}', flush=True)\norder = json.loads(input())\n"
        "print(json.dumps({'tile': 0, 'bytes': 1 << 60, 'seconds_us': 1}), flush=True)\ntime.sleep(60)",
        "protocol",
    ),
}


@pytest.mark.parametrize("lie", LIARS)
async def test_a_child_that_answers_nonsense_is_an_error(
    lie: str, atelier_scene: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, code = LIARS[lie]
    (tmp_path / "child.py").write_text(program)
    monkeypatch.setattr(mitsuba, "CHILD", tmp_path / "child.py")
    monkeypatch.setattr(mitsuba, "LOAD_S_MAX", 1.0)
    with pytest.raises(mitsuba.EngineFailed) as failed:
        async with opened(atelier_scene, tile_s_max=5) as engine:
            await asyncio.wait_for(rendered(engine, spec_of(atelier_scene[0]), 0, [0]), 30)
    assert failed.value.code == code


Changed = Callable[[tiles.Spec], tiles.Spec]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda spec: spec._replace(manifest_sha256="00" * 32), "manifest_sha256"),
        (lambda spec: spec._replace(frames=9), "manifest_sha256"),
        (lambda spec: spec._replace(samples=0), "samples"),
        (lambda spec: spec._replace(samples=1 << 20), "samples"),
        (lambda spec: spec._replace(size=(30_000, 30_000)), "size"),
        (lambda spec: spec._replace(grid=(500, 1)), "tiles"),
    ],
)
async def test_a_specification_that_does_not_fit_is_refused_by_field(atelier_scene: Written, change: Changed, field: str) -> None:
    async with opened(atelier_scene) as engine:
        with pytest.raises(ValueError, match=f"^{field}:"):
            await rendered(engine, change(spec_of(atelier_scene[0])), 0, [0])
        with pytest.raises(ValueError, match=r"^frame:"):
            await rendered(engine, spec_of(atelier_scene[0]), 2, [0])
        with pytest.raises(ValueError, match=r"^tile:"):
            await rendered(engine, spec_of(atelier_scene[0]), 0, [8])


async def test_another_build_is_not_this_engines(atelier_scene: Written) -> None:
    async with opened(atelier_scene) as engine:
        with pytest.raises(mitsuba.EngineFailed) as failed:
            await rendered(engine, spec_of(atelier_scene[0])._replace(build="mitsuba-3.8.0"), 0, [0])
    assert failed.value.code == "build"


async def test_nothing_is_left_running_or_lying_about(atelier_scene: Written, tmp_path: Path) -> None:
    async with mitsuba.Engine(sandbox.find(), scratch=tmp_path) as engine:
        await engine.open(atelier_scene[0], atelier_scene[1].__getitem__)
        assert engine.child
        assert len(contents(tmp_path)) == 1
        pid = engine.child.pid
        await rendered(engine, spec_of(atelier_scene[0], samples=1), 0, [0])
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert contents(tmp_path) == []
