"""What an event says, in a few words with links. Only the log's own facts go in; all of it is escaped."""

from collections.abc import Callable, Mapping

from markupsafe import Markup

from domain.event import Event
from domain.house import ledger, override, rules
from domain.market import bid, worker
from domain.proof import audit, beacon, bench, proof, ruling, verdict
from domain.treasury import account, anchor, batch, deposit, earnings, payout, stake
from domain.units import Units
from domain.work import job, task
from explorer.words import DECIMALS, amount, count, link, seconds, short, state

Money = Callable[[Units, str], Markup]


def tell(event: Event, decimals: Mapping[str, int]) -> Markup:
    """The event in words. A kind that nobody has words for says nothing: its fields are on its page."""

    def money(units: Units, asset: str) -> Markup:
        return amount(units, decimals.get(asset, DECIMALS.get(asset, 0))) + f" {asset.upper()}"

    match event:
        case job.JobEvent():
            return of_job(event, money)
        case audit.AuditEvent():
            return of_audit(event)
        case task.TaskEvent():
            return of_task(event, money)
        case worker.WorkerEvent():
            return of_worker(event)
        case payout.PayoutEvent() | batch.BatchEvent() | deposit.DepositEvent() | earnings.Matured() | earnings.Distributed():
            return of_money(event, money)
        case stake.StakeEvent() | stake.Slashed():
            return of_stake(event, money)
    return of_house(event, money)


def say(text: str, *parts: object) -> Markup:
    """`text` is ours; the parts are escaped."""
    return Markup(text).format(*parts)  # noqa: S704


def of_job(event: job.JobEvent, money: Money) -> Markup:
    id = link(event.job)
    match event:
        case job.Submitted() as it:
            return say("{} by {}: {}, {} × {}", id, link(it.creator), count(it.spec.frames, "frame"), *it.spec.size)
        case job.Quoted() as it:
            return say("{} at {} at most, about {}", id, money(it.total, "usdc"), seconds(it.eta_s * 1_000_000))
        case job.Opened() as it:
            pieces = sum(run.range[1] - run.range[0] + 1 for run in it.plan)
            return say("{}: {} held for {}", id, money(it.hold, it.asset), count(pieces, "piece"))
        case job.Paused(reason=reason):
            return say("{}: {}", id, reason)
        case job.Closing(outcome=outcome):
            return say("{} {}, work under way may end", id, state(outcome))
        case job.Closed() as it:
            return say("{} {}, {} back to {}", id, state(it.outcome), money(it.refund, it.asset), link(it.creator))
    return id


def of_task(event: task.TaskEvent, money: Money) -> Markup:
    id = link(event.task)
    match event:
        case task.Leased() as it:
            return say("{} to {}, attempt {}, at {}", id, link(it.worker), it.fence, money(it.price, it.asset))
        case task.Ended() as it:
            return say("{} of {}: {}, then {}", id, link(it.worker), state(it.outcome), state(it.next))
        case proof.Committed(late=True) as it:
            return say("{} by {}, too late: not counted", id, link(it.worker))
        case proof.Committed() as it:
            return say("{} by {}, {} of rendering", id, link(it.worker), seconds(it.seconds_us))
        case ruling.Accepted() as it:
            return say("{} of {}, {}; {} for the worker", id, link(it.worker), it.basis, money(it.shares.worker, it.asset))
        case ruling.Rejected() as it:
            return say("{} of {}, by {}; it is {} again", id, link(it.worker), link(it.audit), state(it.next))
    return id


def of_audit(event: audit.AuditEvent) -> Markup:
    id = link(event.audit)
    match event:
        case audit.Opened() as it:
            return say("{} on {} of {}, by {}", id, link(it.task), link(it.worker), links(it.checkers))
        case audit.Widened() as it:
            return say("{} to round {}, by {}", id, it.round, links(it.checkers))
        case audit.SecondLook() as it:
            return say("{}: {}", id, links(it.checkers) if it.checkers else "no second look was drawn")
        case audit.Closed() as it:
            return say("{} {}: {} valid, {} invalid, {} inconclusive", id, state(it.result), it.valid, it.invalid, it.inconclusive)
        case verdict.Committed() as it:
            return say("{} sealed a verdict on {}", link(it.checker), id)
        case verdict.Revealed() as it:
            return say("{} says {} on {}", link(it.checker), state(it.verdict), id)
    return id


def links(ids: tuple[str, ...]) -> Markup:
    return Markup(", ").join(link(each) for each in ids) if ids else Markup("nobody")


def of_worker(event: worker.WorkerEvent) -> Markup:
    id = link(event.worker)
    match event:
        case worker.Registered() as it:
            return say("{} of {}, {}", id, link(it.owner), it.kind)
        case worker.Changed(mode=mode):
            return say("{} is {}", id, mode)
        case worker.Offline(reason=reason):
            return say("{}: {}", id, state(reason))
        case worker.Quarantined() as it:
            return say("{} by {}", id, link(it.audit))
        case bid.Set(price_per_kwu=None) as it:
            return say("{} no longer bids on {}", id, it.cls)
        case bid.Set() as it:
            return say("{} asks {} minor units per kWU on {}", id, f"{int(it.price_per_kwu or 0):,}", it.cls)
        case bench.Scored() as it:
            return say("{} scores {:,} on {}, in {}", id, it.score, it.cls, seconds(it.seconds_us))
    return id


def of_money(event: Event, money: Money) -> Markup:
    match event:
        case payout.Requested() as it:
            return say("{}: {} to {}", link(it.payout), money(it.amount, it.asset), link(it.account))
        case payout.PayoutEvent() as it:
            return say("{} of {}", link(it.payout), link(it.account))
        case batch.Signed() as it:
            return say("{}: {}, nonce {}", link(it.batch), count(len(it.payouts), "payout"), it.nonce)
        case batch.MinedEvent() as it:
            return say("{} in block {}, {}", link(it.batch), it.block, short(it.tx_hash, 6))
        case deposit.DepositEvent() as it:
            return say("{}: {} for {} in block {}", link(it.deposit), money(it.amount, it.asset), link(it.account), it.block)
        case earnings.Matured() as it:
            lines = Units(sum(line.worker for line in it.lines))
            return say(
                "{} of {}, {}", money(lines, it.asset), count(len(it.lines), "piece"), links(tuple(line.task for line in it.lines[:3]))
            )
        case earnings.Distributed() as it:
            lines = Units(sum(line.amount for line in it.lines))
            return say("{} to {}", money(lines, it.asset), count(len(it.lines), "checker"))
    return Markup("")


def of_stake(event: Event, money: Money) -> Markup:
    match event:
        case stake.Slashed() as it:
            lost = Units(it.from_stake + it.from_accrued)
            return say("{} of {} loses {}, by {}", link(it.worker), link(it.account), money(lost, it.asset), link(it.audit))
        case stake.StakeEvent() as it:
            return say("{} of {}", money(it.amount, it.asset), link(it.account))
    return Markup("")


def of_house(event: Event, money: Money) -> Markup:
    match event:
        case account.Opened() as it:
            return say("{}, {}", link(it.account), ", ".join(it.roles) or it.kind)
        case account.Changed() as it:
            return say("{}: {}", link(it.account), changes(it))
        case bench.Opened() as it:
            return say("{} for {} on {}", link(it.task), link(it.worker), it.cls)
        case beacon.Drawn() as it:
            return say("{} from block {}, seals #{}", link(it.beacon), it.block_number, it.sealed_size)
        case anchor.Anchored() as it:
            return say("size {}, root {}, in block {}", it.size, short(it.root), it.block)
        case anchor.Reconciled() as it:
            difference = say("{} apart", money(it.breaks, it.asset)) if it.breaks else Markup("no difference")
            return say("treasury {}, {}", money(it.balance, it.asset), difference)
        case rules.PolicyAdopted() as it:
            return say("the policy {}, {}", it.policy, count(len(it.parameters.__struct_fields__), "number"))
        case rules.EngineRegistered() as it:
            return say("{}, for {}", it.build, ", ".join(it.classes))
        case rules.AssetListed() as it:
            return say("{}, {} decimals, chain {}", it.asset, it.decimals, it.chain_id)
        case override.Applied() as it:
            return say("{}: {}", state(it.action), it.reason)
        case ledger.Opened() as it:
            return say("format {}, {}", it.format, " and ".join(it.assets))
        case ledger.Bound() as it:
            return say("its home is {}", it.home.partition(":")[0])
        case ledger.LeaderElected() as it:
            return say("{}", it.leader)
    return Markup("")


def changes(it: account.Changed) -> str:
    said = [
        *(f"+ {role}" for role in it.roles_added),
        *(f"− {role}" for role in it.roles_removed),
        *([count(len(it.keys_added), "new key")] if it.keys_added else []),
        *([count(len(it.keys_removed), "removed key")] if it.keys_removed else []),
        *([f"payouts to {it.payout_address}"] if it.payout_address else []),
    ]
    return ", ".join(said)
