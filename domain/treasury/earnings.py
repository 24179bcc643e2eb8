"""Earnings: shares of accepted work mature, and the checkers' pool is distributed at the end of each epoch."""

from collections.abc import Iterator
from typing import Literal

from domain import accounts
from domain.accounts import Asset, Entry, entry, move
from domain.event import Event, Origin
from domain.ids import AccountId, AuditId, TaskId, WorkerId
from domain.parts import CheckClaim, Share
from domain.units import ZERO, Units, split
from domain.value import Value
from domain.world import World

LINES_MAX = 100


class MaturedLine(Value):
    task: TaskId
    account: AccountId
    worker: Units
    """What the worker's owner gets; less than he earned if it was slashed meanwhile."""
    checkers: Units
    fee: Units
    earner: WorkerId
    """Who did the work."""
    fence: int
    next: Literal["matured", "cancelled"]
    """What becomes of the task: one that was cancelled for a fee stays so."""


class Matured(Event, tag="earnings.matured.v1"):
    """Shares became payable, the checkers' part went into their pool, and the fee is earned."""

    asset: Asset
    lines: tuple[MaturedLine, ...]

    @property
    def stream(self) -> str:
        return "earnings"

    def apply(self, world: World) -> None:
        for line in self.lines:
            world.ripen(line.task)
            task = world.tasks[line.task]
            task.move(self.verb(), line.next)
            if line.next == "matured" and task.audit:
                claim_checks(world, task.audit, self.asset)
            world.arm_payday(line.account)
        world.arm_pool()

    def entry(self) -> Entry:
        of = self.asset
        return entry(
            *(
                move(line.worker, debit=accounts.accrued(of, line.account), credit=accounts.payable(of, line.account))
                for line in self.lines
            ),
            move(Units(sum(line.checkers for line in self.lines)), debit=accounts.checkers(of), credit=accounts.pool(of)),
            move(Units(sum(line.fee for line in self.lines)), debit=accounts.fee_deferred(of), credit=accounts.fee(of)),
        )


class PoolLine(Value):
    account: AccountId
    amount: Units


class Distributed(Event, tag="pool.distributed.v1"):
    """An epoch ended: the pool was shared out among those who checked well. What nobody can claim stays in it."""

    asset: Asset
    epoch_us: int
    """Its end."""
    lines: tuple[PoolLine, ...]

    @property
    def stream(self) -> str:
        return "pool"

    def apply(self, world: World) -> None:
        world.drop_timer("pool", "epoch-0")
        world.claims.pop(self.asset, None)
        if self.epoch_us > world.epoch_us:
            world.barred.clear()
            world.epoch_us = self.epoch_us
            for worker in world.workers.values():
                worker.served_us = 0
        for line in self.lines:
            world.arm_payday(line.account)

    def entry(self) -> Entry:
        of = self.asset
        return entry(
            *(move(line.amount, debit=accounts.pool(of), credit=accounts.checker_payable(of, line.account)) for line in self.lines)
        )


def claim_checks(world: World, audit_id: AuditId, asset: Asset) -> None:
    """Whoever judged as the audit ended has a claim: the price of the regions that he checked, times the policy's factor."""
    audit = world.audits[audit_id]
    task = world.tasks[audit.task]
    for each in audit.rounds:
        for checker in each.checkers:
            if audit.verdicts.get(checker) == audit.result:
                amount = task.price * len(each.regions) * world.policy.check_ppm // (task.tiles * 1_000_000)
                world.claims.setdefault(asset, []).append(CheckClaim(checker, world.workers[checker].owner, Units(amount)))


class Mature(Value):
    """The time of these shares has come. By the house."""

    asset: Asset
    tasks: tuple[TaskId, ...]

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        yield Matured(self.asset, tuple(line(world, world.shares[task]) for task in self.tasks))


def line(world: World, share: Share) -> MaturedLine:
    task = world.tasks[share.task]
    after: Literal["matured", "cancelled"] = "cancelled" if task.status == "cancelled" else "matured"
    return MaturedLine(share.task, share.owner, share.amount, share.checkers, share.fee, share.worker, task.fence, after)


class Distribute(Value):
    """The epoch is over. By the house; a pool without claims carries over."""

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        epoch_us = world.timer("pool", "epoch-0") or origin.at_us
        shared = {asset: distribution(world, asset, origin.at_us) for asset in world.claims}
        for asset, sums in shared.items():
            lines = [PoolLine(account, amount) for account, amount in sums if amount]
            for n in range(0, max(1, len(lines)), LINES_MAX):
                yield Distributed(asset, epoch_us, tuple(lines[n : n + LINES_MAX]))


def distribution(world: World, asset: Asset, at_us: int) -> list[tuple[AccountId, Units]]:
    """Who gets what of the pool (DOMAIN.md §1 *Checker pay*): first every claim, scaled down when the pool is short; the rest by
    stake × time online × share of correct reveals. Who missed or erred in the epoch gets nothing of it."""
    whole = world.credit(accounts.pool(asset))
    claims = [claim for claim in world.claims.get(asset, []) if claim.checker not in world.barred]
    asked = [claim.amount for claim in claims]
    paid = split(whole, asked) if sum(asked) > whole else asked
    rest = whole - sum(paid)
    weights = []
    for claim in claims:
        checker = world.workers[claim.checker]
        online_us = at_us - max(checker.online_us, world.epoch_us) if checker.presence == "online" else 0
        weights.append(int(world.stake(asset, claim.account)) * (checker.served_us + online_us))
    bonus = split(rest, weights)
    sums: dict[AccountId, Units] = {}
    for claim, part, more in zip(claims, paid, bonus, strict=True):
        sums[claim.account] = sums.get(claim.account, ZERO) + part + more
    return list(sums.items())
