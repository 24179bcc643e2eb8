"""The bench: a scene made from a seed, rendered by every worker of a class so that its speed is known (DOMAIN.md §1).

The scene has no files but itself and is the same text for the same seed, so a worker needs no download, and a checker that re-renders
one tile of it has done what a check of any other task is. On the reference device it takes about a second.
"""

from collections.abc import Iterator
from hashlib import sha256

from domain.work import manifest, tiles
from worker_runtime.gpu import mitsuba

FRAME = "bench.xml"
SIZE = (160, 90)
GRID = (2, 2)
SAMPLES = 80
WU_MILLI = 1_500
"""What the built-in engine is registered with: one and a half seconds of the reference device, load included."""
_BALLS = 24


def scene(seed: int) -> tuple[manifest.Manifest, dict[str, bytes]]:
    """The manifest and the files by name of the bench with this seed."""
    text = _text(seed).encode()
    salt = sha256(f"gl/bench/1/{seed}".encode()).hexdigest()[:32]
    return manifest.Manifest(salt, [manifest.describe(FRAME, text)], [FRAME]), {FRAME: text}


def spec(seed: int) -> tiles.Spec:
    """What the bench is rendered to: one task of four tiles."""
    described, _ = scene(seed)
    return tiles.Spec(
        engine=mitsuba.ENGINE,
        build=mitsuba.BUILD,
        manifest_sha256=described.sha256(),
        frames=1,
        size=SIZE,
        grid=GRID,
        group=GRID[0] * GRID[1],
        samples=SAMPLES,
        seed=seed,
    )


def _draws(seed: int) -> Iterator[int]:
    """Bytes of a SHA-256 stream."""
    number = 0
    while True:
        yield from sha256(f"gl/bench/1/{seed}/{number}".encode()).digest()
        number += 1


def _text(seed: int) -> str:
    draw = _draws(seed)

    def between(low_milli: int, high_milli: int) -> str:
        """A decimal with three places: text, so that it never depends on how a machine prints floats."""
        value = low_milli + (next(draw) * 256 + next(draw)) * (high_milli - low_milli) // 65_535
        return f"{'-' if value < 0 else ''}{abs(value) // 1000}.{abs(value) % 1000:03d}"

    def colour() -> str:
        return " ".join(between(50, 900) for _ in range(3))

    def ball(number: int) -> str:
        radius = between(180, 420)
        column, row = number % 6, number // 6
        centre = f"{between(-3300 + column * 1200, -2900 + column * 1200)} {between(-900 + row * 950, -600 + row * 950)} {radius}"
        material = (
            f'<bsdf type="diffuse"><rgb name="reflectance" value="{colour()}"/></bsdf>',
            f'<bsdf type="plastic"><rgb name="diffuse_reflectance" value="{colour()}"/></bsdf>',
            f'<bsdf type="roughconductor"><float name="alpha" value="{between(50, 300)}"/></bsdf>',
            '<bsdf type="dielectric"/>',
        )[next(draw) % 4]
        return f'<shape type="sphere"><point name="center" value="{centre}"/><float name="radius" value="{radius}"/>{material}</shape>'

    return f"""<scene version="3.0.0">
<integrator type="path"><integer name="max_depth" value="8"/></integrator>
<sensor type="perspective"><float name="fov" value="42"/>
<transform name="to_world"><lookat origin="0 -7.5 3.6" target="0 0.4 0.3" up="0 0 1"/></transform></sensor>
<emitter type="constant"><rgb name="radiance" value="0.35 0.4 0.5"/></emitter>
<shape type="rectangle"><transform name="to_world"><lookat origin="-3 -3 6" target="0 0 0" up="0 0 1"/></transform>
<emitter type="area"><rgb name="radiance" value="9 8 7"/></emitter></shape>
<shape type="rectangle"><transform name="to_world"><scale value="20"/></transform><bsdf type="diffuse">
<texture name="reflectance" type="checkerboard"><transform name="to_uv"><scale value="30"/></transform></texture></bsdf></shape>
{chr(10).join(ball(number) for number in range(_BALLS))}
</scene>
"""
