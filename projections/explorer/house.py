"""The house: beacons, anchors and reconciliations on the chain; policies, engines and assets; who led the ledger."""

from collections.abc import Iterator
from typing import ClassVar

from msgspec import UNSET

from domain import policy
from domain.event import Event, Recorded
from domain.house import ledger, override, rules
from domain.proof import beacon
from domain.treasury import anchor, earnings
from domain.units import ZERO, Units
from projections.row import Change, First, Id, Index, Key, Projection, Row, Sum

Parameters = policy.Policy


class Beacon(Row):
    table: ClassVar[str] = "beacon"
    beacon: Id
    position: First[int] = UNSET
    at_us: First[int] = UNSET
    grid_us: First[int] = UNSET
    sealed_size: First[int] = UNSET
    sealed_root: First[str] = UNSET
    chain_id: First[int] = UNSET
    block_number: First[int] = UNSET
    block_hash: First[str] = UNSET


class Checkpoint(Row):
    """A head of the log that stands in the contract's storage."""

    table: ClassVar[str] = "checkpoint"
    position: Key[int]
    at_us: First[int] = UNSET
    size: First[int] = UNSET
    root: First[str] = UNSET
    tx: First[str] = UNSET
    block: First[int] = UNSET


class Reconciliation(Row):
    """The treasury's balance on the chain, and in the ledger."""

    table: ClassVar[str] = "reconciliation"
    indexes: ClassVar[tuple[Index, ...]] = (Index(("asset",)),)
    position: Key[int]
    at_us: First[int] = UNSET
    asset: First[str] = UNSET
    block: First[int] = UNSET
    balance: First[Units] = UNSET
    ledger: First[Units] = UNSET
    breaks: First[Units] = UNSET
    """Their difference: zero when all is well."""


class PoolShare(Row):
    """What one checker's owner got of an epoch's pool."""

    table: ClassVar[str] = "pool_share"
    indexes: ClassVar[tuple[Index, ...]] = (Index(("account",)),)
    position: Key[int]
    account: Id
    asset: First[str] = UNSET
    at_us: First[int] = UNSET
    epoch_us: First[int] = UNSET
    """The epoch's end."""
    amount: Sum[Units] = ZERO


class Policy(Row):
    """The newest adoption has the highest position; it is in force from `effective_us` on."""

    table: ClassVar[str] = "policy"
    position: Key[int]
    at_us: First[int] = UNSET
    policy: First[str] = UNSET
    effective_us: First[int] = UNSET
    approver: First[str] = UNSET
    parameters: First[Parameters] = UNSET


class Engine(Row):
    """An engine at one of its builds. The newest is in force."""

    table: ClassVar[str] = "engine"
    indexes: ClassVar[tuple[Index, ...]] = (Index(("engine",)),)
    position: Key[int]
    at_us: First[int] = UNSET
    engine: First[str] = UNSET
    build: First[str] = UNSET
    classes: First[tuple[str, ...]] = UNSET
    bench_wu_milli: First[int] = UNSET
    bench_tiles: First[int] = UNSET
    wu_milli_per_msample: First[int] = UNSET
    approver: First[str] = UNSET


class Asset(Row):
    table: ClassVar[str] = "asset"
    asset: Key[str]
    position: First[int] = UNSET
    decimals: First[int] = UNSET
    chain_id: First[int] = UNSET
    contract: First[str] = UNSET
    treasury: First[str] = UNSET


class Election(Row):
    table: ClassVar[str] = "election"
    position: Key[int]
    at_us: First[int] = UNSET
    leader: First[str] = UNSET
    grace_us: First[int] = UNSET


class Override(Row):
    """Money stopped or let go. The newest says what is so."""

    table: ClassVar[str] = "override"
    position: Key[int]
    at_us: First[int] = UNSET
    number: First[int] = UNSET
    action: First[str] = UNSET
    reason: First[str] = UNSET
    evidence_sha256: First[str] = UNSET
    by: First[str] = UNSET
    approver: First[str] = UNSET


class House(Projection):
    name = "house"
    version = 2
    rows = (Beacon, Checkpoint, Reconciliation, PoolShare, Policy, Engine, Asset, Election, Override)

    def fold(self, e: Recorded[Event]) -> Iterator[Change]:
        at = e.pos, e.at_us
        match e.event:
            case beacon.Drawn() as it:
                row = Beacon(it.beacon, *at, it.grid_us, it.sealed_size, it.sealed_root)
                row.chain_id, row.block_number, row.block_hash = it.chain_id, it.block_number, it.block_hash
                yield row
            case anchor.Anchored() as it:
                yield Checkpoint(*at, it.size, it.root, it.tx, it.block)
            case anchor.Reconciled() as it:
                yield Reconciliation(*at, it.asset, it.block, it.balance, it.ledger, it.breaks)
            case earnings.Distributed() as it:
                for line in it.lines:
                    yield PoolShare(e.pos, line.account, it.asset, e.at_us, it.epoch_us, line.amount)
            case rules.PolicyAdopted() as it:
                yield Policy(*at, it.policy, it.effective_us, it.approver, it.parameters)
            case rules.EngineRegistered() as it:
                facts = it.bench_wu_milli, it.bench_tiles, it.wu_milli_per_msample
                yield Engine(*at, it.engine, it.build, it.classes, *facts, it.approver)
            case rules.AssetListed() as it:
                yield Asset(it.asset, e.pos, it.decimals, it.chain_id, it.contract, it.treasury)
            case override.Applied() as it:
                yield Override(*at, it.number, it.action, it.reason, it.evidence_sha256, e.by, it.approver)
            case ledger.LeaderElected() as it:
                yield Election(*at, it.leader, it.grace_us)
