"""An export as a workbook (ECMA-376), sent while it is written: the libraries for it keep all rows, or a file of them, until the end."""

import io
import zipfile
from collections.abc import Sequence
from typing import ClassVar
from xml.sax.saxutils import escape, quoteattr

from exports.forms import Trailer
from exports.lines import Cell, Column, Entry, iso

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"
KINDS = "application/vnd.openxmlformats-officedocument.spreadsheetml"
DECLARED = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
ROWS_MAX = 1_000_000
"""Of one sheet, its heading not counted. A spreadsheet takes 1,048,576."""
DIGITS_MAX = 15
"""What a spreadsheet keeps of a number; an amount with more digits stands there as text."""
MADE = (1980, 1, 1, 0, 0, 0)
"""The date of each file in the archive: equal exports have equal bytes."""
LEVEL = 1
CONTROLS = dict.fromkeys(range(32), " ")
FOOT = "</sheetData></worksheet>"


class Sink(io.RawIOBase):
    """Where an archive is written to that is sent as it grows."""

    def __init__(self) -> None:
        self._parts = list[bytes]()

    def writable(self) -> bool:
        return True

    def write(self, part: "memoryview | bytes") -> int:  # type: ignore[override]
        self._parts.append(bytes(part))
        return len(part)

    def taken(self) -> bytes:
        parts, self._parts = b"".join(self._parts), []
        return parts


class Workbook:
    """Rows on as many sheets as they need, and what they come to on the last one."""

    media_type: ClassVar[str] = f"{KINDS}.sheet"

    def __init__(self, columns: tuple[Column, ...]) -> None:
        self._columns = columns
        self._sink = Sink()
        self._archive = zipfile.ZipFile(self._sink, "w", zipfile.ZIP_DEFLATED)
        self._names = list[str]()
        self._sheet: io.BufferedIOBase | None = None
        self._rows = 0
        """On the sheet that is open."""

    def begin(self) -> bytes:
        kinds = default("rels", RELS) + default("xml", f"{KINDS}.worksheet+xml")
        kinds += f'<Override PartName="/xl/workbook.xml" ContentType="{KINDS}.sheet.main+xml"/>'
        self._put("[Content_Types].xml", f'<Types xmlns="{TYPES}">{kinds}</Types>')
        self._put("_rels/.rels", relations([("officeDocument", "xl/workbook.xml")]))
        self._turn("rows")
        return self._sink.taken()

    def page(self, entries: Sequence[Entry]) -> bytes:
        while entries:
            if self._rows == ROWS_MAX:
                self._turn(f"rows {len(self._names) + 1}")
            fit = entries[: ROWS_MAX - self._rows]
            self._write("".join(row([self._cell(*each) for each in zip(self._columns, entry.cells, strict=True)]) for entry in fit))
            self._rows += len(fit)
            entries = entries[len(fit) :]
        return self._sink.taken()

    def end(self, trailer: Trailer) -> bytes:
        self._turn("end", ["what", "asset", "of", "value"])
        facts = [("rows", "", "", str(trailer.rows)), *(("total", *total) for total in trailer.totals)]
        facts += [("log", "", "", trailer.log), ("size", "", "", str(trailer.size)), ("root", "", "", trailer.root)]
        facts += [("sha256 of the CSV", "", "", trailer.sha256)]
        self._write("".join(row([text(each) for each in fact]) for fact in facts))
        self._finish_sheet()
        sheets = "".join(f'<sheet name={quoteattr(name)} sheetId="{n}" r:id="r{n}"/>' for n, name in enumerate(self._names, 1))
        self._put("xl/workbook.xml", f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>{sheets}</sheets></workbook>')
        parts = [("worksheet", f"worksheets/sheet{n}.xml") for n in range(1, len(self._names) + 1)]
        self._put("xl/_rels/workbook.xml.rels", relations(parts))
        self._archive.close()
        return self._sink.taken()

    def _cell(self, column: Column, cell: Cell) -> str:
        if cell is None:
            return "<c/>"
        if column.kind == "time":
            assert isinstance(cell, int)
            return text(iso(cell))
        if column.kind == "count" or (column.kind == "amount" and is_exact(str(cell))):
            return f"<c><v>{cell}</v></c>"
        return text(str(cell))

    def _turn(self, name: str, heading: Sequence[str] = ()) -> None:
        """To a new sheet."""
        self._finish_sheet()
        self._names.append(name)
        self._sheet = self._archive.open(dated(f"xl/worksheets/sheet{len(self._names)}.xml"), "w")  # type: ignore[assignment]
        names = heading or [column.name for column in self._columns]
        view = '<sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView>'
        wide = f'<cols><col min="1" max="{len(names)}" width="22" customWidth="1"/></cols>'
        head = f'{DECLARED}<worksheet xmlns="{MAIN}"><sheetViews>{view}</sheetViews>{wide}<sheetData>{row([text(each) for each in names])}'
        self._write(head)
        self._rows = 0

    def _finish_sheet(self) -> None:
        if self._sheet:
            self._write(FOOT)
            self._sheet.close()
            self._sheet = None

    def _write(self, part: str) -> None:
        assert self._sheet
        self._sheet.write(part.encode())

    def _put(self, name: str, content: str) -> None:
        self._archive.writestr(dated(name), DECLARED + content)


RELS = "application/vnd.openxmlformats-package.relationships+xml"


def default(extension: str, kind: str) -> str:
    return f'<Default Extension="{extension}" ContentType="{kind}"/>'


def relations(parts: Sequence[tuple[str, str]]) -> str:
    found = "".join(f'<Relationship Id="r{n}" Type="{OFFICE}/{kind}" Target="{name}"/>' for n, (kind, name) in enumerate(parts, 1))
    return f'<Relationships xmlns="{RELATIONS}">{found}</Relationships>'


def dated(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, MADE)
    info.compress_type = zipfile.ZIP_DEFLATED
    info._compresslevel = LEVEL  # type: ignore[attr-defined]
    return info


def row(cells: Sequence[str]) -> str:
    return f"<row>{''.join(cells)}</row>"


def text(content: str) -> str:
    return f'<c t="inlineStr"><is><t xml:space="preserve">{escape(content.translate(CONTROLS))}</t></is></c>'


def is_exact(amount: str) -> bool:
    """Whether a spreadsheet keeps all of its digits."""
    digits = amount.lstrip("-0.").replace(".", "")
    return len(digits.rstrip("0") if "." in amount else digits) <= DIGITS_MAX
