"""The explorer over views in memory, asked without a socket."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any

import httpx2

from adapters import objects
from domain.log import wire
from domain.log.block import accept
from domain.log.merkle import Head
from domain.work import manifest
from domain.world import World
from explorer.parts import Item, Parts
from explorer.site import Site
from projections import catalog
from projections.past import Past
from tests.network import Network
from tests.projections import lives


class Reader:
    """A log that has come to its end."""

    def __init__(self, records: Sequence[bytes], world: World) -> None:
        self.world = world
        self.head: Head = lives.START
        self.items = list[Item]()
        for record in records:
            block = accept(self.head, record)
            self.items += zip(wire.events(block), record.split(b"\n")[1:-1], strict=True)
            self.head = block.after

    @property
    def at_us(self) -> int:
        return self.items[-1][0].at_us if self.items else 0

    async def events(self, after: int, **_: Any) -> AsyncGenerator[Item, None]:
        for item in self.items[after:]:
            yield item
        await asyncio.Event().wait()


class Explorer:
    """What a browser may ask."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._app = Site(parts).application()

    async def get(self, path: str, **headers: str) -> httpx2.Response:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(self._app), base_url="http://gridledger") as http:
            return await http.get(path, headers=headers)

    async def text(self, path: str) -> str:
        """Of a page that is there."""
        answer = await self.get(path)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:300]}"
        return answer.text


def scene_of(*, pictures: bool) -> manifest.Manifest:
    return manifest.Manifest("0" * 32, [manifest.describe("a.xml", b"a")], ["a.xml"], pictures)


async def once(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def opened(network: Network, *, later_us: int = 0, views: Any = None) -> Explorer:
    """The explorer as it is so long after the network's last event."""
    reader, log = Reader(network.records, network.world), lives.Written(network.records)
    views = views or await lives.folded(network.records)
    store = objects.memory()
    for content in (*network.objects.values(), *(scene_of(pictures=each).encode() for each in (True, False))):
        await store.put(once(content))
    return Explorer(Parts(reader, views, Past(log, catalog.ALL), store, lambda: reader.at_us + later_us))
