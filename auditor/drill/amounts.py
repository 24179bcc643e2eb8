"""Frauds with amounts: who gets what, and how much. Entries are made to fit, and so is what follows for as long as it is the same money."""

from collections.abc import Iterable
from random import Random
from typing import Any

from auditor.checks import draws
from auditor.drill.desk import Draft, Line, NoPlace, chosen
from auditor.drill.fraud import Fraud, Mark
from domain.ids import HOUSE

STRANGER = "0x" + "5" * 40
"""An address of the forger's."""


def add(of: Line, name: str, amount: int) -> None:
    of[name] = str(int(of[name]) + amount)


def more(chance: Random) -> int:
    """Small and large sums alike."""
    return int(10 ** chance.uniform(0, 5))


def others(of: Iterable[Any], but: Any) -> list[Any]:
    return [it for it in dict.fromkeys(of) if it != but]


def accounts(draft: Draft) -> list[str]:
    """People's, by number."""
    return [line["event"]["account"] for line in draft.all("account.opened", lambda line: line["event"]["kind"] == "person")]


def shares_of(price: int, parts: Line) -> None:
    """The shares of another price, by the same weights."""
    weights = [int(parts[name]) for name in ("worker", "checkers", "fee")]
    for name, amount in zip(("worker", "checkers", "fee"), draws.shares(price, weights), strict=True):
        parts[name] = str(amount)


def inflate_a_price(draft: Draft, chance: Random) -> Mark:
    line, amount = draft.pick(chance, "task.leased"), more(chance)
    task, fence = line["event"]["task"], line["event"]["fence"]
    for each in draft.lines():
        event = each["event"]
        if (event.get("task"), event.get("fence")) == (task, fence) and "price" in event:
            add(event, "price", amount)
            if "shares" in event:
                shares_of(int(event["price"]), event["shares"])
            draft.book(each)
    return Mark(f"{task} costs {amount} more than was bid", line)


def lease_to_a_friend(draft: Draft, chance: Random) -> Mark:
    line = draft.pick(chance, "task.leased")
    workers = {it["event"]["worker"]: it["event"]["owner"] for it in draft.all("worker.registered")}
    friend = chosen(chance, others(workers, line["event"]["worker"]))
    line["event"] |= {"worker": friend, "owner": workers[friend]}
    return Mark(f"{line['event']['task']} is leased to {friend}", line)


def raise_a_bid(draft: Draft, chance: Random) -> Mark:
    line = draft.pick(chance, "bid.set", lambda it: it["event"]["price_per_kwu"] is not None)
    add(line["event"], "price_per_kwu", amount := more(chance))
    return Mark(f"{line['event']['worker']} bids {amount} more", line)


def raise_a_quote(draft: Draft, chance: Random) -> Mark:
    line, amount = draft.pick(chance, "job.quoted"), more(chance)
    job = line["event"]["job"]
    add(line["event"], "total", amount)
    for kind, name in (("job.opened", "hold"), ("job.closed", "refund")):
        for each in draft.all(kind, lambda it: it["event"]["job"] == job):
            add(each["event"], name, amount)
            draft.book(each)
    return Mark(f"{job} is quoted {amount} more", line)


def redirect_a_payout(draft: Draft, chance: Random) -> Mark:
    line = draft.pick(chance, "payout.requested", lambda it: it["event"]["signature"])
    addresses = [STRANGER, *(it["event"]["to"] for it in draft.all("payout.requested"))]
    line["event"]["to"] = chosen(chance, others(addresses, line["event"]["to"]))
    return Mark(f"{line['event']['payout']} goes to {line['event']['to']}", line)


def pay_twice_by_one_signature(draft: Draft, chance: Random) -> Mark:
    line = draft.pick(chance, "payout.requested", lambda it: it["event"]["signature"])
    twin = {**line["event"], "payout": "payout-1000000000"}
    number = chance.choice([0, 1])
    twin["number"] += number
    at = chance.randrange(draft.block_of(line) + 1, len(draft.blocks) + 1)
    made = draft.new(twin, stream=twin["payout"], by=line["by"], key=f"again {number}", at_us=draft.time_between(at, chance))
    draft.blocks.insert(at, [made])
    return Mark(f"the signature of {line['event']['payout']} once more", made)


def invent_a_payout(draft: Draft, chance: Random) -> Mark:
    asked = draft.pick(chance, "payout.requested")["event"]
    account = chosen(chance, accounts(draft))
    at = chance.randrange(2, len(draft.blocks) + 1)
    at_us = draft.time_between(at, chance)
    event = {**asked, "payout": "payout-1000000000", "account": account, "amount": str(more(chance)), "to": STRANGER, "signature": ""}
    made = draft.new(event, stream="payout-1000000000", by=HOUSE, key=f"payday/{account}/{at_us}", at_us=at_us)
    draft.blocks.insert(at, [made])
    return Mark(f"a payday for {account} of {event['amount']}", made)


def hide_a_payout_from_its_batch(draft: Draft, chance: Random) -> Mark:
    line = draft.pick(chance, "batch.signed", lambda it: len(it["event"]["payouts"]) > 1)
    gone = chosen(chance, line["event"]["payouts"])
    line["event"]["payouts"].remove(gone)
    for kind in ("batch.mined", "batch.finalised"):
        for each in draft.all(kind, lambda it: it["event"]["batch"] == line["event"]["batch"]):
            for name in ("paid", "failed"):
                each["event"][name] = [item for item in each["event"][name] if item["payout"] != gone]
            draft.book(each)
    return Mark(f"{line['event']['batch']} does not name {gone}, which its bytes pay", line)


def move_a_rounding_unit(draft: Draft, chance: Random) -> Mark:
    line = draft.pick(chance, "task.accepted")
    source, to = chance.sample(["worker", "checkers", "fee"], 2)
    task = line["event"]["task"]
    parts = [line["event"]["shares"]]
    matured = draft.all("earnings.matured", lambda it: any(each["task"] == task for each in it["event"]["lines"]))
    parts += [each for it in matured for each in it["event"]["lines"] if each["task"] == task]
    for part in parts:
        add(part, source, -1)
        add(part, to, 1)
    for each in (line, *matured):
        draft.book(each)
    return Mark(f"one unit of {task} from {source} to {to}", line)


def cook_an_entry(draft: Draft, chance: Random) -> Mark:
    line = chosen(chance, [line for line in draft.lines() if len(line.get("entry", ())) > 1])
    entry, amount = line["entry"], more(chance)
    one, other = chance.sample(range(len(entry)), 2)
    entry[one][1] = str(int(entry[one][1]) + amount)
    if balanced := chance.randrange(2):
        entry[other][1] = str(int(entry[other][1]) - amount)
    return Mark(f"{amount} more to {entry[one][0]}, {'from ' + entry[other][0] if balanced else 'from nowhere'}", line)


def book_to_a_friend(draft: Draft, chance: Random) -> Mark:
    """What somebody earned is owed to another one; every entry still balances."""
    line = draft.pick(chance, "task.accepted")
    owner = line["event"]["owner"]
    friend = chosen(chance, others(accounts(draft), owner))
    for each in line["entry"]:
        each[0] = each[0].replace(f"accrued.{owner}", f"accrued.{friend}")
    return Mark(f"{line['event']['task']} of {owner} is owed to {friend}")


def unlock_escrow_at_close(draft: Draft, chance: Random) -> Mark:
    line = draft.pick(chance, "job.closed", lambda it: it["event"]["opened"])
    amount = chance.choice([-1, 1]) * min(more(chance), int(line["event"]["refund"]) or 1)
    add(line["event"], "refund", amount)
    draft.book(line)
    return Mark(f"{line['event']['job']} pays back {amount:+}", line)


def end_a_job_otherwise(draft: Draft, chance: Random) -> Mark:
    line = draft.pick(chance, "job.closed")
    match chance.randrange(3):
        case 0:
            line["event"]["outcome"] = chosen(chance, others(["completed", "cancelled", "failed"], line["event"]["outcome"]))
        case 1:
            line["event"]["reason"] = chosen(chance, others(["done", "errors", "owner", "deadline"], line["event"]["reason"]))
        case _:
            name = chance.choice(["accepted", "dead", "cancelled"])
            line["event"]["counts"][name] += chance.randint(1, 3)
    return Mark(f"{line['event']['job']} ended as {line['event']['outcome']} ({line['event']['reason']}, {line['event']['counts']})", line)


def milder_slash(draft: Draft, chance: Random) -> Mark:
    line = draft.pick(chance, "stake.slashed", lambda it: int(it["event"]["from_stake"]) > 0)
    spared = min(more(chance), int(line["event"]["from_stake"]))
    add(line["event"], "from_stake", -spared)
    draft.book(line)
    return Mark(f"{spared} of the penalty is not taken", line)


def lose_a_slash(draft: Draft, chance: Random) -> Mark:
    line = draft.pick(chance, "stake.slashed")
    command = draft.command(line)
    at = next(n for n, each in enumerate(command) if each is line)
    near = command[at + 1] if at + 1 < len(command) else command[at - 1]
    draft.drop(line)
    return Mark(f"{line['event']['account']} is convicted and not slashed", near)


def mature_otherwise(draft: Draft, chance: Random) -> Mark:
    line = draft.pick(chance, "earnings.matured")
    part = chosen(chance, line["event"]["lines"])
    if not chance.randrange(4):
        part["fence"] += chance.randint(1, 9)
        return Mark(f"attempt {part['fence']} of {part['task']} matures", line)
    source, to = chance.sample(["worker", "checkers", "fee"], 2)
    amount = min(more(chance), int(part[source]))
    if not amount:
        raise NoPlace("nothing matured")
    add(part, source, -amount)
    add(part, to, amount)
    draft.book(line)
    return Mark(f"{amount} of {part['task']} matures as {to}, not {source}", line)


def mature_twice(draft: Draft, chance: Random) -> Mark:
    line = draft.pick(chance, "earnings.matured")
    at = chance.randrange(draft.block_of(line) + 1, len(draft.blocks) + 1)
    at_us = draft.time_between(at, chance)
    event = {**line["event"], "lines": [chosen(chance, line["event"]["lines"])]}
    made = draft.new(event, stream="earnings", by=HOUSE, key=f"mature/{event['lines'][0]['task']}/{at_us}", at_us=at_us)
    draft.blocks.insert(at, [made])
    return Mark(f"{event['lines'][0]['task']} matures once more", made)


def share_the_pool_with_a_friend(draft: Draft, chance: Random) -> Mark:
    line = draft.pick(chance, "pool.distributed", lambda it: it["event"]["lines"])
    part = chosen(chance, line["event"]["lines"])
    if not chance.randrange(4):
        line["event"]["epoch_us"] -= (early := chance.randint(1, 10**6))
        return Mark(f"the epoch ends {early} µs early", line)
    amount, friend = min(more(chance), int(part["amount"])), chosen(chance, others(accounts(draft), part["account"]))
    add(part, "amount", -amount)
    line["event"]["lines"].append({"account": friend, "amount": str(amount)})
    draft.book(line)
    return Mark(f"{friend} gets {amount} of the pool, {part['account']} as much less", line)


def give_a_stake_back(draft: Draft, chance: Random) -> Mark:
    lock = draft.pick(chance, "stake.locked")
    account, at = lock["event"]["account"], chance.randrange(draft.block_of(lock) + 1, len(draft.blocks) + 1)
    at_us, amount = draft.time_between(at, chance), chance.randint(1, int(lock["event"]["amount"]))
    event = {"type": "stake.released.v1", "account": account, "asset": lock["event"]["asset"], "amount": str(amount)}
    made = draft.new(event, stream=account, by=HOUSE, key=f"unlock/{account} {event['asset']}/{at_us}", at_us=at_us)
    draft.blocks.insert(at, [made])
    return Mark(f"{account} has {amount} of its stake back without asking", made)


def credit_a_deposit_to_a_friend(draft: Draft, chance: Random) -> Mark:
    line = draft.pick(chance, "deposit.finalised", lambda it: it["event"]["credited"])
    line["event"]["account"] = chosen(chance, others(accounts(draft), line["event"]["account"]))
    draft.book(line)
    return Mark(f"{line['event']['deposit']} is credited to {line['event']['account']}", line)


FRAUDS = (
    Fraud("inflate a price", "matching", inflate_a_price),
    Fraud("lease to a friend", "matching", lease_to_a_friend),
    Fraud("raise a bid", "signatures", raise_a_bid),
    Fraud("raise a quote", "quotes", raise_a_quote),
    Fraud("redirect a payout", "signatures", redirect_a_payout),
    Fraud("pay twice by one signature", "signatures", pay_twice_by_one_signature),
    Fraud("invent a payout", "house", invent_a_payout),
    Fraud("hide a payout from its batch", "batches", hide_a_payout_from_its_batch),
    Fraud("move a rounding unit", "shares", move_a_rounding_unit),
    Fraud("cook an entry", "entries", cook_an_entry),
    Fraud("book to a friend", "invariants", book_to_a_friend),
    Fraud("unlock escrow at close", "balances", unlock_escrow_at_close),
    Fraud("end a job otherwise", "jobs", end_a_job_otherwise),
    Fraud("milder slash", "slashes", milder_slash),
    Fraud("lose a slash", "slashes", lose_a_slash),
    Fraud("mature otherwise", "maturity", mature_otherwise),
    Fraud("mature twice", "lifecycles", mature_twice),
    Fraud("share the pool with a friend", "pool", share_the_pool_with_a_friend),
    Fraud("give a stake back", "house", give_a_stake_back),
    Fraud("credit a deposit to a friend", "authority", credit_a_deposit_to_a_friend),
)
