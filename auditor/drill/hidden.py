"""Frauds that an outsider cannot see from the log alone: it is whole, and every rule was kept. What shows them is a head of the log that
somebody kept, or the chain. With them the bundle's own receipts lie as well as they can.
"""

from random import Random
from typing import Any

import msgspec

from auditor.checks import draws
from auditor.drill.amounts import accounts, add, more
from auditor.drill.desk import Draft, Line, NoPlace, chosen
from auditor.drill.fraud import Fraud, Mark
from auditor.facts import ChainLog, Facts
from domain.ids import order

SIGNED = ("signature", "approval", "raw_tx")
DEPENDENT = {"audit.opened.v1", "bench.opened.v1", "task.accepted.v1", "audit.second_look.v1", "audit.widened.v1"}
"""What is drawn from a beacon, or repeats it."""
DRAWS_MAX = 20_000


def told(facts: Facts | None) -> Facts:
    if facts is None:
        raise NoPlace("nobody knows what the chain says")
    return facts


def truncate(draft: Draft, chance: Random) -> Mark:
    """The log ends at the end of an earlier block."""
    last = chance.randrange(1, len(draft.blocks))
    gone = sum(map(len, draft.blocks[last:]))
    del draft.blocks[last:]
    if draft.receipts:
        known = {line["event"].get(name) for line in draft.lines() for name in ("tx", "tx_hash") if final(line)}
        heights = {it["event"]["block_number"] - before for it in draft.all("beacon.drawn") for before in (0, 1)}
        held = {it["event"]["block"] for it in draft.all("chain.reconciled")}
        draft.receipts = msgspec.structs.replace(
            draft.receipts,
            logs=tuple(it for it in draft.receipts.logs if it.tx in known),
            gas=tuple(it for it in draft.receipts.gas if it.tx in known),
            blocks=tuple(it for it in draft.receipts.blocks if it.number in heights),
            balances=tuple(it for it in draft.receipts.balances if it.block in held),
        )
    listed = {it["event"]["asset"] for it in draft.all("asset.listed")}
    assets = tuple(it for it in draft.original.manifest.assets if it.asset in listed)
    draft.named = lambda manifest: msgspec.structs.replace(manifest, assets=assets)
    return Mark(f"the last {gone} events never were")


def final(line: Line) -> bool:
    return line["event"]["type"] in {"deposit.finalised.v1", "batch.finalised.v1", "checkpoint.anchored.v1"}


def rewrite(draft: Draft, chance: Random, until: int) -> Line:
    """Something that nobody signed and nothing follows from, before a position."""
    fields = [
        ("proof.committed", "device"),
        ("proof.committed", "seconds_us"),
        ("worker.registered", "ram_mib"),
        ("deposit.seen", "log_index"),
    ]
    kind, name = chance.choice(fields[:3])
    line: Line = draft.pick(chance, kind, lambda it: it["pos"] < until)
    old = line["event"][name]
    line["event"][name] = f"H{chance.randrange(100, 300)}" if name == "device" else old + chance.randint(1, 10**6)
    return line


def fork(draft: Draft, chance: Random) -> Mark:
    """Two histories from one place on: this one is for the auditor."""
    line = rewrite(draft, chance, draft.original.manifest.size)
    return Mark(f"{line['event']['type']} at position {line['pos']} reads otherwise, and all roots since")


def root_everything_again(draft: Draft, chance: Random) -> Mark:
    """History is rewritten, the anchors in it as well; the chain has the root of the old one."""
    told(draft.chain)
    anchor = draft.pick(chance, "checkpoint.anchored")
    line = rewrite(draft, chance, anchor["event"]["size"] + 1)
    first = next(it for it in draft.all("checkpoint.anchored") if it["event"]["size"] >= line["pos"])
    return Mark(f"position {line['pos']} reads otherwise, and so does the anchor of size {first['event']['size']}", first)


def reconcile(draft: Draft, position: int, asset: str, amount: int) -> None:
    """Whatever the ledger says of the treasury after a position, and the bundle of the chain, is more by an amount."""
    for line in draft.all("chain.reconciled", lambda it: it["event"]["asset"] == asset and it["pos"] > position):
        for name in ("balance", "ledger"):
            add(line["event"], name, amount)
        if draft.receipts:
            block = line["event"]["block"]
            rows = tuple(richer(it, amount) if it.block == block else it for it in draft.receipts.balances)
            draft.receipts = msgspec.structs.replace(draft.receipts, balances=rows)


def richer(row: Any, amount: int) -> Any:
    return msgspec.structs.replace(row, amount=str(int(row.amount) + amount))


def forge_a_deposit(draft: Draft, chance: Random) -> Mark:
    """More than came in."""
    told(draft.chain)
    line, amount = draft.pick(chance, "deposit.finalised", lambda it: it["event"]["credited"]), more(chance)
    event = line["event"]
    for each in (*draft.all("deposit.seen", lambda it: it["event"]["deposit"] == event["deposit"]), line):
        add(each["event"], "amount", amount)
        draft.book(each)
    reconcile(draft, line["pos"], event["asset"], amount)
    lie(draft, lambda it: richer(it, amount) if (it.tx, it.log_index) == (event["tx"], event["log_index"]) else it)
    return Mark(f"{event['deposit']} is of {amount} more", line)


def lie(draft: Draft, change: Any) -> None:
    """Has the bundle's receipts say so of every log."""
    if draft.receipts:
        draft.receipts = msgspec.structs.replace(draft.receipts, logs=tuple(change(it) for it in draft.receipts.logs))


def invent_a_deposit(draft: Draft, chance: Random) -> Mark:
    """Put in where no id of somebody's signature is moved by it."""
    told(draft.chain)
    last = max(n for n, block in enumerate(draft.blocks) for line in block if bound(line))
    at, account = chance.randrange(last + 1, len(draft.blocks) + 1), chosen(chance, accounts(draft))
    seen = draft.pick(chance, "deposit.seen")
    before = [it["event"] for n in range(at) for it in draft.blocks[n] if final(it) and "block" in it["event"]]
    height = max(event["block"] for event in before) + 1
    if any(it["event"]["block"] < height for n in range(at, len(draft.blocks)) for it in draft.blocks[n] if counted(it)):
        raise NoPlace("the treasury was counted at an earlier block afterwards")
    tx = f"0x{chance.getrandbits(256):064x}"
    amount = int(draft.all("policy.adopted")[-1]["event"]["parameters"]["deposit_min"]) + more(chance)
    facts = {"deposit": "deposit-1000000000", "account": account, "tx": tx, "log_index": 0, "block": height, "amount": str(amount)}
    first = draft.new(seen["event"] | facts, stream=facts["deposit"], by=seen["by"], key=f"see/{tx}/0", at_us=draft.time_between(at))
    named = {**first["event"], "type": "deposit.finalised.v1", "credited": True}
    draft.blocks.insert(at, [first])
    second = draft.new(named, stream=first["stream"], by=seen["by"], key=f"finalise/{tx}/0", at_us=draft.time_between(at + 1))
    draft.blocks.insert(at + 1, [second])
    position = draft.blocks[at - 1][-1]["pos"]
    reconcile(draft, position, seen["event"]["asset"], amount)
    if draft.receipts:
        like = next(it for it in draft.receipts.logs if it.kind == "Deposited")
        log = msgspec.structs.replace(like, block=height, tx=tx, log_index=0, subject=account, amount=str(amount))
        draft.receipts = msgspec.structs.replace(draft.receipts, logs=(*draft.receipts.logs, log))
    return Mark(f"a deposit of {amount} for {account}", second)


def bound(line: Line) -> bool:
    """Whether ids in it are in somebody's signature, something was computed from them, or it must not come after a higher block."""
    return any(line["event"].get(name) for name in SIGNED) or line["event"]["type"] in {"deposit.seen.v1", "task.leased.v1"}


def counted(line: Line) -> bool:
    return bool(line["event"]["type"] == "chain.reconciled.v1")


def turn_a_payout(draft: Draft, chance: Random) -> Mark:
    """A payout that was paid is said to have failed, and is owed once more; or one that failed is said to be paid."""
    told(draft.chain)
    line = draft.pick(chance, "batch.finalised")
    event = line["event"]
    source, to = chosen(chance, [pair for pair in (("paid", "failed"), ("failed", "paid")) if event[pair[0]]])
    item = chosen(chance, event[source])
    again = [it for it in draft.all("payout.requested") if it["pos"] > line["pos"] and it["event"]["account"] == item["account"]]
    if to == "paid" and again:
        raise NoPlace("what failed was asked for once more")
    kinds = ("batch.mined", "batch.unmined", "batch.finalised")
    for each in [it for kind in kinds for it in draft.all(kind) if it["event"]["batch"] == event["batch"]]:
        each["event"][source] = [one for one in each["event"][source] if one["payout"] != item["payout"]]
        each["event"][to].append(item)
        draft.book(each)
    amount = int(item["amount"]) * (1 if to == "failed" else -1)
    reconcile(draft, line["pos"], event["asset"], amount)
    kind = to.capitalize()
    lie(draft, lambda it: msgspec.structs.replace(it, kind=kind) if it.subject == item["payout"] else it)
    return Mark(f"{item['payout']} {to}", line)


def charge_more_gas(draft: Draft, chance: Random) -> Mark:
    told(draft.chain)
    line, amount = draft.pick(chance, "batch.finalised"), more(chance)
    add(line["event"], "gas", amount)
    draft.book(line)
    if draft.receipts:
        tx = line["event"]["tx_hash"]
        gas = tuple(msgspec.structs.replace(it, wei=str(int(it.wei) + amount)) if it.tx == tx else it for it in draft.receipts.gas)
        draft.receipts = msgspec.structs.replace(draft.receipts, gas=gas)
    return Mark(f"{line['event']['batch']} cost {amount} wei more", line)


def pay_on_the_side(draft: Draft, chance: Random) -> Mark:
    """The treasury pays, and the ledger does not know of it: who holds the payer's key can."""
    chain, line = told(draft.chain), draft.pick(chance, "chain.reconciled")
    paid = chosen(chance, [it for it in chain.logs if it.kind in {"Paid", "Failed"}])
    height, amount = chance.randint(0, line["event"]["block"]), str(more(chance))
    changed = {"kind": "Paid", "block": height, "tx": f"0x{chance.getrandbits(256):064x}", "subject": f"payout-{chance.randrange(10**6)}"}
    side: ChainLog = msgspec.structs.replace(paid, amount=amount, **changed)
    draft.chain = msgspec.structs.replace(chain, logs=(*chain.logs, side))
    first = next(it for it in draft.all("chain.reconciled") if it["event"]["block"] >= height)
    return Mark(f"{amount} left the treasury in block {height}", first)


def empty_the_treasury(draft: Draft, chance: Random) -> Mark:
    """What the treasury holds is less than the log says it was found to hold."""
    chain, line = told(draft.chain), draft.pick(chance, "chain.reconciled")
    amount, block = more(chance), line["event"]["block"]
    rows = tuple(richer(it, -amount) if it.block == block else it for it in chain.balances)
    draft.chain = msgspec.structs.replace(chain, balances=rows)
    return Mark(f"{amount} are not there in block {block}", line)


def grind_a_beacon(draft: Draft, chance: Random) -> Mark:
    """A block hash that nobody mined, chosen so that everybody is drawn who signed afterwards: u and seeds follow."""
    told(draft.chain)
    line = draft.pick(chance, "beacon.drawn", lambda it: bool(audits_of(draft, it)))
    named = line["event"]["beacon"]
    opened = audits_of(draft, line)
    for _ in range(DRAWS_MAX):
        value = f"0x{chance.getrandbits(256):064x}"
        if all(same_draw(draft, it, value) for it in opened):
            break
    else:
        raise NoPlace("no such hash found")
    for each in [it for it in draft.lines() if it["event"].get("beacon") == named and it["event"]["type"] in DEPENDENT]:
        event = each["event"]
        if event["type"] == "bench.opened.v1":
            event["seed"] = draws.drawn("gl/bench/1", value, order(event["worker"])[0], 0) >> 32
        else:
            proof = next(it["event"]["proof_pos"] for it in opened if it["event"]["task"] == event["task"])
            event["u"] = str(draws.drawn("gl/lottery/1", value, proof, 0))
    old, line["event"]["block_hash"] = line["event"]["block_hash"], value
    if draft.receipts:
        blocks = tuple(msgspec.structs.replace(it, hash=value) if it.hash == old else it for it in draft.receipts.blocks)
        draft.receipts = msgspec.structs.replace(draft.receipts, blocks=blocks)
    return Mark(f"{named} is of a block {value[:10]}… that is not there", line)


def audits_of(draft: Draft, line: Line) -> list[Line]:
    """The audits that were drawn from a beacon; none if something was that cannot be made to fit."""
    drawn = [it for it in draft.lines() if it["event"].get("beacon") == line["event"]["beacon"] and it["event"]["type"] in DEPENDENT]
    opened = [it for it in drawn if it["event"]["type"] == "audit.opened.v1"]
    tasks = {it["event"]["task"] for it in opened}
    fits = all(it["event"]["type"] != "audit.widened.v1" and it["event"]["type"] != "audit.second_look.v1" for it in drawn)
    return opened if fits and all(it["event"]["task"] in tasks for it in drawn if it["event"]["type"] == "task.accepted.v1") else []


def same_draw(draft: Draft, opened: Line, value: str) -> bool:
    event = opened["event"]
    tiles = next(len(it["event"]["raw"]) for it in draft.all("proof.committed") if it["pos"] == event["proof_pos"])
    if draws.regions(value, event["proof_pos"], 0, tiles, ())[0] != event["regions"]:
        return False
    able = draft.original.able[opened["pos"]]
    u = draws.drawn("gl/lottery/1", value, event["proof_pos"], 0)
    audited = not event["job"] or u * draws.MILLION < event["p_ppm"] << 64
    return bool(audited and draws.checkers(value, event["proof_pos"], 0, 1, able)[0] == event["checkers"])


def lie_about_the_chain(draft: Draft, chance: Random) -> Mark:
    """The bundle's receipts say of the chain what it does not say, about things that the log does not name."""
    told(draft.chain)
    facts = told(draft.receipts)
    if chance.randrange(2):
        log = chosen(chance, [it for it in facts.logs if it.kind == "Deposited"])
        who = f"0x{chance.getrandbits(160):040x}"
        lie(draft, lambda it: msgspec.structs.replace(it, who=who) if it == log else it)
        return Mark(f"the deposit of {log.tx[:10]}… came from {who[:10]}…")
    drawn = {it["event"]["block_number"] for it in draft.all("beacon.drawn")}
    block = chosen(chance, facts.blocks)
    if block.number in drawn:
        lied = msgspec.structs.replace(block, number=chance.randint(10**6, 10**7))
        draft.receipts = msgspec.structs.replace(facts, blocks=(*facts.blocks, lied))
    else:
        lied = msgspec.structs.replace(block, timestamp_s=block.timestamp_s - chance.randint(1, 10**6))
        draft.receipts = msgspec.structs.replace(facts, blocks=tuple(lied if it == block else it for it in facts.blocks))
    return Mark(f"block {lied.number} is not the chain's")


FRAUDS = (
    Fraud("truncate", "heads", truncate, "head"),
    Fraud("fork", "heads", fork, "head"),
    Fraud("root everything again", "anchors", root_everything_again, "chain"),
    Fraud("forge a deposit", "deposits", forge_a_deposit, "chain"),
    Fraud("invent a deposit", "deposits", invent_a_deposit, "chain"),
    Fraud("turn a payout", "payouts", turn_a_payout, "chain"),
    Fraud("charge more gas", "payouts", charge_more_gas, "chain"),
    Fraud("pay on the side", "payouts", pay_on_the_side, "chain", "the payer's key"),
    Fraud("empty the treasury", "treasury", empty_the_treasury, "chain", "the payer's key"),
    Fraud("grind a beacon", "beacon blocks", grind_a_beacon, "chain"),
    Fraud("lie about the chain", "receipts", lie_about_the_chain, "chain", "the bundle"),
)
