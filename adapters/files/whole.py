"""Files that whoever reads them meanwhile sees whole, as they were or as they are now."""

import os
from pathlib import Path


def write(file: Path, text: str, mode: int = 0o644) -> None:
    fresh = file.with_name(f"{file.name}.{os.getpid()}.part")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as part:
        part.write(text)
    fresh.replace(file)
