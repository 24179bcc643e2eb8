"""The real agents, each of which kills itself once at each of some places: `python -m tests.faults.agent --die-at PLACE --died FILE worker
run FILE`. `--died` holds the places at which it died already, so that its next life goes on to the next."""

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import Any

import gridledger
from domain.ids import order
from domain.log.answers import Answer
from worker_runtime import inputs
from worker_runtime.checker import agent as checking
from worker_runtime.checker.checker import Checker
from worker_runtime.gpu import agent as working
from worker_runtime.inputs import Action
from worker_runtime.loop import Loop
from worker_runtime.worker import Worker

BEFORE: dict[str, type[Action]] = {
    "leased": working.Render,
    "rendering": working.Report,
    "uploaded": working.Commit,
    "drawn": checking.Render,
    "rendered": checking.File,
    "compared": checking.Seal,
    "all-sealed": checking.Reveal,
}
"""Dead instead of the first of these."""
AFTER: dict[str, type[Action]] = {
    "online": inputs.GoOnline,
    "committed": working.Commit,
    "sealed": checking.Seal,
    "revealed": checking.Reveal,
}
"""Dead as soon as the server has answered the first of these."""


class Fate:
    def __init__(self, places: list[str], died: Path) -> None:
        self._places, self._died = places, died

    def meets(self, places: dict[str, type[Action]], action: Action) -> None:
        """What is done for a bench is not meant."""
        task = getattr(action, "task", None) or getattr(getattr(action, "lease", None), "task", None)
        if task is not None and not order(task)[1]:
            return
        before = self._died.read_text().splitlines() if self._died.exists() else []
        for place in self._places:
            if place not in before and place in places and type(action) is places[place]:
                with self._died.open("a") as out:
                    out.write(f"{place}\n")
                os.kill(os.getpid(), signal.SIGKILL)


def doom(fate: Fate) -> None:
    def around(kind: type[Any], method: str) -> None:
        real = getattr(kind, method)

        async def mortal(self: Any, action: Action) -> Answer | None:
            fate.meets(BEFORE, action)
            answer: Answer | None = await real(self, action)
            fate.meets(AFTER, action)
            return answer

        setattr(kind, method, mortal)

    around(Worker, "perform")
    around(Checker, "perform")
    around(Loop, "_presence")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--die-at", action="append", choices=[*BEFORE, *AFTER], default=[])
    parser.add_argument("--died", type=Path, required=True)
    own, rest = parser.parse_known_args()
    doom(Fate(own.die_at, own.died))
    sys.argv = ["gridledger", *rest]
    gridledger.main()


if __name__ == "__main__":
    main()
