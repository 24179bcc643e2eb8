"""What is looked at before a command goes on to the ledger, because the ledger sees names of bytes, never the bytes: a job's scene, a
proof's tiles, a verdict's evidence (DOMAIN.md §1 *Quote*, §5.1, §5.2).

Only that is looked at which may yet happen. What the ledger would refuse anyway, or has done already, goes on to it unlooked at, so
that a retry is answered as the first time.
"""

import asyncio
from hashlib import sha256

from api.objects.deliveries import Deliveries
from api.parts import Parts
from api.problems import EvidenceSwapped, GateFailed, Invalid, NotUploaded, SceneRefused
from domain.body import Body
from domain.ids import AccountId, WorkerId
from domain.proof import proof, verdict
from domain.work import job, manifest
from domain.work.manifest import Asset, Manifest
from domain.work.objects import ObjectMissing


class Checks:
    def __init__(self, parts: Parts, deliveries: Deliveries) -> None:
        self._parts, self._deliveries = parts, deliveries
        self._one_scene = asyncio.Semaphore(1)

    async def before(self, account: AccountId, command: Body) -> None:
        """Raises what is wrong with the bytes that the command names."""
        if isinstance(command, job.Submit):
            await self._scene(account, command)
        elif isinstance(command, proof.Commit):
            await self._proof(command)
        elif isinstance(command, verdict.Reveal):
            await self._evidence(account, command)

    async def _scene(self, account: AccountId, command: job.Submit) -> None:
        world = self._parts.reader.world
        person = world.people.get(account)
        if person is None or "creator" not in person.roles or command.engine not in world.engines:
            return
        if not self._deliveries.has(account, command.manifest_sha256):
            # Its hash is public: who only knows that must not become a creator who may read the scene.
            raise NotUploaded(what="The manifest")
        scene = await self._manifest(command.manifest_sha256)
        if len(scene.frames) != command.frames:
            raise Invalid(field="frames", pointer="/frames", reason=f"the manifest has {len(scene.frames)}")
        limit = self._parts.limits.scene_bytes_max
        if sum(asset.bytes for asset in scene.assets) > limit:
            raise SceneRefused(rule="bytes", reason=f"more than {limit} bytes together")
        for asset in scene.assets:
            await self._present(asset)
        async with self._one_scene:
            loop = asyncio.get_running_loop()

            def read(name: str) -> bytes:
                return asyncio.run_coroutine_threadsafe(self._asset(scene.asset(name)), loop).result()

            found = await asyncio.to_thread(self._parts.check_scene, scene, read)
        if found:
            raise SceneRefused(rule=found[0], reason=found[1])

    async def _manifest(self, digest: str) -> Manifest:
        try:
            size = await self._parts.objects.size(digest)
        except ObjectMissing:
            raise NotUploaded(what="The manifest") from None
        if size > manifest.BYTES_MAX:
            raise SceneRefused(rule="manifest", reason=f"the manifest has more than {manifest.BYTES_MAX} bytes")
        try:
            return manifest.parse(await self._bytes(digest))
        except ValueError as error:
            raise SceneRefused(rule="manifest", reason=str(error)) from None

    async def _present(self, asset: Asset) -> None:
        try:
            size = await self._parts.objects.size(asset.sha256)
        except ObjectMissing:
            raise NotUploaded(what=f"The asset {asset.name}") from None
        if size != asset.bytes:
            raise SceneRefused(rule="bytes", reason=f"{asset.name} has {size} bytes, not the {asset.bytes} of the manifest")

    async def _asset(self, asset: Asset) -> bytes:
        content = await self._bytes(asset.sha256)
        if sha256(content).hexdigest() != asset.sha256:
            raise SceneRefused(rule="hash", reason=f"{asset.name} is not what the manifest names")
        return content

    async def _bytes(self, digest: str) -> bytes:
        return b"".join([chunk async for chunk in await self._parts.objects.open(digest)])

    async def _proof(self, command: proof.Commit) -> None:
        world = self._parts.reader.world
        it = world.tasks.get(command.task)
        if it is None or (it.worker, it.fence, it.status) != (command.worker, command.fence, "leased"):
            return
        if len(command.raw) != it.tiles:
            return
        for index, digest in enumerate(command.raw):
            if not await self._parts.objects.exists(digest):
                raise NotUploaded(what=f"raw[{index}]")
        if code := await self._parts.gate(world, WorkerId(command.worker), command):
            raise GateFailed(reason=code)

    async def _evidence(self, account: AccountId, command: verdict.Reveal) -> None:
        audit = self._parts.reader.world.audits.get(command.audit)
        if audit is None or command.checker in audit.verdicts:
            return
        for index, digest in enumerate(command.evidence_sha256):
            if not await self._parts.objects.exists(digest):
                raise NotUploaded(what=f"evidence_sha256[{index}]")
        for metric, digest in zip(command.metrics, command.evidence_sha256, strict=False):
            if self._deliveries.filed(account, command.audit, metric.region) not in {"", digest}:
                raise EvidenceSwapped(region=metric.region)
