"""Whether a file is a whole export: it ends with the hash of all that stands before."""

import re
from hashlib import sha256
from pathlib import Path

LAST_BYTES = 200
CHUNK = 1 << 20
SEAL = re.compile(rb'(?:^|\n)((?:#sha256,|; sha256 |\{"type":"hash","sha256":")([0-9a-f]{64})(?:"\})?\n)\Z')
"""The last line of each form that is text."""


class Cut(Exception):
    """A file that is not the export that its server wrote: cut off, or changed."""


def check(file: Path, form: str) -> str:
    """The hash with which it ends. Raises `Cut`."""
    with file.open("rb") as opened:
        size = opened.seek(0, 2)
        opened.seek(max(0, size - LAST_BYTES))
        if (found := SEAL.search(opened.read())) is None:
            raise Cut(f"{file.name} has no end: it was cut off")
        left, hashed = size - len(found[1]), sha256()
        opened.seek(0)
        while left and (chunk := opened.read(min(CHUNK, left))):
            hashed.update(chunk)
            left -= len(chunk)
    if hashed.hexdigest().encode() != found[2]:
        raise Cut(f"{file.name} was changed: its bytes have another hash than its last line says")
    return hashed.hexdigest()
