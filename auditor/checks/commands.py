"""From events back to the commands that they answer: what must have been asked, for this to be what followed.

Only a command's first event is needed. What a command says beyond its events (a deposit's account that nobody knows) changes nothing.
"""

from collections.abc import Callable, Sequence
from typing import Any

from domain.body import Body
from domain.event import Event
from domain.house import genesis, ledger, override, rules
from domain.ids import HOUSE, Actor, BatchId
from domain.market import bid, worker
from domain.proof import beacon, proof, verdict
from domain.treasury import account, anchor, batch, deposit, payout, stake
from domain.work import job, task
from domain.world import World

Builder = Callable[[Any, World, Actor], Body | None]


def asked(event: Event, world: World, by: Actor) -> Body | None:
    """The command from outside whose first event this is. None if no command begins so. Raises `ValueError` where its fields would
    not have been taken."""
    builder = BUILDERS.get(type(event))
    return builder(event, world, by) if builder and by != HOUSE else None


def begun(events: Sequence[Event]) -> genesis.Init:
    """The command that began the ledger. Raises `ValueError` and the like where these are not the events of a first block."""
    opened, bound, *_ = events
    if not (isinstance(opened, ledger.Opened) and isinstance(bound, ledger.Bound)):
        raise TypeError("a log begins with ledger.opened and ledger.bound")
    people = [_founder(each) for each in events if isinstance(each, account.Opened)]
    assets = [each for each in events if isinstance(each, rules.AssetListed)]
    engines = [each for each in events if isinstance(each, rules.EngineRegistered)]
    return genesis.Init(
        opened.log,
        bound.home,
        opened.policy,
        (people[0], people[1]),
        tuple(people[2:]),
        tuple(genesis.FirstAsset(it.asset, it.decimals, it.chain_id, it.contract, it.treasury) for it in assets),
        tuple(
            genesis.FirstEngine(it.engine, it.build, it.classes, it.bench_wu_milli, it.bench_tiles, it.wu_milli_per_msample)
            for it in engines
        ),
    )


def _founder(event: account.Opened) -> genesis.Founder:
    api, signing = event.keys
    return genesis.Founder(api.key, signing.key)


def _key(line: account.KeyLine) -> account.ApiKey | account.SigningKey:
    if line.alg == "api":
        return account.ApiKey.model_validate({"alg": "api", "key": line.key, "scopes": line.scopes, "expires_us": line.expires_us})
    fields = {"alg": "eip712", "key": line.key, "purpose": line.purpose, "expires_us": line.expires_us}
    return account.SigningKey.model_validate(fields)


def _changed(event: account.Changed, _world: World, _by: Actor) -> Body:
    if event.approval:
        fields = {"account": event.account, "roles": event.roles_added, "removed": event.roles_removed}
        return account.Grant.model_validate(fields | {"approver": event.approver, "approval": event.approval})
    return account.Change(
        roles_added=event.roles_added,
        roles_removed=event.roles_removed,
        keys_added=tuple(map(_key, event.keys_added)),
        keys_removed=event.keys_removed,
        payout_address=event.payout_address or None,
    )


def _devices(devices: Sequence[worker.Device]) -> tuple[worker.DeviceIn, ...]:
    return tuple(worker.DeviceIn(uuid_sha256=it.uuid_sha256, model=it.model, vram_mib=it.vram_mib) for it in devices)


def _worker_changed(event: worker.Changed, _world: World, _by: Actor) -> Body:
    return worker.Change(
        worker=event.worker,
        mode=event.mode,
        slots=event.slots,
        devices=None if event.devices is None else _devices(event.devices),
        ram_mib=event.ram_mib,
        country=event.country,
        name_commitment=event.name_commitment,
    )


def _registered(event: worker.Registered, _world: World, _by: Actor) -> Body:
    return worker.Register(
        kind=event.kind,
        slots=event.slots,
        devices=_devices(event.devices),
        ram_mib=event.ram_mib,
        country=event.country,
        classes=event.classes,
        name_commitment=event.name_commitment or None,
    )


def _offline(event: worker.Offline, world: World, _by: Actor) -> Body | None:
    if event.reason == "left":
        return worker.GoOffline(worker=event.worker)
    if event.reason == "silent":
        return worker.Silence(worker=event.worker, session=world.workers[event.worker].session, last_seen_us=event.last_seen_us)
    return None


def _bid(event: bid.Set, _world: World, _by: Actor) -> Body:
    fields = {"worker": event.worker, "class": event.cls, "price_per_kwu": event.price_per_kwu, "expires_us": event.expires_us}
    return bid.Bid.model_validate(fields | {"number": event.number, "signature": event.signature})


def _submitted(event: job.Submitted, _world: World, _by: Actor) -> Body:
    spec, limits = event.spec, event.constraints
    return job.Submit(
        asset=event.asset,
        kind=event.kind,
        engine=event.engine,
        manifest_sha256=event.manifest_sha256,
        frames=spec.frames,
        size=spec.size,
        tiles=spec.tiles,
        group=spec.group,
        samples=spec.samples,
        seed=spec.seed,
        limit_price=event.limit_price,
        deadline_us=event.deadline_us,
        vram_mib=limits.vram_mib,
        countries=limits.countries,
        models=limits.models,
    )


def _ended(event: task.Ended, _world: World, by: Actor) -> Body | None:
    if event.outcome == "gate":
        return task.Stop(task=event.task, fence=event.fence, code=event.code)
    if event.outcome in {"declined", "error"} and by == event.worker:
        fields = {"task": event.task, "fence": event.fence, "outcome": event.outcome, "code": event.code}
        return task.End.model_validate(fields | {"log_sha256": event.log_sha256 or None})
    return None


def _proved(event: proof.Committed, _world: World, _by: Actor) -> Body:
    return proof.Commit(
        worker=event.worker,
        task=event.task,
        fence=event.fence,
        raw=event.raw,
        raw_bytes=event.raw_bytes,
        log_sha256=event.log_sha256 or None,
        seconds_us=event.seconds_us,
        build=event.build,
        device=event.device,
        signature=event.signature,
    )


def _revealed(event: verdict.Revealed, _world: World, _by: Actor) -> Body:
    return verdict.Reveal(
        audit=event.audit,
        checker=event.checker,
        verdict=event.verdict,
        metrics=tuple(
            verdict.MetricIn(region=m.region, equal=m.equal, psnr_mdb=m.psnr_mdb, differing_ppm=m.differing_ppm) for m in event.metrics
        ),
        comparator=event.comparator,
        evidence_sha256=event.evidence_sha256,
        nonce=event.nonce,
    )


def _signed(event: batch.Signed, world: World, _by: Actor) -> Body:
    return batch.Sign(
        asset=event.asset,
        payouts=event.payouts,
        nonce=event.nonce,
        raw_tx=event.raw_tx,
        tx_hash=event.tx_hash,
        batch=event.batch if BatchId(event.batch) in world.batches else None,
    )


def _mined(kind: type[Body], *names: str) -> Builder:
    def build(event: batch.MinedEvent, _world: World, _by: Actor) -> Body:
        lists = {"paid": tuple(it.payout for it in event.paid), "failed": tuple(it.payout for it in event.failed)}
        return kind.model_validate({"batch": event.batch} | {name: getattr(event, name) for name in names} | lists)

    return build


def _same(kind: type[Body], *names: str) -> Builder:
    """A command with these fields of the event."""
    return lambda event, _world, _by: kind.model_validate({name: getattr(event, name) for name in names})


BUILDERS: dict[type[Event], Builder] = {
    account.Opened: lambda event, _world, _by: account.Open(
        kind=event.kind, roles=event.roles, identity_commitment=event.identity_commitment or None
    ),
    account.Changed: _changed,
    worker.Registered: _registered,
    worker.Changed: _worker_changed,
    worker.Online: _same(worker.GoOnline, "worker", "session"),
    worker.Offline: _offline,
    bid.Set: _bid,
    stake.Locked: _same(stake.Lock, "asset", "amount", "source", "number", "signature"),
    stake.Unlocking: _same(stake.Unlock, "asset", "amount", "number", "signature"),
    deposit.Seen: _same(deposit.See, "account", "asset", "tx", "log_index", "block", "amount"),
    deposit.Finalised: _same(deposit.Finalise, "tx", "log_index", "block"),
    deposit.Orphaned: _same(deposit.Orphan, "tx", "log_index"),
    job.Submitted: _submitted,
    job.Opened: _same(job.Open, "job"),
    job.Paused: _same(job.Pause, "job"),
    job.Resumed: _same(job.Resume, "job"),
    job.Closing: _same(job.Cancel, "job"),
    job.Closed: _same(job.Cancel, "job"),
    task.Ended: _ended,
    proof.Committed: _proved,
    verdict.Committed: _same(verdict.Commit, "audit", "checker", "round", "seal", "signature"),
    verdict.Revealed: _revealed,
    payout.Requested: _same(payout.Request, "asset", "kind", "to", "amount", "number", "signature"),
    payout.Approved: _same(payout.Approve, "payout"),
    payout.Cancelled: _same(payout.Cancel, "payout"),
    batch.Signed: _signed,
    batch.Mined: _mined(batch.Mine, "tx_hash", "block"),
    batch.Unmined: _mined(batch.Unmine),
    batch.Finalised: _mined(batch.Finalise, "tx_hash", "block", "gas"),
    anchor.Anchored: _same(anchor.Anchor, "size", "root", "tx", "block"),
    anchor.Reconciled: lambda event, _world, _by: anchor.Reconcile(asset=event.asset, block=event.block, balance=str(int(event.balance))),
    beacon.Drawn: _same(beacon.Bring, "grid_us", "chain_id", "block_number", "block_hash"),
    override.Applied: lambda event, _world, _by: override.Override(
        action=event.action,
        reason=event.reason,
        evidence_sha256=event.evidence_sha256 or None,
        number=event.number,
        approver=event.approver or None,
        approval=event.approval or None,
    ),
    rules.PolicyAdopted: _same(rules.Adopt, "policy", "effective_us", "approver", "approval"),
    rules.EngineRegistered: _same(
        rules.RegisterEngine,
        *("engine", "build", "classes", "bench_wu_milli", "bench_tiles", "wu_milli_per_msample", "approver", "approval"),
    ),
    rules.AssetListed: _same(rules.ListAsset, "asset", "decimals", "chain_id", "contract", "treasury", "approver", "approval"),
}
"""By a command's first event, how to ask for it."""
