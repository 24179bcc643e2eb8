"""The second verifier (examples/verifier), run as anybody runs it."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
VERIFIER = ROOT / "examples" / "verifier"
NODE = ROOT / ".tools" / "node" / "bin" / "node"
"""Where set-up puts one, if the machine has none."""


def node(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [shutil.which("node") or str(NODE), str(VERIFIER / program), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def verify(bundle: Path) -> dict[str, Any]:
    """What it prints of a bundle. Raises `AssertionError` with what it found wrong."""
    done = node("verify.mjs", str(bundle))
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found
