"""How an export is written down as text: a line a row, then what they come to. The last line is the hash of all bytes before it."""

import csv
import io
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import msgspec

from domain.value import Value
from exports.lines import Cell, Column, Entry, iso

PARQUET = "application/vnd.apache.parquet"
"""Here, so that it is known without the library."""
FORMULA = tuple("=+-@\t\r")
"""What a spreadsheet takes for the beginning of a formula."""


class Trailer(Value):
    """What an export ends with."""

    rows: int
    totals: tuple[tuple[str, str, str], ...]
    """(asset, of what, amount)."""
    log: str
    size: int
    """Up to which event it goes: with `root`, the head of the log as it was then."""
    root: str
    sha256: str = ""
    """Of a file that cannot hold its own hash: that of the same export as CSV, as its last line has it."""


class Form(Protocol):
    media_type: ClassVar[str]

    def __init__(self, columns: tuple[Column, ...]) -> None: ...

    def begin(self) -> bytes: ...

    def page(self, entries: Sequence[Entry]) -> bytes:
        """May be less than the entries, or more: what was kept back comes with a later page, or at the end."""
        ...

    def end(self, trailer: Trailer) -> bytes: ...


@runtime_checkable
class Text(Form, Protocol):
    def seal(self, sha256_hex: str) -> bytes:
        """The last line."""
        ...


class Csv:
    """RFC 4180, but lines end with a line feed alone, and no text has a carriage return. Lines of the end begin with `#`."""

    media_type: ClassVar[str] = "text/csv; charset=utf-8"

    def __init__(self, columns: tuple[Column, ...]) -> None:
        self._columns = columns
        self._times = [number for number, column in enumerate(columns) if column.kind == "time"]
        self._texts = [number for number, column in enumerate(columns) if column.kind == "text"]

    def begin(self) -> bytes:
        return written([[column.name for column in self._columns]])

    def page(self, entries: Sequence[Entry]) -> bytes:
        return written([self._cells(entry.cells) for entry in entries])

    def _cells(self, cells: Sequence[Cell]) -> list[Cell]:
        made = list(cells)
        for number in self._times:
            made[number] = iso(made[number])  # type: ignore[arg-type] # a time is a number
        for number in self._texts:
            if text := str(made[number] or ""):
                made[number] = (f"'{text}" if text.startswith(FORMULA) else text).replace("\r", " ")
        return made

    def end(self, trailer: Trailer) -> bytes:
        totals = [["#total", *total] for total in trailer.totals]
        return written([["#rows", trailer.rows], *totals, ["#log", trailer.log], ["#head", trailer.size, trailer.root]])

    def seal(self, sha256_hex: str) -> bytes:
        return written([["#sha256", sha256_hex]])


def written(rows: Sequence[Sequence[Cell]]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().encode()


class JsonLines:
    """One object a line; that of the end has the type `end`, and the hash one of its own."""

    media_type: ClassVar[str] = "application/x-ndjson"

    def __init__(self, columns: tuple[Column, ...]) -> None:
        self._names = [column.name for column in columns]
        self._times = [number for number, column in enumerate(columns) if column.kind == "time"]

    def begin(self) -> bytes:
        return b""

    def page(self, entries: Sequence[Entry]) -> bytes:
        return lines([dict(zip(self._names, self._cells(entry.cells), strict=True)) for entry in entries])

    def _cells(self, cells: Sequence[Cell]) -> list[Cell]:
        made = list(cells)
        for number in self._times:
            made[number] = iso(made[number])  # type: ignore[arg-type] # a time is a number
        return made

    def end(self, trailer: Trailer) -> bytes:
        return lines([{"type": "end", **said(trailer)}])

    def seal(self, sha256_hex: str) -> bytes:
        return lines([{"type": "hash", "sha256": sha256_hex}])


def said(trailer: Trailer) -> dict[str, Any]:
    """As JSON has it."""
    totals = [{"asset": asset, "of": label, "amount": amount} for asset, label, amount in trailer.totals]
    head = {"log": trailer.log, "size": trailer.size, "root": trailer.root}
    return {"rows": trailer.rows, "totals": totals, "head": head} | ({"csv_sha256": trailer.sha256} if trailer.sha256 else {})


ENCODER = msgspec.json.Encoder()


def lines(objects: Sequence[object]) -> bytes:
    return ENCODER.encode_lines(objects)
