"""Processes of a peer: each gets a plan, and leaves what it saw in a file. They run in the peers' virtual environment, never in ours."""

import json
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from psycopg import conninfo

from adapters import process
from benchmarks.rounds import PEER_PYTHON
from benchmarks.site import ROOT


class PeerFailed(Exception):
    """A peer's process ended otherwise than it should."""


def run(module: str, plans: Sequence[Mapping[str, Any]], folder: Path) -> list[dict[str, Any]]:
    """All at once; returns what each of them saw. Raises `PeerFailed`. Whatever they started ends with them."""
    started = list[tuple[subprocess.Popen[bytes], Path]]()
    try:
        for number, plan in enumerate(plans):
            output, asked = folder / f"saw-{number}.json", folder / f"plan-{number}.json"
            asked.write_text(json.dumps({**plan, "output": str(output), "seed": number}))
            command = [PEER_PYTHON, ROOT / "benchmarks" / "peers" / f"{module}.py", asked]
            log = folder / f"peer-{number}.log"
            log.unlink(missing_ok=True)
            started.append((process.start(command, output=log, directory=folder), log))
        return [seen(module, each, log, folder / f"saw-{number}.json") for number, (each, log) in enumerate(started)]
    finally:
        for each, _ in started:
            process.stop(each, signal.SIGKILL)


def seen(module: str, started: subprocess.Popen[bytes], log: Path, output: Path) -> dict[str, Any]:
    if status := started.wait():
        said = log.read_text(errors="replace").strip()
        print(said[-2000:], file=sys.stderr)
        # The last line alone is kept with the figures: a traceback names folders of this machine.
        raise PeerFailed(f"{module} ended with status {status}: {said.splitlines()[-1][-300:] if said else 'it said nothing'}")
    found: dict[str, Any] = json.loads(output.read_text())
    return found


def library_environment(uri: str) -> dict[str, str]:
    """How `eventsourcing` is told where the database is."""
    place = conninfo.conninfo_to_dict(uri)
    names = {"dbname": "POSTGRES_DBNAME", "host": "POSTGRES_HOST", "port": "POSTGRES_PORT", "user": "POSTGRES_USER"}
    found = {name: str(place[key]) for key, name in names.items() if place.get(key)}
    return {"POSTGRES_PASSWORD": "none", **found}
