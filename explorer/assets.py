"""Script and style, from memory: under a name that changes with their bytes, so that a browser asks for each of them once."""

import gzip
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from domain.value import Value

FOLDER = Path(__file__).parent / "static"
KINDS = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
FOR_EVER = "public, max-age=31536000, immutable"


class Asset(Value):
    kind: str
    plain: bytes
    packed: bytes
    tag: str


def load(folder: Path = FOLDER) -> dict[str, Asset]:
    """Name -> file, of everything below the folder that a page may ask for."""
    files = [file for file in sorted(folder.rglob("*")) if file.suffix in KINDS]
    return {str(file.relative_to(folder)): asset(file) for file in files}


def asset(file: Path) -> Asset:
    content = file.read_bytes()
    return Asset(KINDS[file.suffix], content, gzip.compress(content, 9, mtime=0), sha256(content).hexdigest()[:12])


def answer(assets: Mapping[str, Asset], request: Request) -> Response:
    found = assets.get(request.path_params["name"])
    if found is None:
        return Response("There is no such file.\n", 404, media_type="text/plain")
    packs = "gzip" in request.headers.get("accept-encoding", "")
    headers = {"Cache-Control": FOR_EVER, "Vary": "Accept-Encoding", "X-Content-Type-Options": "nosniff"}
    headers |= {"Content-Encoding": "gzip"} if packs else {}
    return Response(found.packed if packs else found.plain, headers=headers, media_type=found.kind)
