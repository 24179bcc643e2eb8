"""The demo with agents that die at each phase of their work: `python -m tests.faults.tragedy OUT` prints what the demo did not show, and
who died at what, as JSON."""

import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console

import gridledger
from adapters import process
from auditor.export import export
from cli.servers import TOOLS
from demo import parts
from demo.board import Board
from demo.play import Given, Options, Play
from demo.result import missing
from demo.screen import Screen
from examples.atelier import make_scene

FATES = {
    "fast": ("online", "leased", "uploaded"),
    "slow": ("rendering", "committed"),
    "checker-1": ("drawn", "sealed"),
    "checker-2": ("rendered", "all-sealed"),
    "checker-3": ("compared", "revealed"),
}


class Mortals(parts.Processes):
    """Agents that die at their places, and are started again."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, revive=True)

    def died(self, name: str) -> Path:
        return self.directory / f"{name}.died"

    def program(self, name: str) -> Sequence[str]:
        if name not in FATES:
            return super().program(name)
        places = (word for place in FATES[name] for word in ("--die-at", place))
        return ("tests.faults.agent", "--died", str(self.died(name)), *places)


class Tragedy(Play):
    def processes(self, directory: Path) -> parts.Processes:
        self.mortals = Mortals(directory)
        return self.mortals


async def play(options: Options, directory: Path) -> dict[str, Any]:
    given = Given(gridledger.DATABASE, gridledger.KAFKA, TOOLS, gridledger.begin, make_scene.write, export)
    with Screen(Board(), Console(file=StringIO()), quiet=True) as screen:
        it = Tragedy(options, given, screen, directory)
        async with it.running() as (processes, node):
            watching, playing = asyncio.create_task(processes.watch()), asyncio.create_task(it.run(processes, node))
            await asyncio.wait([watching, playing], return_when=asyncio.FIRST_COMPLETED)
            if not playing.done():
                watching.result()
            watching.cancel()
            result = await playing
            deaths = {name: it.mortals.died(name).read_text().split() for name in FATES if it.mortals.died(name).exists()}
    return {"missing": missing(result), "honest convicted": result["honest_convicted"], "deaths": deaths, "seconds": result["seconds"]}


def main() -> None:
    # Whom PostgreSQL runs as must be able to enter.
    directory = Path(tempfile.mkdtemp(prefix="gridledger-agents-"))
    directory.chmod(0o711)
    process.adopt_orphans()
    try:
        print(json.dumps(asyncio.run(play(Options(3, (128, 72), 16, 11, out=Path(sys.argv[1])), directory))))
    finally:
        process.bury()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
