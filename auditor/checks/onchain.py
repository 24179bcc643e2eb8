"""The log beside the chain, both ways: whatever the log says of the chain is there, and whatever the chain has up to a reconciled block
is in the log."""

from bisect import bisect_right

from auditor.chain import ZERO_ADDRESS, Wanted
from auditor.facts import ChainLog, Facts
from auditor.reading import Taken
from auditor.report import Findings
from domain.event import Event, Recorded
from domain.house import rules
from domain.proof import beacon
from domain.treasury import account, anchor, batch, deposit, payout
from domain.value import Value


class Beacon(Value):
    position: int
    event: beacon.Drawn
    due_us: int
    """Grid plus delay."""


class OnChain:
    """Collects what the log says of the chain, to be laid beside what the chain says."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self.assets: dict[str, rules.AssetListed] = {}
        self._policies: list[tuple[int, int]] = []
        """(in force from, delay) in the order of adoption."""
        self._times: list[int] = []
        self._heads: list[tuple[int, str]] = []
        """Head after each block, beside its time."""
        self._accounts: dict[str, int] = {}
        self._to: dict[str, str] = {}
        self._beacons: list[Beacon] = []
        self._deposits: list[tuple[int, deposit.Finalised]] = []
        self._batches: list[tuple[int, batch.Finalised]] = []
        self._anchors: list[tuple[int, anchor.Anchored]] = []
        self._reconciled: list[tuple[int, anchor.Reconciled]] = []

    def take(self, taken: Taken) -> None:
        """The next block."""
        if not taken.events:
            return
        for it in taken.events:
            self._event(it)
        self._times.append(taken.events[0].at_us)
        self._heads.append((taken.block.after.size, taken.block.after.root))

    def _event(self, it: Recorded[Event]) -> None:
        match it.event:
            case rules.PolicyAdopted() as event:
                self._policies.append((event.effective_us, event.parameters.delay_us))
            case rules.AssetListed() as event:
                self.assets[event.asset] = event
            case account.Opened() as event:
                self._accounts[event.account] = it.pos
            case payout.Requested() as event:
                self._to[event.payout] = event.to
            case beacon.Drawn() as event:
                self._sealed(it.pos, event)
                delays = [delay for since, delay in sorted(self._policies, key=lambda row: row[0]) if since <= it.at_us]
                self._beacons.append(Beacon(it.pos, event, event.grid_us + (delays[-1] if delays else 0)))
            case deposit.Finalised() as event:
                self._deposits.append((it.pos, event))
            case batch.Finalised() as event:
                self._batches.append((it.pos, event))
            case anchor.Anchored() as event:
                self._anchors.append((it.pos, event))
            case anchor.Reconciled() as event:
                self._reconciled.append((it.pos, event))
            case _:
                pass

    def _sealed(self, pos: int, event: beacon.Drawn) -> None:
        """A beacon's sealed head is the log's own after the last block with a time up to the grid time."""
        self._findings.seen["beacons"] += 1
        at = bisect_right(self._times, event.grid_us)
        size, root = self._heads[at - 1] if at else (0, "")
        if (event.sealed_size, event.sealed_root) != (size, root):
            expected, actual = f"size {size} root {root}", f"size {event.sealed_size} root {event.sealed_root}"
            self._findings.found("beacons", "sealed head", pos, expected=expected, actual=actual)

    def wanted(self) -> Wanted:
        """What to ask the chain."""
        holders = {it.asset: it for it in self.assets.values() if it.contract != ZERO_ADDRESS}
        balances = [(holders[it.asset].treasury, holders[it.asset].contract, it.block) for _, it in self._reconciled if it.asset in holders]
        return Wanted(
            tuple(it.event.block_number for it in self._beacons),
            tuple(dict.fromkeys(it.treasury for it in holders.values())),
            tuple(dict.fromkeys(balances)),
            tuple(dict.fromkeys(event.tx_hash for _, event in self._batches)),
        )

    @property
    def chain_id(self) -> int:
        return next((it.chain_id for it in self.assets.values()), 0)

    def compare(self, facts: Facts) -> None:
        """All checks that need the chain, on what it is said to say."""
        self._blocks(facts)
        self._paid_in(facts)
        self._paid_out(facts)
        self._held(facts)
        self._anchored(facts)

    def _blocks(self, facts: Facts) -> None:
        blocks = {block.number: block for block in facts.blocks}
        for it in self._beacons:
            self._findings.seen["beacon blocks"] += 1
            event, block, before = it.event, blocks.get(it.event.block_number), blocks.get(it.event.block_number - 1)
            if block is None or block.hash != event.block_hash or event.chain_id != facts.chain_id:
                expected = f"{block.hash if block else 'no block'} of chain {facts.chain_id}"
                actual = f"{event.block_hash} of chain {event.chain_id}"
                self._findings.found("beacon blocks", f"block {event.block_number}", it.position, expected=expected, actual=actual)
            elif block.timestamp_s * 10**6 < it.due_us or (before and before.timestamp_s * 10**6 >= it.due_us):
                expected = f"the first block at or after {it.due_us / 10**6:.6f} s"
                actual = f"block {block.number} at {block.timestamp_s} s, after one at {before.timestamp_s if before else '?'} s"
                self._findings.found("beacon blocks", "another block is the lawful one", it.position, expected=expected, actual=actual)

    def _complete(self, log: ChainLog) -> int:
        """Position of the first reconciliation that covers this log; zero if none does."""
        assets = {it.asset for it in self.assets.values() if it.treasury == log.treasury}
        return next((pos for pos, it in self._reconciled if it.asset in assets and it.block >= log.block), 0)

    def _treasury(self, asset: str) -> str:
        return self.assets[asset].treasury if asset in self.assets else ""

    def _paid_in(self, facts: Facts) -> None:
        logs = {(log.tx, log.log_index): log for log in facts.logs if log.kind == "Deposited"}
        for pos, event in self._deposits:
            self._findings.seen["deposits"] += 1
            log = logs.pop((event.tx, event.log_index), None)
            who = log.subject if log and self._accounts.get(log.subject, pos) < pos else ""
            expected = (log.treasury, log.block, log.amount, who) if log else None
            actual = (self._treasury(event.asset), event.block, str(int(event.amount)), event.account)
            if expected != actual:
                self._findings.found("deposits", "not as the chain has it", pos, expected=expected or "no such log", actual=actual)
        for log in logs.values():
            self._findings.seen["deposits"] += 1
            if pos := self._complete(log):
                self._findings.found("deposits", "the chain has a deposit that the ledger has not", pos, expected=log)

    def _paid_out(self, facts: Facts) -> None:
        logs: dict[tuple[str, str, str], ChainLog] = {
            (log.tx, log.subject, log.kind): log for log in facts.logs if log.kind in {"Paid", "Failed"}
        }
        gas = {it.tx: it for it in facts.gas}
        for pos, event in self._batches:
            self._findings.seen["payouts"] += 1
            spent = gas.get(event.tx_hash)
            if spent is None or (spent.wei, spent.block) != (str(int(event.gas)), event.block):
                expected, actual = spent or "no such transaction", f"{event.gas} wei in block {event.block}"
                self._findings.found("payouts", "gas and block of the transaction", pos, expected=expected, actual=actual)
            for kind, items in (("Paid", event.paid), ("Failed", event.failed)):
                for item in items:
                    self._findings.seen["payouts"] += 1
                    log = logs.pop((event.tx_hash, item.payout, kind), None)
                    mine = (log.block, log.who, log.amount) if log else None
                    theirs = (event.block, self._to.get(item.payout, ""), str(int(item.amount)))
                    if mine != theirs:
                        message = f"{item.payout} is not {kind.lower()} so on chain"
                        self._findings.found("payouts", message, pos, expected=mine or "no such log", actual=theirs)
        for log in logs.values():
            if pos := self._complete(log):
                self._findings.found("payouts", "the chain has a payout that the ledger has not", pos, expected=log)

    def _held(self, facts: Facts) -> None:
        held = {(it.treasury, it.block): it.amount for it in facts.balances}
        for pos, event in self._reconciled:
            self._findings.seen["treasury"] += 1
            balance = held.get((self._treasury(event.asset), event.block), "no such block")
            if balance != str(int(event.balance)):
                message = f"balanceOf the treasury at block {event.block}"
                self._findings.found("treasury", message, pos, expected=balance, actual=event.balance)
            elif event.breaks:
                self._findings.found("treasury", "chain and ledger differ", pos, expected=event.balance, actual=event.ledger)

    def _anchored(self, facts: Facts) -> None:
        own, size_max = dict(self._heads), self._heads[-1][0] if self._heads else 0
        logs = {(log.tx, int(log.amount)): log for log in facts.logs if log.kind == "Anchored"}
        for pos, event in self._anchors:
            self._findings.seen["anchors"] += 1
            log = logs.get((event.tx, event.size))
            expected = (log.block, log.subject) if log else None
            if expected != (event.block, event.root):
                actual = (event.block, event.root)
                self._findings.found("anchors", f"the anchor of size {event.size}", pos, expected=expected or "no such log", actual=actual)
        for log in logs.values():
            self._findings.seen["anchors"] += 1
            size = int(log.amount)
            if size > size_max:
                self._findings.note(f"the chain holds an anchor of size {size}: the log has grown since this bundle was made, or was cut")
            elif own.get(size) != log.subject:
                message = "the chain holds another root of the log"
                self._findings.found("anchors", message, size, expected=log.subject, actual=own.get(size, "no head of this size"))
