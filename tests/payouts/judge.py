"""What must be so when all has settled: asked of the node itself, past all providers, and of the log."""

from collections import Counter

from domain import accounts
from domain.accounts import USDC
from domain.house import invariants
from domain.ids import AccountId, PayoutId
from domain.log.block import read_header
from domain.treasury import anchor, batch, deposit, payout
from tests.contracts.log import everything
from tests.daemons.live import Live


async def judge(it: Live, people: list[AccountId], asked: list[tuple[AccountId, int]], findings: list[str]) -> None:
    """Adds what is wrong."""
    head = (await it.rig.chain.head()).number
    events, logs = [each.event for each in await it.events()], await it.rig.chain.payouts(0, head)
    requested = {each.payout: each for each in events if isinstance(each, payout.Requested)}
    final = [each for each in events if isinstance(each, batch.Finalised)]
    paid = Counter(item.payout for each in final for item in each.paid)
    failed = Counter(item.payout for each in final for item in each.failed)
    sent = Counter(PayoutId(log.payout) for log in logs if log.ok)
    findings += [f"{id} has {count} payments on the chain" for id, count in sent.items() if count != 1]
    findings += [f"{id} is paid on the chain or in the log, and not in the other" for id in sorted(sent.keys() ^ paid.keys())]
    findings += [f"{id} was neither paid nor given back" for id in requested if paid[id] + failed[id] != 1]
    amounts = {log.payout: (log.to, log.amount) for log in logs if log.ok}
    findings += [
        f"{id} was paid otherwise than asked for" for id in paid if amounts.get(id) != (requested[id].to, int(requested[id].amount))
    ]
    if sum(paid.values()) != len(asked):
        findings.append(f"{len(asked)} payouts were asked for and {sum(paid.values())} paid")
    findings += await astray(it, head)
    findings += await differences(it, people, asked, head)
    findings += [f"a reconciliation differs by {each.breaks}" for each in events if isinstance(each, anchor.Reconciled) and each.breaks]
    findings += [str(breach) for breach in invariants.breaches(it.world) if breach]
    credited = Counter((each.tx, each.log_index) for each in events if isinstance(each, deposit.Finalised))
    findings += [f"the deposit {tx} was credited {count} times" for (tx, _), count in credited.items() if count != 1]
    if it.world.frozen:
        findings.append("money is frozen")


async def astray(it: Live, head: int) -> list[str]:
    """Anchors in the log that the chain does not have there, and on the chain that are no heads of the log."""
    logs = {(log.size, log.root, log.tx, log.block) for log in await it.rig.chain.anchors(0, head)}
    told = [each.event for each in await it.events() if isinstance(each.event, anchor.Anchored)]
    heads = {(header.size, header.root) for record in await everything(it.log) if (header := read_header(record))}
    heads.add((it.follower.head.size, it.follower.head.mark.root))
    found = [
        f"the anchor of size {each.size} is not where it was" for each in told if (each.size, each.root, each.tx, each.block) not in logs
    ]
    return found + [f"the anchor of size {size} is no head of the log" for size, root, _, _ in sorted(logs) if (size, root) not in heads]


async def differences(it: Live, people: list[AccountId], asked: list[tuple[AccountId, int]], head: int) -> list[str]:
    """Ledger and chain: what everybody has, and what the treasury holds."""
    found, deposits = list[str](), await it.rig.chain.deposits(0, head)
    for someone in people:
        came, went = sum(log.amount for log in deposits if log.account == someone), sum(sum_ for who, sum_ in asked if who == someone)
        if (has := it.available(someone)) != came - went:
            found.append(f"{someone} has {has} in the ledger, not {came} - {went}")
        if (got := await it.received(someone)) != went:
            found.append(f"{someone} got {got} on the chain, not {went}")
    ledger, held = await it.treasury()
    if ledger != held:
        found.append(f"the treasury is {ledger} in the ledger, and holds {held}")
    moving = [name for name in (accounts.inbound(USDC), accounts.outbound(USDC)) if name in it.world.balances]
    return found + [f"{name} is not empty" for name in moving]
