"""What happens when a disk is full: `python -m tests.faults.full database|objects|snapshot FOLDER`, to be run in a mount namespace of its
own, prints facts as JSON. The disks are small ones in memory, mounted there and seen by nobody else."""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx2

from adapters import process
from adapters.client import Client
from domain.log.answers import Problem
from domain.treasury import account
from tests.faults.crowd import Crowd
from tests.faults.history import History
from tests.faults.server import SNAPSHOT
from tests.faults.site import ROOT, Site, answered

MIB = 1 << 20
STREAMS, ENOUGH = 4, 16


def disk(folder: Path, size: int) -> None:
    """A new disk of so many bytes at this folder."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0711", "tmpfs", str(folder)], check=True)


@contextlib.contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Not a byte is left while this lasts."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as out, contextlib.suppress(OSError):
        for block in (MIB, 4_096, 1):
            with contextlib.suppress(OSError):
                while True:
                    out.write(b"f" * block)
    try:
        yield
    finally:
        filler.unlink()


async def of_database(folder: Path, port: int) -> dict[str, Any]:
    """The database's disk is full while people ask; then there is room again."""
    disk(folder / "disk", 170 * MIB)
    site, history = await asyncio.to_thread(Site, folder / "disk" / "ledger", port), History()
    server, over = await asyncio.to_thread(site.begun), asyncio.Event()
    try:
        async with Crowd(site.url, history, timeout_s=5.0, patience_s=90.0) as crowd:
            lives = [asyncio.create_task(crowd.live(lambda: not over.is_set())) for _ in range(STREAMS)]
            await crowd.acknowledged(ENOUGH)
            with filled(folder / "disk"):
                until, statuses = time.monotonic() + 60, set[int]()
                while not (statuses & {503, 504}) and time.monotonic() < until:
                    deeds = list(history.deeds.values())[-STREAMS:]
                    statuses |= {int(why[:3]) for deed in deeds for why in deed.unknown if why[:3].isdecimal()}
                    await asyncio.sleep(0.05)
                full_at = len(crowd.acknowledged_at)
                await asyncio.sleep(2.0)
                alive = await asyncio.to_thread(answered, f"{site.url}/livez"), server.poll() is None
                meanwhile = len(crowd.acknowledged_at) - full_at
            began = time.monotonic()
            await crowd.acknowledged(len(crowd.acknowledged_at) + ENOUGH)
            back_s = time.monotonic() - began
            over.set()
            await asyncio.gather(*lives)
            await crowd.ask_again()
        findings = await site.findings(history, site.home.database())
        facts = {"statuses": sorted(statuses), "alive": alive, "done while full": meanwhile, "back_s": round(back_s, 2)}
        return {**facts, "findings": findings, "counts": history.counts, "same server": server.poll() is None}
    finally:
        process.stop(server, signal.SIGTERM, grace_s=10.0)


async def of_objects(folder: Path, port: int) -> dict[str, Any]:
    """Somebody uploads what there is no room for, in one go and piece by piece; the ledger goes on."""
    site = await asyncio.to_thread(Site, folder / "ledger", port)
    disk(site.home.objects, 6 * MIB + MIB // 2)
    server, secret = await asyncio.to_thread(site.begun), secrets.token_hex(20)
    small, large, pieces = os.urandom(1_000), os.urandom(4 * MIB), os.urandom(9 * MIB)
    try:
        async with Client(site.url, secret) as client:
            await client.ask("/v1/accounts", account.Open(roles=("creator",)))
            await client.store(os.urandom(3 * MIB))
            before = files(site.home.objects)
            refusals = [await refused(client, content) for content in (large, pieces)]
            left = files(site.home.objects) - before
            async with httpx2.AsyncClient(base_url=site.url, trust_env=False, headers={"Authorization": f"Bearer {secret}"}) as http:
                answer = await http.put(f"/v1/objects/{sha256(large).hexdigest()}", content=large)
            alive = (await client.ask("/v1/me/account", account.Change(payout_address=f"0x{'1' * 40}"))).position > 0
            stored = await client.store(small) == sha256(small).hexdigest()
        problem = {"status": answer.status_code, "media": answer.headers["content-type"], **answer.json()}
        return {"refusals": refusals, "left": sorted(left), "alive": alive, "small one": stored, "problem": problem}
    finally:
        process.stop(server, signal.SIGTERM, grace_s=10.0)


async def refused(client: Client, content: bytes) -> list[Any]:
    try:
        await client.store(content)
    except Problem as problem:
        return [problem.status, problem.code]
    return []


def files(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


async def of_snapshot(folder: Path, port: int) -> dict[str, Any]:
    """Snapshots for which there is no room, and one whose maker is killed before it has its name."""
    site = await asyncio.to_thread(Site, folder / "ledger", port)
    disk(site.home.snapshots, MIB)
    server, history = await asyncio.to_thread(site.begun), History()
    try:
        async with Crowd(site.url, history) as crowd:
            first = await asyncio.to_thread(snapshot, site)
            before = {name: (site.home.snapshots / name).read_bytes() for name in files(site.home.snapshots)}
            await crowd.live(lambda: crowd.people < 2)
            with filled(site.home.snapshots):
                second = await asyncio.to_thread(snapshot, site)
            after_full = {name: (site.home.snapshots / name).read_bytes() for name in files(site.home.snapshots)}
            site.armed.touch()
            killed = await asyncio.to_thread(snapshot, site, "--die-at", SNAPSHOT, "--once", str(site.armed))
            site.armed.unlink()
            kept = all((site.home.snapshots / name).read_bytes() == content for name, content in before.items())
            third = await asyncio.to_thread(snapshot, site)
            await crowd.live(lambda: crowd.people < 4)
        process.stop(server, signal.SIGKILL)
        server = await asyncio.to_thread(site.begun)
        statuses = {"first": first, "full": second, "killed": killed, "again": third}
        whole = {"unchanged when full": after_full == before, "kept when killed": kept}
        return {**statuses, **whole, "findings": await site.findings(history, site.home.database())}
    finally:
        process.stop(server, signal.SIGTERM, grace_s=10.0)


def snapshot(site: Site, *own: str) -> int:
    command = [sys.executable, "-m", "tests.faults.server", *own, "snapshot", str(site.home.path), "--json"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, check=False).returncode


def main() -> None:
    what, folder, port = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    facts = asyncio.run({"database": of_database, "objects": of_objects, "snapshot": of_snapshot}[what](folder, port))
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
