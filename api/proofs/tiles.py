"""The log as a transparency log (C2SP tlog-tiles): a signed checkpoint, the tree in tiles of 256 hashes, the leaves in bundles of 256.

Whatever is full never changes; of what grows, each width is as good as a full one to whoever holds a checkpoint of that size.
"""

import re
from contextlib import aclosing

from fastapi import APIRouter, Request, Response

from api.parts import Notary, Parts
from api.problems import NotSigned
from api.proofs.audit import Archive
from api.traffic import conditional
from domain.errors import NotFound

WIDTH, LEVEL_BITS, LEVELS_MAX = 256, 8, 6
PATH = re.compile(r"(?:(\d)|(entries))/((?:x\d{3}/){0,4}\d{3})(?:\.p/([1-9]\d{0,2}))?", re.ASCII)
TEXT = "text/plain; charset=utf-8"


class Tiles:
    def __init__(self, parts: Parts, archive: Archive) -> None:
        self._parts, self._archive = parts, archive

    async def checkpoint(self, request: Request) -> Response:
        """The head of the log as a signed note (C2SP tlog-checkpoint)."""
        head = self._parts.reader.head
        headers, note = conditional.tagged(head.size), self._notary.checkpoint(head.size, head.root)
        return conditional.unchanged(request, headers) or Response(note, headers=headers, media_type=TEXT)

    async def key(self, request: Request) -> Response:
        """The key that signs this server's checkpoints, as a verifier key of C2SP signed-note."""
        name = self._notary.verifier
        headers = conditional.tagged(name)
        return conditional.unchanged(request, headers) or Response(name + "\n", headers=headers, media_type=TEXT)

    async def tile(self, request: Request) -> Response:
        """Hashes of the tree, `LEVEL/INDEX[.p/WIDTH]`, or leaves, `entries/INDEX[.p/WIDTH]`, by the paths of C2SP tlog-tiles."""
        found = PATH.fullmatch(request.path_params["tile"])
        if found is None:
            raise NotFound(id="tile of this name")
        level, index = int(found[1] or 0), int(found[3].replace("x", "").replace("/", ""))
        width = int(found[4] or WIDTH)
        start, size = index * WIDTH, self._parts.reader.head.size >> LEVEL_BITS * level
        if level >= LEVELS_MAX or width > WIDTH - bool(found[4]) or start + width > size or numbered(index) != found[3]:
            raise NotFound(id="tile of this name")
        headers = conditional.tagged(request.path_params["tile"], immutable=True, weak=False)
        if known := conditional.unchanged(request, headers):
            return known
        content = await self._entries(start, width) if found[2] else await self._hashes(level, start, width)
        return Response(content, headers=headers, media_type="application/octet-stream")

    async def _hashes(self, level: int, start: int, width: int) -> bytes:
        tree = await self._archive.tree()
        return b"".join(tree.node(LEVEL_BITS * level, place) for place in range(start, start + width))

    async def _entries(self, start: int, width: int) -> bytes:
        """Each leaf after its length in two bytes: a line of the log has 60,000 at most."""
        bundle = bytearray()
        async with aclosing(self._parts.reader.events(start)) as items:
            async for recorded, line in items:
                bundle += len(line).to_bytes(2) + line
                if recorded.pos == start + width:
                    break
        return bytes(bundle)

    @property
    def _notary(self) -> Notary:
        if self._parts.notary is None:
            raise NotSigned
        return self._parts.notary


def numbered(index: int) -> str:
    """Three digits a folder, those before the last marked with x: 1234067 is x001/x234/067."""
    digits = str(index)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[n : n + 3] for n in range(0, len(digits), 3)]
    return "/".join([*(f"x{each}" for each in groups[:-1]), groups[-1]])


def router(parts: Parts, archive: Archive) -> APIRouter:
    routes, tiles = APIRouter(prefix="/v1/tlog"), Tiles(parts, archive)
    routes.add_api_route("/checkpoint", tiles.checkpoint, methods=["GET"], operation_id="tlog.checkpoint")
    routes.add_api_route("/key", tiles.key, methods=["GET"], operation_id="tlog.key")
    routes.add_api_route("/tile/{tile:path}", tiles.tile, methods=["GET"], operation_id="tlog.tile")
    return routes
