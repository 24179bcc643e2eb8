"""Writes the scene "Atelier" as Mitsuba XML: python examples/atelier/make_scene.py FOLDER --frames 4

A golden torus knot on a plinth among spheres and cubes, under an evening sky, seen by a camera on an arc. Every frame is a file of its
own; all share the mesh, the texture and the sky. The same arguments write the same bytes.
"""

import argparse
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float64]

ARC_DEGREES = 44.0
ARC_MIDDLE_DEGREES = -83.0
CAMERA_DISTANCE = 9.9
CAMERA_HEIGHT = 2.9
TARGET = (0.05, -0.35, 0.82)
FRAMES_MAX = 1_000


def write(folder: Path, frames: int = 4) -> list[Path]:
    """Writes the scene into `folder`, which is made if need be; returns the frames in order, first `frame-000.xml`."""
    if not 1 <= frames <= FRAMES_MAX:
        raise ValueError(f"frames: expected 1 to {FRAMES_MAX}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "knot.ply").write_bytes(ply(*knot()))
    (folder / "sky.hdr").write_bytes(rgbe(sky()))
    Image.fromarray(mosaic()).save(folder / "mosaic.png")
    paths = [folder / f"frame-{number:03d}.xml" for number in range(frames)]
    for number, path in enumerate(paths):
        path.write_text(scene((number + 0.5) / frames), encoding="utf-8", newline="\n")
    return paths


def knot(windings: int = 2, lobes: int = 3, along: int = 360, around: int = 28) -> tuple[Array, Array, NDArray[np.int32]]:
    """A tube along a torus knot: vertices, their normals, and triangles of vertex numbers."""
    at = np.linspace(0, 2 * np.pi, along, endpoint=False)

    def curve(u: Array) -> Array:
        reach = 1.0 + 0.42 * np.cos(lobes * u)
        return np.stack([reach * np.cos(windings * u), reach * np.sin(windings * u), 0.42 * np.sin(lobes * u)], -1)

    def unit(v: Array) -> Array:
        length: Array = v / np.linalg.norm(v, axis=1, keepdims=True)
        return length

    centre = curve(at)
    ahead = unit(curve(at + 1e-4) - curve(at - 1e-4))
    # Away from the torus's own circle: a direction that never spins around the tube.
    circle = np.stack([np.cos(windings * at), np.sin(windings * at), 0 * at], -1)
    out = centre - circle
    out = unit(out - ahead * (out * ahead).sum(1, keepdims=True))
    side = np.cross(ahead, out)

    turn = np.linspace(0, 2 * np.pi, around, endpoint=False)[None, :, None]
    normals = out[:, None] * np.cos(turn) + side[:, None] * np.sin(turn)
    vertices = centre[:, None] + 0.20 * normals

    i, j = np.meshgrid(np.arange(along), np.arange(around), indexing="ij")
    corner = [((i + di) % along) * around + (j + dj) % around for di, dj in ((0, 0), (1, 0), (1, 1), (0, 1))]
    halves = [np.stack([corner[0], corner[a], corner[b]], -1).reshape(-1, 3) for a, b in ((1, 2), (2, 3))]
    return vertices.reshape(-1, 3), normals.reshape(-1, 3), np.concatenate(halves).astype(np.int32)


def ply(vertices: Array, normals: Array, triangles: NDArray[np.int32]) -> bytes:
    """A binary PLY mesh."""
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(vertices)}"]
    lines += [f"property float {name}" for name in ("x", "y", "z", "nx", "ny", "nz")]
    lines += [f"element face {len(triangles)}", "property list uchar int vertex_indices", "end_header", ""]
    faces = np.zeros(len(triangles), dtype=[("corners", "u1"), ("indices", "<i4", 3)])
    faces["corners"], faces["indices"] = 3, triangles
    return "\n".join(lines).encode() + np.concatenate([vertices, normals], 1).astype("<f4").tobytes() + faces.tobytes()


def sky(width: int = 256, height: int = 128) -> Array:
    """An evening: blue above, warm at the horizon, dark below, and three soft lamps. Linear light, from the zenith down."""
    down = np.linspace(0, 1, height)[:, None, None]
    zenith, horizon, ground = np.array([0.22, 0.36, 0.62]), np.array([1.0, 0.80, 0.62]), np.array([0.22, 0.19, 0.18])
    rise = np.clip(down / 0.5, 0, 1) ** 2.2
    fall = np.clip((down - 0.5) / 0.25, 0, 1)
    light = np.where(down < 0.5, zenith * (1 - rise) + horizon * rise, horizon * (1 - fall) + ground * fall) * np.ones((height, width, 1))

    y, x = np.mgrid[:height, :width]

    def lamp(cx: float, cy: float, wide: float, high: float, colour: tuple[float, float, float]) -> Array:
        away = (np.abs((x - cx + width / 2) % width - width / 2) / wide) ** 4 + (np.abs(y - cy) / high) ** 4
        glow: Array = np.exp(-away)[..., None] * np.array(colour)
        return glow

    lamps = lamp(60, 34, 16, 12, (6.5, 6.0, 5.4)) + lamp(170, 40, 9, 18, (1.6, 2.6, 4.6)) + lamp(225, 50, 5, 14, (4.4, 2.2, 1.0))
    whole: Array = light * 0.55 + lamps
    return whole


def rgbe(light: Array) -> bytes:
    """A Radiance picture: three mantissas and a shared exponent per pixel, not compressed."""
    height, width = light.shape[:2]
    mantissa, exponent = np.frexp(np.maximum(light.max(axis=2), 1e-32))
    packed = np.empty((height, width, 4), np.uint8)
    packed[..., :3] = light * (mantissa * 256 / np.maximum(light.max(axis=2), 1e-32))[..., None]
    packed[..., 3] = exponent + 128
    return f"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y {height} +X {width}\n".encode() + packed.tobytes()


def mosaic(cells: int = 8, pixels: int = 32) -> NDArray[np.uint8]:
    """Coloured tiles on a dark ground, drawn by a small generator of our own so that no library's update moves them."""
    dark = np.array((0.09, 0.13, 0.20))
    palette = [(0.98, 0.72, 0.25), (0.20, 0.74, 0.70), (0.93, 0.37, 0.30), (0.90, 0.90, 0.88)]
    weights = (25, 55, 70, 100)
    image = np.full((cells * pixels, cells * pixels, 3), dark)
    state = 3
    for row in range(cells):
        for column in range(cells):
            state = (state * 1_103_515_245 + 12_345) % 2**31
            shown, pick = (state >> 8) % 100 < 72, (state >> 16) % 100
            if shown:
                colour = next(colour for colour, most in zip(palette, weights, strict=True) if pick < most)
                image[row * pixels + 4 : (row + 1) * pixels - 4, column * pixels + 4 : (column + 1) * pixels - 4] = colour
    return (image * 255).astype(np.uint8)


def scene(along: float) -> str:
    """One frame; `along` from 0 to 1 is where the camera stands on its arc."""
    angle = math.radians(ARC_MIDDLE_DEGREES + ARC_DEGREES * (along - 0.5))
    origin = f"{CAMERA_DISTANCE * math.cos(angle):.6f}, {CAMERA_DISTANCE * math.sin(angle):.6f}, {CAMERA_HEIGHT}"
    return f"""<scene version="3.0.0">
  <integrator type="path"><integer name="max_depth" value="8"/><integer name="rr_depth" value="4"/></integrator>
  <sensor type="perspective">
    <float name="fov" value="36"/>
    <transform name="to_world"><lookat origin="{origin}" target="{", ".join(map(str, TARGET))}" up="0, 0, 1"/></transform>
  </sensor>
{_LIGHTS}{_OBJECTS}</scene>
"""


_LIGHTS = """
  <emitter type="envmap">
    <string name="filename" value="sky.hdr"/><float name="scale" value="0.9"/>
    <transform name="to_world"><rotate x="1" angle="90"/><rotate z="1" angle="20"/></transform>
  </emitter>
  <shape type="rectangle" id="key">
    <transform name="to_world">
      <scale x="2.2" y="2.2"/><lookat origin="-4.5, -3.2, 6.5" target="0, 0, 0.5" up="0, 0, 1"/>
    </transform>
    <emitter type="area"><rgb name="radiance" value="6.2, 5.7, 5.1"/></emitter>
  </shape>
"""

_OBJECTS = """
  <shape type="rectangle" id="floor">
    <transform name="to_world"><scale x="30" y="30"/></transform>
    <bsdf type="principled">
      <texture type="checkerboard" name="base_color">
        <rgb name="color0" value="0.055, 0.075, 0.105"/><rgb name="color1" value="0.30, 0.32, 0.34"/>
        <transform name="to_uv"><scale x="30" y="30"/></transform>
      </texture>
      <float name="roughness" value="0.18"/><float name="specular" value="0.5"/>
    </bsdf>
  </shape>
  <shape type="ply" id="knot">
    <string name="filename" value="knot.ply"/>
    <transform name="to_world">
      <scale value="0.7"/><rotate x="1" angle="72"/><rotate z="1" angle="15"/><translate y="0.35" z="1.3"/>
    </transform>
    <bsdf type="roughconductor"><string name="material" value="Au"/><float name="alpha" value="0.12"/></bsdf>
  </shape>
  <shape type="cylinder" id="plinth">
    <point name="p0" x="0" y="0.35" z="0"/><point name="p1" x="0" y="0.35" z="0.16"/><float name="radius" value="1.15"/>
    <bsdf type="twosided"><bsdf type="principled">
      <rgb name="base_color" value="0.05, 0.07, 0.12"/><float name="roughness" value="0.3"/><float name="specular" value="0.6"/>
    </bsdf></bsdf>
  </shape>
  <shape type="disk" id="plinth-top">
    <transform name="to_world"><scale x="1.15" y="1.15"/><translate y="0.35" z="0.16"/></transform>
    <bsdf type="principled">
      <rgb name="base_color" value="0.05, 0.07, 0.12"/><float name="roughness" value="0.2"/><float name="specular" value="0.6"/>
    </bsdf>
  </shape>
  <shape type="sphere" id="glass">
    <point name="center" x="1.75" y="-1.35" z="0.72"/><float name="radius" value="0.72"/>
    <bsdf type="dielectric"><float name="int_ior" value="1.5"/></bsdf>
  </shape>
  <shape type="sphere" id="chrome">
    <point name="center" x="-2.35" y="0.9" z="0.9"/><float name="radius" value="0.9"/>
    <bsdf type="roughconductor"><string name="material" value="Ag"/><float name="alpha" value="0.03"/></bsdf>
  </shape>
  <shape type="sphere" id="red">
    <point name="center" x="-1.55" y="-1.6" z="0.5"/><float name="radius" value="0.5"/>
    <bsdf type="principled">
      <rgb name="base_color" value="0.78, 0.07, 0.05"/><float name="roughness" value="0.25"/>
      <float name="clearcoat" value="1"/><float name="clearcoat_gloss" value="0.95"/>
    </bsdf>
  </shape>
  <shape type="sphere" id="teal">
    <point name="center" x="0.35" y="-2" z="0.3"/><float name="radius" value="0.3"/>
    <bsdf type="plastic"><rgb name="diffuse_reflectance" value="0.02, 0.42, 0.42"/></bsdf>
  </shape>
  <shape type="sphere" id="cream">
    <point name="center" x="-0.55" y="-2.3" z="0.2"/><float name="radius" value="0.2"/>
    <bsdf type="plastic"><rgb name="diffuse_reflectance" value="0.85, 0.78, 0.62"/></bsdf>
  </shape>
  <shape type="cube" id="mosaic">
    <transform name="to_world"><scale value="0.55"/><rotate z="1" angle="28"/><translate x="2.65" y="0.9" z="0.55"/></transform>
    <bsdf type="principled">
      <texture type="bitmap" name="base_color"><string name="filename" value="mosaic.png"/></texture>
      <float name="roughness" value="0.35"/><float name="specular" value="0.5"/>
    </bsdf>
  </shape>
  <shape type="cube" id="small-cube">
    <transform name="to_world"><scale value="0.32"/><rotate z="1" angle="-14"/><translate x="2.6" y="0.95" z="1.42"/></transform>
    <bsdf type="roughconductor"><string name="material" value="Cu"/><float name="alpha" value="0.2"/></bsdf>
  </shape>
  <shape type="sphere" id="copper">
    <point name="center" x="-2.75" y="-0.75" z="0.42"/><float name="radius" value="0.42"/>
    <bsdf type="roughconductor"><string name="material" value="Cu"/><float name="alpha" value="0.15"/></bsdf>
  </shape>
  <shape type="sphere" id="lamp">
    <point name="center" x="0.95" y="-2.35" z="0.16"/><float name="radius" value="0.16"/>
    <emitter type="area"><rgb name="radiance" value="2.6, 1.5, 0.55"/></emitter>
  </shape>
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=int, default=4)
    arguments = parser.parse_args()
    for path in write(arguments.folder, arguments.frames):
        print(path)


if __name__ == "__main__":
    main()
