"""Runs a checker: does what its state machine (worker_runtime/checker/agent.py) wants."""

import asyncio
import os
import secrets
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import msgspec
import structlog

from domain.ids import AuditId, order
from domain.log.answers import Answer, Problem, Unanswered
from domain.proof import bench, comparator, proof
from domain.proof import verdict as verdicts
from worker_runtime import config, ports
from worker_runtime.checker import agent
from worker_runtime.checker.agent import Check, Compare, File, Forget, Found, Keep, Kill, Render, Reveal, Seal
from worker_runtime.errands import Errands
from worker_runtime.inputs import Action
from worker_runtime.loop import Loop, leave_on_signals, now_us
from worker_runtime.studio import Cache, Studio, Unrendered

COMPARATOR = "psnr-1"
NONCE_BYTES = 16

logger = structlog.get_logger()


class Notes:
    """Sealed verdicts on disk, until they are revealed; for the owner alone, since a nonce is a secret until then."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, audit: AuditId, found: Found) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self.folder / f"{audit}.new"
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(msgspec.json.encode(found))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.folder / f"{audit}.json")

    def forget(self, audit: AuditId) -> None:
        (self.folder / f"{audit}.json").unlink(missing_ok=True)

    def all(self) -> dict[AuditId, Found]:
        """What earlier processes left. A file that cannot be read is as good as none."""
        found = dict[AuditId, Found]()
        for path in sorted(self.folder.glob("audit-*.json")):
            try:
                found[AuditId(path.stem)] = msgspec.json.decode(path.read_bytes(), type=Found)
            except (msgspec.DecodeError, OSError):
                logger.warning("unreadable note", audit=path.stem)
        return found


class Checker:
    """The hands of one checker."""

    def __init__(self, settings: config.Config, server: ports.Server, sign: ports.Signer, studio: Studio, loop: Loop, notes: Notes) -> None:
        self.settings, self.server, self.sign, self.studio, self.loop, self.notes = settings, server, sign, studio, loop, notes
        self.me = settings.worker
        self.errands = Errands()
        self.own: dict[AuditId, dict[int, bytes]] = {}
        """Our rendering of each region."""

    async def perform(self, action: Action) -> Answer | None:
        match action:
            case Render(check) | File(check) | Compare(check):
                with self.errands.errand(check.audit):
                    await self._work(action, check)
            case Keep(audit, found):
                await asyncio.to_thread(self.notes.keep, audit, found)
                self.loop.tell(agent.Kept(audit))
            case Kill(audit):
                self.errands.kill(audit)
                self.own.pop(audit, None)
            case Forget(audit):
                self.own.pop(audit, None)
                self.notes.forget(audit)
            case Seal():
                return await self.server.send(self.me, self._seal(action))
            case Reveal(audit, found):
                return await self.server.send(self.me, self._reveal(audit, found))
        return None

    async def _work(self, action: Render | File | Compare, check: Check) -> None:
        """One step of a check; what goes wrong is told to the machine, which tries again while there is time."""
        try:
            match action:
                case Render():
                    await self._render(check)
                case File():
                    stored = await asyncio.gather(*(self.server.store(self.own[check.audit][region]) for region in check.regions))
                    self.loop.tell(agent.Filed(check.audit, tuple(stored)))
                case Compare():
                    await self._compare(check)
        except Unrendered as reason:
            self._fail(check, reason.code, reason.detail)
        except Problem as problem:
            self._fail(check, problem.code, problem.detail)
        except Unanswered as silence:
            self._fail(check, "server_silent", str(silence))

    async def _render(self, check: Check) -> None:
        seed = 0 if order(check.task)[1] else await self._bench_seed(check)
        whole = await self.studio.order(check.task, seed)
        wanted = whole._replace(numbers=[whole.numbers[region] for region in check.regions])
        done = await self.studio.render(wanted, lambda count: None)
        self.own[check.audit] = {region: tile.raw for region, tile in zip(check.regions, done, strict=True)}
        self.loop.tell(agent.Rendered(check.audit))

    async def _compare(self, check: Check) -> None:
        """Only what differs from the hash that the worker committed to is asked for."""
        claimed, own = await self._claimed(check), self.own[check.audit]
        metrics = []
        for region in check.regions:
            name = sha256(own[region]).hexdigest()
            if name == claimed[region]:
                found = comparator.EQUAL
            else:
                theirs = await self.server.raw(check.task, region, claimed[region], name)
                found = await asyncio.to_thread(comparator.compare, own[region], theirs)
            metrics.append(verdicts.Metric(region, found.equal, found.psnr_mdb, found.differing_ppm))
        logger.info("compared", audit=check.audit, task=check.task, verdict=agent.judge(metrics))
        self.loop.tell(agent.Compared(check.audit, tuple(metrics), secrets.token_hex(NONCE_BYTES)))

    async def _claimed(self, check: Check) -> tuple[str, ...]:
        """The hashes of all tiles that the worker committed to."""
        for recorded in await self.server.stream(check.task, order(check.audit)[0]):
            match recorded.event:
                case proof.Committed() as proved if proved.fence == check.fence and not proved.late:
                    return proved.raw
        raise Unrendered("no_proof", f"{check.task} has no proof under fence {check.fence}")

    async def _bench_seed(self, check: Check) -> int:
        for recorded in await self.server.stream(check.task, order(check.audit)[0]):
            if isinstance(recorded.event, bench.Opened):
                return recorded.event.seed
        raise Unrendered("no_bench", f"{check.task} was never opened")

    def _fail(self, check: Check, code: str, detail: str) -> None:
        logger.warning("not checked", audit=check.audit, task=check.task, code=code, detail=detail)
        self.loop.tell(agent.Failed(check.audit, code))

    def _seal(self, seal: Seal) -> verdicts.Commit:
        claim = verdicts.sealing(seal.audit, self.me, seal.round, seal.seal, self.settings.account, signature="")
        return verdicts.Commit(audit=seal.audit, checker=self.me, round=seal.round, seal=seal.seal, signature=self.sign(claim))

    def _reveal(self, audit: AuditId, found: Found) -> verdicts.Reveal:
        return verdicts.Reveal(
            audit=audit,
            checker=self.me,
            verdict=found.verdict,
            metrics=tuple(verdicts.MetricIn(**msgspec.structs.asdict(each)) for each in found.metrics),
            comparator=COMPARATOR,
            evidence_sha256=found.evidence,
            nonce=found.nonce,
        )


async def run_checker(
    settings: config.Config,
    server: ports.Server,
    sign: ports.Signer,
    workshop: ports.Workshop,
    *,
    clock: ports.Clock = now_us,
    hear: Callable[[Loop], None] = leave_on_signals,
) -> str:
    """Runs a checker until it is told to leave; returns why it stopped. `hear` arranges for it to be told. Raises `loop.Failed`."""
    machine = agent.Agent(settings.worker, secrets.token_hex(8), settings.slots)
    loop = Loop(machine, settings.worker, server, clock)
    folder = Path(settings.folder)
    studio, notes = Studio(server, workshop, Cache(folder / "scenes"), settings.owns), Notes(folder / "verdicts")
    hands = Checker(settings, server, sign, studio, loop, notes)
    studio.prepare()
    hear(loop)
    for audit, found in notes.all().items():
        loop.tell(agent.Remembered(audit, found))
    logger.info("starting", agent=settings.worker, cls=settings.cls, sandbox=workshop.isolated)
    if not workshop.isolated:
        logger.warning("no sandbox: only the operator's own scenes are rendered", own=settings.own_accounts)
    try:
        return await loop.run(lambda recorded: agent.seen(recorded, settings.worker), hands.perform)
    finally:
        await studio.close()
