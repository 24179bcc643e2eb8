"""What was measured, in this run and in those before it: a run of a few figures replaces these and keeps the others."""

import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import msgspec

from benchmarks.rounds import Figure


class Run(msgspec.Struct, frozen=True):
    """When, and of what: the commit among other versions."""

    when: str
    versions: dict[str, str] = {}


class Row(msgspec.Struct):
    """A figure, and the run that it is of."""

    figure: Figure
    when: str


class Fault(msgspec.Struct):
    """Why a figure is not there, or not all of its rows."""

    id: str
    why: str
    when: str


class Results(msgspec.Struct):
    """Rows in the order of their figures."""

    runs: list[Run] = []
    rows: list[Row] = []
    broken: list[Fault] = []

    @classmethod
    def load(cls, file: Path) -> Self:
        return msgspec.json.decode(file.read_bytes(), type=cls) if file.exists() else cls()

    def begin(self, run: Run) -> None:
        self.runs.append(run)

    def take(self, figure: Figure, when: str) -> None:
        """In place of what earlier runs had of this figure."""
        self._drop(figure.id, when)
        self.rows.append(Row(figure, when))
        self.rows.sort(key=lambda row: order(row.figure.id))

    def broke(self, id: str, why: str, when: str) -> None:
        """What an earlier run had of it stays, unless this one has some of its rows."""
        self.broken = [*(each for each in self.broken if each.id != id), Fault(id, why, when)]

    def held(self, id: str, when: str) -> None:
        """It is there, as a whole."""
        self.broken = [each for each in self.broken if each.id != id]
        self._drop(id, when)

    def _drop(self, id: str, when: str) -> None:
        self.rows = [row for row in self.rows if row.figure.id != id or row.when == when]

    def shown(self) -> list[Run]:
        """The runs that something is left of."""
        used = {row.when for row in self.rows} | {each.when for each in self.broken}
        return [run for run in self.runs if run.when in used]

    def save(self, file: Path) -> None:
        """Whole or not at all: a run may be ended at any moment."""
        plain: Mapping[str, Any] = msgspec.to_builtins(msgspec.structs.replace(self, runs=self.shown()))
        for row, raw in zip(self.rows, plain["rows"], strict=True):
            raw["ratio"], raw["verdict"] = statistics.median(row.figure.ratios), row.figure.verdict
        part = file.with_name(f".{file.name}.part")
        part.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
        part.replace(file)


def order(id: str) -> int:
    return int(id.removeprefix("G"))
