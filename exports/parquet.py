"""An export as Parquet, a row group at a time. What it comes to stands in the file's metadata, as JSON under the key `gridledger`."""

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec
import pyarrow as pa
from pyarrow import parquet

from exports.forms import PARQUET, Trailer, said
from exports.lines import Column, Entry
from exports.sheets import Sink

ROWS = 20_000
"""Of a row group: what is held at a time."""
AMOUNT = pa.decimal128(38, 18)
"""Of whichever asset: a column has one scale, and ETH has the most decimals."""
TYPES = {"text": pa.string(), "count": pa.int64(), "time": pa.timestamp("us", tz="UTC"), "amount": AMOUNT}


class Parquet:
    media_type: ClassVar[str] = PARQUET

    def __init__(self, columns: tuple[Column, ...]) -> None:
        self._schema = pa.schema([(column.name, TYPES[column.kind]) for column in columns])
        self._sink = Sink()
        self._writer = parquet.ParquetWriter(
            pa.PythonFile(self._sink, mode="w"), self._schema, compression="zstd", write_page_checksum=True
        )
        self._kept = list[Entry]()

    def begin(self) -> bytes:
        return self._sink.taken()

    def page(self, entries: Sequence[Entry]) -> bytes:
        self._kept += entries
        while len(self._kept) >= ROWS:
            self._write(self._kept[:ROWS])
            del self._kept[:ROWS]
        return self._sink.taken()

    def end(self, trailer: Trailer) -> bytes:
        if self._kept:
            self._write(self._kept)
        self._writer.add_key_value_metadata({"gridledger": msgspec.json.encode(said(trailer)).decode()})
        self._writer.close()
        return self._sink.taken()

    def _write(self, entries: Sequence[Entry]) -> None:
        columns = zip(*(entry.cells for entry in entries), strict=True)
        made = [column(list(cells), field.type) for cells, field in zip(columns, self._schema, strict=True)]
        self._writer.write_table(pa.Table.from_arrays(made, schema=self._schema))


def column(cells: list[Any], kind: pa.DataType) -> pa.Array:
    return pa.array(cells, pa.string()).cast(kind) if kind == AMOUNT else pa.array(cells, kind)
