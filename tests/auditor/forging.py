"""A whole life as a bundle, the chain that goes with it, and forgers: what they change they seal again, so that every hash is right."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from auditor import bundle as bundles
from auditor.drill.desk import KINDS
from auditor.facts import Balance, Block, ChainLog, Facts, Gas
from domain.event import Event, Recorded
from domain.log import wire
from domain.log.block import read_header, seal
from domain.log.merkle import Head
from domain.proof import beacon
from domain.treasury import anchor, batch, deposit, payout
from tests import network
from tests.network import LOG, TREASURY, Network, block_hash

Line = dict[str, Any]
Blocks = list[list[Line]]
"""The lines of every block, as JSON."""


@cache
def life() -> Network:
    """One for all tests: nobody changes it."""
    return network.life()


def facts(of: Network) -> Facts:
    """What an honest chain would say to the log of this network."""
    delay_s = of.policy.delay_us // 10**6
    logs, heights, gas, balances = list[ChainLog](), set[int](), list[Gas](), list[Balance]()
    to = {it.event.payout: it.event.to for it in of.events if isinstance(it.event, payout.Requested)}

    def log(kind: Any, block: int, tx: str, index: int, *facts: str) -> None:
        logs.append(ChainLog(kind, TREASURY, block, block_hash(block), tx, index, *facts))

    for it in of.events:
        match it.event:
            case beacon.Drawn() as event:
                heights |= {event.block_number, event.block_number - 1}
            case deposit.Finalised() as event:
                log("Deposited", event.block, event.tx, event.log_index, event.account, "0x" + "9" * 40, str(int(event.amount)))
            case batch.Finalised() as event:
                gas.append(Gas(event.tx_hash, event.block, str(int(event.gas))))
                for n, (kind, item) in enumerate([*(("Paid", it) for it in event.paid), *(("Failed", it) for it in event.failed)]):
                    log(kind, event.block, event.tx_hash, n, item.payout, to[item.payout], str(int(item.amount)))
            case anchor.Anchored() as event:
                log("Anchored", event.block, event.tx, 0, event.root, "", str(event.size))
            case anchor.Reconciled() as event:
                balances.append(Balance(TREASURY, event.block, str(int(event.balance))))
            case _:
                pass
    blocks = tuple(Block(n, block_hash(n), n + delay_s) for n in sorted(heights))
    return Facts(network.CHAIN_ID, max(heights, default=0), blocks, tuple(logs), tuple(balances), tuple(gas))


def bundle(out: Path, of: Network | None = None, records: list[bytes] | None = None, chain: Facts | None = None) -> Path:
    """A bundle of the life, or of other records with its evidence."""
    of = of or life()
    bundles.write(out, records or of.records, of.objects, chain or facts(of))
    return out


def opened(records: list[bytes]) -> Blocks:
    return [[msgspec.json.decode(line) for line in record.split(b"\n")[1:-1]] for record in records]


def sealed(blocks: Blocks, of: list[bytes] | None = None) -> list[bytes]:
    """Sealed again, with the roots that beacons and anchors name, as a careful forger would. `of` is the log that was forged."""
    head, records, roots = Head(LOG), list[bytes](), dict[int, str]()
    true = {header.next_size: header.next_root for record in of or life().records if (header := read_header(record))}
    for block in blocks:
        for line in block:
            event = line["event"]
            for size, root in (("sealed_size", "sealed_root"), ("size", "root")):
                if root in event and event[root] == true.get(event[size]) and event[size] in roots:
                    event[root] = roots[event[size]]
        made = seal(head, [msgspec.json.encode(line) for line in block], KINDS.get(str(block[0]["event"]["type"]), "block"))
        head = made.after
        roots[head.size] = head.root
        records.append(made.record)
    return records


def booked(line: dict[str, Any]) -> None:
    """Gives a changed event the entry that it makes, as a careful forger would."""
    recorded: Recorded[Event] = wire.event(msgspec.json.encode(line))
    line.pop("entry", None)
    if entry := recorded.event.entry():
        body = {"body": line.pop("body")} if "body" in line else {}
        line["entry"] = [[account, str(int(amount))] for account, amount in entry]
        line |= body


def renumber(blocks: Blocks) -> None:
    """Positions and versions as they ought to be, whatever was put in or left out."""
    versions = dict[str, int]()
    for position, line in enumerate((line for block in blocks for line in block), 1):
        versions[line["stream"]] = versions.get(line["stream"], 0) + 1
        line["pos"], line["ver"] = position, versions[line["stream"]]


def forged(change: Callable[[Blocks], None]) -> list[bytes]:
    blocks = opened(life().records)
    change(blocks)
    return sealed(blocks)


def find(blocks: Blocks, kind: str, where: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
    """The first line with an event of this kind."""
    return next(line for block in blocks for line in block if line["event"]["type"] == f"{kind}.v1" and where(line["event"]))
