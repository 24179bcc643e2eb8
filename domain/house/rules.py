"""What the house goes by: policies, engines, assets. Two admins adopt them: one asks, another signs."""

from collections.abc import Iterator
from hashlib import sha256
from typing import Annotated, ClassVar

import msgspec
from pydantic import Field, ValidationInfo, field_validator

from domain import body
from domain.accounts import Asset
from domain.errors import Duplicate, TooEarly
from domain.event import Event, Origin
from domain.ids import AccountId
from domain.parts import AssetInfo, Engine
from domain.policy import POLICIES, Policy, PolicyName
from domain.signing import Claim
from domain.world import World


class PolicyAdopted(Event, tag="policy.adopted.v1"):
    """The numbers that the house goes by, from a time on."""

    who: ClassVar[str] = "two admins, or the first block"
    policy: str
    parameters: Policy
    effective_us: int
    approver: str
    approval: str

    @property
    def stream(self) -> str:
        return "policy"

    def apply(self, world: World) -> None:
        if self.effective_us <= world.at_us:
            world.policy = self.parameters
        else:
            world.coming = sorted([*world.coming, (self.effective_us, self.parameters)], key=lambda row: row[0])

    def claims(self) -> tuple[Claim, ...]:
        return approvals("Policy", self.policy, self.effective_us, self.parameters, self.approver, self.approval)


class EngineRegistered(Event, tag="engine.registered.v1"):
    """A renderer, pinned: its build, the classes that render alike, its bench, and what a million samples cost."""

    who: ClassVar[str] = "two admins, or the first block"

    engine: str
    build: str
    classes: tuple[str, ...]
    bench_wu_milli: int
    bench_tiles: int
    wu_milli_per_msample: int
    approver: str
    approval: str

    @property
    def stream(self) -> str:
        return "engine"

    def apply(self, world: World) -> None:
        facts = self.bench_wu_milli, self.bench_tiles, self.wu_milli_per_msample
        world.engines[self.engine] = world.builds[self.build] = Engine(self.engine, self.build, list(self.classes), *facts)

    def claims(self) -> tuple[Claim, ...]:
        facts = (self.build, self.classes, self.bench_wu_milli, self.bench_tiles, self.wu_milli_per_msample)
        return approvals("Engine", self.engine, 0, facts, self.approver, self.approval)


class AssetListed(Event, tag="asset.listed.v1"):
    """A token, and the treasury contract that holds it. For ever: a new scale is a new asset."""

    who: ClassVar[str] = "two admins, or the first block"

    asset: Asset
    decimals: int
    chain_id: int
    contract: str
    treasury: str
    approver: str
    approval: str

    @property
    def stream(self) -> str:
        return "asset"

    def apply(self, world: World) -> None:
        world.assets[self.asset] = AssetInfo(self.asset, self.decimals, self.contract, self.treasury, self.chain_id)

    def claims(self) -> tuple[Claim, ...]:
        facts = (self.decimals, self.chain_id, self.contract, self.treasury)
        return approvals("Asset", self.asset, 0, facts, self.approver, self.approval)


def approval(kind: str, subject: str, effective_us: int, facts: object, approver: str, signature: str) -> Claim:
    """What the second admin signs: the subject, and SHA-256 of the facts as JSON."""
    digest = sha256(msgspec.json.encode(facts, enc_hook=lambda amount: str(int(amount)))).hexdigest()
    fields = (("subject", subject), ("effectiveUs", effective_us), ("facts", digest))
    return Claim(kind, fields, AccountId(approver), "owner", signature)  # type: ignore[arg-type]


def approvals(kind: str, subject: str, effective_us: int, facts: object, approver: str, signature: str) -> tuple[Claim, ...]:
    """None in the first block: whoever trusts the log trusts what it begins with."""
    return (approval(kind, subject, effective_us, facts, approver, signature),) if approver else ()


class Adopt(body.Body):
    """Adopt one of the policies that this version knows, from a time to come."""

    policy: PolicyName
    effective_us: body.Count
    approver: body.Account
    approval: body.Signature

    def countersigned(self) -> Claim:
        return approval("Policy", self.policy, self.effective_us, POLICIES[self.policy], self.approver, self.approval)

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        approver = origin.require_approver(world, PolicyAdopted.verb())
        if self.effective_us <= origin.at_us:
            raise TooEarly(what=PolicyAdopted.verb(), due_us=origin.at_us)
        yield PolicyAdopted(self.policy, POLICIES[self.policy], self.effective_us, approver, self.approval)


class RegisterEngine(body.Body):
    """Register an engine, or its next build."""

    engine: body.Word
    build: body.Word
    classes: Annotated[tuple[body.Class, ...], Field(min_length=1, max_length=16, strict=False)]
    bench_wu_milli: body.Number
    bench_tiles: Annotated[int, Field(ge=1, le=100)]
    wu_milli_per_msample: body.Number
    approver: body.Account
    approval: body.Signature

    @field_validator("classes")
    @classmethod
    def _of_build(cls, classes: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        build = info.data.get("build")
        if any(not each.startswith(f"{build}/") for each in classes):
            raise ValueError("a class begins with its build")
        return classes

    def countersigned(self) -> Claim:
        facts = (self.build, self.classes, self.bench_wu_milli, self.bench_tiles, self.wu_milli_per_msample)
        return approval("Engine", self.engine, 0, facts, self.approver, self.approval)

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        approver = origin.require_approver(world, EngineRegistered.verb())
        facts = self.bench_wu_milli, self.bench_tiles, self.wu_milli_per_msample
        yield EngineRegistered(self.engine, self.build, tuple(self.classes), *facts, approver, self.approval)


class ListAsset(body.Body):
    """List a token with its treasury contract."""

    asset: body.AssetId
    decimals: Annotated[int, Field(ge=0, le=36)]
    chain_id: body.Number
    contract: body.Address
    treasury: body.Address
    approver: body.Account
    approval: body.Signature

    def countersigned(self) -> Claim:
        facts = (self.decimals, self.chain_id, self.contract, self.treasury)
        return approval("Asset", self.asset, 0, facts, self.approver, self.approval)

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        approver = origin.require_approver(world, AssetListed.verb())
        if self.asset in world.assets:
            raise Duplicate(what=self.asset)
        yield AssetListed(self.asset, self.decimals, self.chain_id, self.contract, self.treasury, approver, self.approval)
