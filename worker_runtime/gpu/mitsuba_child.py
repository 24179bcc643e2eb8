"""The renderer's own process: JSON lines in, JSON lines and raw pixels out. Run by file, never imported.

    {"scene": text}                                → {"loaded": seconds_us}
    {"tile": n, "box": [x, y, w, h], "seed": s, "samples": m} → {"tile": n, "seconds_us": t, "bytes": b}, then b bytes of pixels
    anything that the renderer refuses             → {"failed": "scene" or "render", "detail": text}

Pixels are float32 little-endian, row by row, three channels. The first line out says what is running. No line in: the end.
"""

import importlib
import json
import os
import sys
import time
from typing import Any, BinaryIO

import numpy as np


def main(threads: int) -> None:
    """`threads` render; the library itself hangs with fewer than two."""
    with os.fdopen(os.dup(1), "wb") as out, os.fdopen(os.dup(0), "rb") as orders:
        # Whatever the libraries print must not get between the answers.
        os.dup2(2, 1)
        mitsuba, drjit = importlib.import_module("mitsuba"), importlib.import_module("drjit")
        mitsuba.set_variant("scalar_rgb")
        mitsuba.set_log_level(mitsuba.LogLevel.Error)
        drjit.set_thread_count(max(2, threads))
        _say(out, {"ready": {"mitsuba": mitsuba.__version__, "drjit": drjit.__version__}})
        _serve(mitsuba, orders, out)


def _serve(mitsuba: Any, orders: BinaryIO, out: BinaryIO) -> None:
    scene = None
    for line in orders:
        order = json.loads(line)
        kind = "scene" if "scene" in order else "render"
        started = time.perf_counter_ns()
        try:
            if kind == "scene":
                scene = mitsuba.load_string(order["scene"])
                pixels = b""
            else:
                pixels = _render(mitsuba, scene, order)
        except (RuntimeError, ValueError, MemoryError, OverflowError, TypeError, KeyError) as error:
            _say(out, {"failed": kind, "detail": " ".join(str(error).split())[-500:]})
            continue
        spent_us = (time.perf_counter_ns() - started) // 1_000
        if kind == "scene":
            _say(out, {"loaded": spent_us})
        else:
            _say(out, {"tile": order["tile"], "seconds_us": spent_us, "bytes": len(pixels)}, pixels)


def _render(mitsuba: Any, scene: Any, order: dict[str, Any]) -> bytes:
    """One tile. A sample that is no number is black by rule, so that every honest picture passes the gate."""
    x, y, width, height = order["box"]
    camera = mitsuba.traverse(scene)
    camera["camera.film.crop_size"] = [width, height]
    camera["camera.film.crop_offset"] = [x, y]
    camera.update()
    image = np.array(mitsuba.render(scene, spp=order["samples"], seed=order["seed"]), dtype="<f4")
    if image.shape != (height, width, 3):
        raise ValueError(f"rendered {image.shape}, expected {(height, width, 3)}")
    image[~np.isfinite(image)] = 0
    return image.tobytes()


def _say(out: BinaryIO, answer: dict[str, Any], pixels: bytes = b"") -> None:
    out.write(json.dumps(answer).encode() + b"\n" + pixels)
    out.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))
