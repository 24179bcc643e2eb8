"""UmaDB, from its wheel, as a process of its own on a file of its own."""

import shutil
import time
from pathlib import Path

from adapters import process
from benchmarks import site, workers
from benchmarks.rounds import PEER_PYTHON


def appended(folder: Path, processes: int, clients: int, seconds: float, events: int = 1) -> float:
    """Appends of so many events each per second, by all clients together."""
    place, port = folder / f"umadb-{time.monotonic_ns()}", site.free_port()
    place.mkdir()
    command: list[str | Path] = [PEER_PYTHON.parent / "umadb", "--listen", f"127.0.0.1:{port}", "--db-path", place / "uma.db"]
    server = process.start(command, output=place / "server.log", directory=place)
    try:
        plan = {"port": port, "clients": clients, "seconds": seconds, "warm_up_s": 1.0, "events": events, "again": 0.05}
        saw = workers.run("umadb_load", [plan] * processes, place)
    finally:
        process.stop(server)
        shutil.rmtree(place)
    return sum(float(each["done"]) for each in saw) / seconds
