"""Whether a file is a whole export: text ends with the hash of all that stands before; a workbook and Parquet have an end of their own."""

import re
import zipfile
import zlib
from hashlib import sha256
from pathlib import Path

LAST_BYTES = 200
MAGIC = b"PAR1"
CHUNK = 1 << 20
SEAL = re.compile(rb'(?:^|\n)((?:#sha256,|; sha256 |\{"type":"hash","sha256":")([0-9a-f]{64})(?:"\})?\n)\Z')
"""The last line of each form that is text."""


class Cut(Exception):
    """A file that is not the export that its server wrote: cut off, or changed."""


def check(file: Path, form: str) -> str:
    """The hash with which a text ends, or that of another file. Raises `Cut`."""
    if form == "xlsx":
        check_workbook(file)
    elif form == "parquet":
        check_parquet(file)
    else:
        return check_text(file)
    return hashed(file, file.stat().st_size)


def check_text(file: Path) -> str:
    size = file.stat().st_size
    with file.open("rb") as opened:
        opened.seek(max(0, size - LAST_BYTES))
        if (found := SEAL.search(opened.read())) is None:
            raise Cut(f"{file.name} has no end: it was cut off")
    if (digest := hashed(file, size - len(found[1]))) != found[2].decode():
        raise Cut(f"{file.name} was changed: its bytes have another hash than its last line says")
    return digest


def check_workbook(file: Path) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, EOFError) as reason:
        raise Cut(f"{file.name} is no whole workbook: {reason}") from reason
    if damaged:
        raise Cut(f"{file.name} was changed: {damaged} has another checksum")


def check_parquet(file: Path) -> None:
    """A reader of Parquet checks its pages; this is that both ends are there, and what the last one says fits in between."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        first = opened.read(len(MAGIC))
        opened.seek(max(0, size - len(MAGIC) - 4))
        last = opened.read()
    if first != MAGIC or last[4:] != MAGIC or int.from_bytes(last[:4], "little") > size - 3 * len(MAGIC):
        raise Cut(f"{file.name} has no end: it was cut off")


def hashed(file: Path, left: int) -> str:
    """SHA-256 of so many bytes from its beginning."""
    digest = sha256()
    with file.open("rb") as opened:
        while left and (chunk := opened.read(min(CHUNK, left))):
            digest.update(chunk)
            left -= len(chunk)
    return digest.hexdigest()
