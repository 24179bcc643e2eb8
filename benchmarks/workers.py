"""Processes of a peer: each gets a plan, and leaves what it saw in a file. They run in the peers' virtual environment, never in ours."""

import contextlib
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from psycopg import conninfo

from benchmarks.rounds import PEER_PYTHON
from benchmarks.site import ROOT

WORKERS_S_MAX = 900.0


class PeerFailed(Exception):
    """A peer's process ended otherwise than it should."""


def run(module: str, plans: Sequence[Mapping[str, Any]], folder: Path) -> list[dict[str, Any]]:
    """All at once; returns what each of them saw. Raises `PeerFailed`."""
    started = list[tuple[subprocess.Popen[str], Path]]()
    try:
        for number, plan in enumerate(plans):
            output = folder / f"saw-{number}.json"
            command = [str(PEER_PYTHON), str(ROOT / "benchmarks" / "peers" / f"{module}.py")]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder, text=True)
            started.append((process, output))
            assert process.stdin
            # One that died already tells why on stderr, which is read below.
            with contextlib.suppress(BrokenPipeError), process.stdin:
                process.stdin.write(json.dumps({**plan, "output": str(output), "seed": number}) + "\n")
        return [seen(module, process, output) for process, output in started]
    finally:
        for process, _ in started:
            with process:
                process.kill()


def seen(module: str, process: subprocess.Popen[str], output: Path) -> dict[str, Any]:
    assert process.stderr
    said = process.stderr.read()
    if status := process.wait(WORKERS_S_MAX):
        raise PeerFailed(f"{module} ended with status {status}: {said[-2000:].strip() or 'it said nothing'}")
    found: dict[str, Any] = json.loads(output.read_text())
    return found


def library_environment(uri: str) -> dict[str, str]:
    """How `eventsourcing` is told where the database is."""
    place = conninfo.conninfo_to_dict(uri)
    names = {"dbname": "POSTGRES_DBNAME", "host": "POSTGRES_HOST", "port": "POSTGRES_PORT", "user": "POSTGRES_USER"}
    found = {name: str(place[key]) for key, name in names.items() if place.get(key)}
    return {"POSTGRES_PASSWORD": "none", **found}
