"""Puts the scene "Marbles" into a folder: python examples/marbles/make_scene.py FOLDER

The scene itself is `marbles.xml`, written by hand; this makes the mesh and the texture that it names, and copies it beside them.
"""

import argparse
import math
from pathlib import Path

import numpy as np
from PIL import Image

SCENE = Path(__file__).with_name("marbles.xml")


def write(folder: Path) -> list[Path]:
    """Writes the scene into `folder`, which is made if need be; returns its one frame."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gem.obj").write_text(gem(), encoding="utf-8", newline="\n")
    x, y = np.meshgrid(np.arange(128), np.arange(128)) * np.array(2 * np.pi / 128)
    height = 0.5 + 0.25 * np.sin(x + 1.5 * np.sin(y)) + 0.25 * np.sin(2 * y + np.sin(3 * x))
    Image.fromarray((height * 255).astype(np.uint8)).save(folder / "ripples.png")
    frame = folder / SCENE.name
    frame.write_bytes(SCENE.read_bytes())
    return [frame]


def gem(sides: int = 8) -> str:
    """A cut stone as Wavefront OBJ: a flat table, a crown, a girdle and a point below, of triangles and quadrilaterals."""
    rings = [(0.55, 0.45), (1.0, 0.12), (1.0, 0.0)]
    points = [
        (reach * math.cos(2 * math.pi * n / sides), reach * math.sin(2 * math.pi * n / sides), z)
        for reach, z in rings
        for n in range(sides)
    ]
    points += [(0.0, 0.0, 0.45), (0.0, 0.0, -0.95)]
    lines = ["# a cut stone", "o gem", *(f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in points), "s off"]
    for n in range(sides):
        a, b = n + 1, (n + 1) % sides + 1
        lines.append(f"f {3 * sides + 1} {a} {b}")
        lines += [f"f {ring + a} {ring + sides + a} {ring + sides + b} {ring + b}" for ring in (0, sides)]
        lines.append(f"f {3 * sides + 2} {2 * sides + b} {2 * sides + a}")
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    for path in write(parser.parse_args().folder):
        print(path)


if __name__ == "__main__":
    main()
