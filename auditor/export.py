"""Export: an outsider's copy of a ledger, by its public API and a node of the chain. Whatever comes is hashed before it is kept."""

import io
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import httpx2

from auditor.bundle import BadBundle, Writer, split
from auditor.chain import Listening, Node, Silent, Source
from auditor.checks.evidence import Regions
from auditor.checks.onchain import KINDS, OnChain
from auditor.facts import Balance, Block, ChainLog, Facts, Gas
from auditor.report import Findings
from domain.event import Event, Recorded
from domain.log import wire
from domain.log.block import Broken, Diverged
from domain.log.listing import Manifest
from domain.work import tiles

TIMEOUT_S = 60.0
F = TypeVar("F")


class ExportFailed(Exception):
    """The server or the chain did not give what a bundle needs, or gave something else than it should."""


def export(api_url: str, rpc_url: str | None, out: Path) -> Manifest:
    """Makes the bundle `out`. Regions that the server does not have are left out: `verify` says so.

    Raises `ExportFailed`, and `FileExistsError` where something is already; then there is no bundle.
    """
    writer = Writer(out)
    try:
        with httpx2.Client(timeout=TIMEOUT_S, trust_env=False, base_url=api_url) as http:
            events, regions = _log(http, writer)
            for digest in sorted(regions):
                if (data := _region(http, digest)) is not None:
                    writer.evidence(digest, data)
        if rpc_url:
            with Node(rpc_url) as node:
                writer.receipts(collect(node, events))
        return writer.finish(_public(api_url))
    except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, BadBundle, Broken, Diverged, Silent) as reason:
        raise ExportFailed(f"{type(reason).__name__}: {reason}") from reason
    finally:
        writer.abandon()


def _log(http: httpx2.Client, writer: Writer) -> tuple[list[Recorded[Event]], set[str]]:
    """Keeps the log; returns what it says of the chain, and the regions of its closed audits."""
    events, regions, names = list[Recorded[Event]](), Regions(), set[str]()
    with http.stream("GET", "/v1/log", params={"after": 0}) as response:
        response.raise_for_status()
        for _, record in split(io.BufferedReader(_Stream(response.iter_bytes()))):
            for it in map(wire.event, writer.record(record)):
                if isinstance(it.event, KINDS):
                    events.append(it)
                names |= {digest for region in regions.take(it) for digest in (region.checker, region.worker) if digest}
    return events, names


def collect(source: Source, events: list[Recorded[Event]]) -> Facts:
    """All that the chain says to whoever holds it against these events. Raises `Silent`."""
    heard = dict[object, None]()
    head, chain = source.head(), OnChain(Findings(), Listening(source, heard.setdefault))
    for it in events:
        chain.take(it)
    chain.finish(0)
    if chain.silent:
        raise Silent(chain.silent)
    return Facts(source.chain_id(), head, _of(Block, heard), _of(ChainLog, heard), _of(Balance, heard), _of(Gas, heard))


def _of(kind: type[F], heard: Iterable[object]) -> tuple[F, ...]:
    return tuple(it for it in heard if isinstance(it, kind))


def _region(http: httpx2.Client, digest: str) -> bytes | None:
    """None if the server has it not (any more)."""
    response = http.get(f"/v1/evidence/{digest}")
    if response.status_code in {404, 410}:
        return None
    response.raise_for_status()
    if len(response.content) > tiles.RAW_BYTES_MAX or sha256(response.content).hexdigest() != digest:
        raise ExportFailed(f"what the server has as evidence {digest} is something else")
    return response.content


def _public(url: str) -> str:
    """A URL without what may be secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")


class _Stream(io.RawIOBase):
    """Chunks as a file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = chunks, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        while not self._rest:
            if (chunk := next(self._chunks, None)) is None:
                return 0
            self._rest = chunk
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count
