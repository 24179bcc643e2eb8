"""The log beside the chain, both ways: whatever the log says of the chain is there, and whatever the chain has up to a reconciled block
is in the log.

The chain is asked as the log goes by, from one reconciled block to the next; kept is only what the one has said and the other not yet.
"""

from collections.abc import Callable

from auditor.chain import ZERO_ADDRESS, Silent, Source
from auditor.facts import ChainLog
from auditor.report import OF_CHAIN, Findings
from domain import ids
from domain.event import Event, Recorded
from domain.house import rules
from domain.proof import beacon
from domain.treasury import account, anchor, batch, deposit, payout
from domain.value import Value

WAITING_MAX = 10_000
"""Logs of the chain that the ledger may be late with; the oldest is not waited for any longer."""

KINDS = (
    *(rules.PolicyAdopted, rules.AssetListed, account.Opened, payout.Requested, payout.Cancelled),
    *(beacon.Drawn, deposit.Seen, deposit.Orphaned, deposit.Finalised, batch.Finalised, anchor.Anchored, anchor.Reconciled),
)
"""Events that are looked at here."""
Key = tuple[str, str, str]


class Mine(Value):
    """What the ledger says of the chain, at a position."""

    pos: int
    treasury: str
    """Empty: of any."""
    block: int
    says: tuple[object, ...]
    message: str


class Theirs(Value):
    """What the chain has, and the position of the first reconciliation that says that the ledger has it, too."""

    log: ChainLog
    pos: int


class OnChain:
    """`assets` are those that were listed; `silent` says why the chain is not asked any more."""

    def __init__(
        self, findings: Findings, source: Source | None = None, root: Callable[[int], str | None] = lambda _: None, *, strict: bool = True
    ) -> None:
        """`root` is the log's own at a size that was passed, if it had that size. `strict`: a source of another chain proves nothing."""
        self._findings, self._source, self._root, self._strict = findings, source, root, strict
        self.assets: dict[str, rules.AssetListed] = {}
        self.silent = ""
        self._size = self._chain_id = 0
        self._policies: list[tuple[int, int]] = []
        """(in force from, delay) in the order of adoption."""
        self._accounts = set[str]()
        self._to: dict[str, str] = {}
        self._reached: dict[str, int] = {}
        """By treasury, the last block whose logs were asked for."""
        self._mine: dict[tuple[str, Key], Mine] = {}
        self._theirs: dict[tuple[str, Key], Theirs] = {}
        self._seen = set[Key]()
        """Deposits that the ledger has, and that are not final there."""
        self._final = (-1, 0)
        """The newest block of which something is final in the ledger, and the position that says so: no older deposit is taken any more."""
        self._anchored: list[ChainLog] = []
        """Of sizes that the log has not reached yet."""

    def take(self, it: Recorded[Event]) -> None:
        self._size = it.pos
        self._asking(lambda: self._event(it))

    def finish(self, size: int) -> None:
        """After the last event."""
        self._size = size
        self._asking(self._rest)

    def _asking(self, question: Callable[[], None]) -> None:
        try:
            question()
        except Silent as reason:
            self.silent, self._source = str(reason), None
            for name in OF_CHAIN:
                self._findings.missing(name, self.silent)

    def _event(self, it: Recorded[Event]) -> None:
        match it.event:
            case rules.PolicyAdopted() as event:
                self._policies.append((event.effective_us, event.parameters.delay_us))
            case rules.AssetListed() as event:
                self._listed(event)
            case account.Opened() as event:
                self._accounts.add(event.account)
            case payout.Requested() as event:
                self._to[event.payout] = event.to
            case payout.Cancelled() as event:
                self._to.pop(event.payout, None)
            case beacon.Drawn() as event:
                self._beacon(it, event)
            case deposit.Seen() as event:
                self._seen.add((event.tx, str(event.log_index), ""))
            case deposit.Orphaned() as event:
                self._seen.discard((event.tx, str(event.log_index), ""))
            case deposit.Finalised() as event:
                self._final = max(self._final, (event.block, it.pos))
                self._seen.discard((event.tx, str(event.log_index), ""))
                says = self._treasury(event.asset), event.block, str(int(event.amount)), event.account
                key = event.tx, str(event.log_index), ""
                self._say("deposits", key, Mine(it.pos, says[0], event.block, says, "not as the chain has it"))
            case batch.Finalised() as event:
                self._final = max(self._final, (event.block, it.pos))
                self._paid(it.pos, event)
            case anchor.Anchored() as event:
                self._anchor(it.pos, event)
            case anchor.Reconciled() as event:
                self._reconciled(it.pos, event)

    def _listed(self, event: rules.AssetListed) -> None:
        self.assets[event.asset] = event
        if self._source and len(self.assets) == 1:
            self._chain_id = self._source.chain_id()
            if self._strict and self._chain_id != event.chain_id:
                raise Silent(f"the node is of chain {self._chain_id}, the log of chain {event.chain_id}")

    def _treasury(self, asset: str) -> str:
        return self.assets[asset].treasury if asset in self.assets else ""

    def _holders(self) -> list[rules.AssetListed]:
        return [it for it in self.assets.values() if it.contract != ZERO_ADDRESS]

    def _beacon(self, it: Recorded[Event], event: beacon.Drawn) -> None:
        if self._source is None:
            return
        self._findings.seen["beacon blocks"] += 1
        delays = [delay for since, delay in sorted(self._policies, key=lambda row: row[0]) if since <= it.at_us]
        due_us, chain_id = event.grid_us + (delays[-1] if delays else 0), self._chain_id
        block, before = self._source.block(event.block_number), self._source.block(event.block_number - 1)
        if block is None or block.hash != event.block_hash or event.chain_id != chain_id:
            expected = f"{block.hash if block else 'no block'} of chain {chain_id}"
            actual = f"{event.block_hash} of chain {event.chain_id}"
            self._findings.found("beacon blocks", f"block {event.block_number}", it.pos, expected=expected, actual=actual)
        elif block.timestamp_s * 10**6 < due_us or (before and before.timestamp_s * 10**6 >= due_us):
            expected = f"the first block at or after {due_us / 10**6:.6f} s"
            actual = f"block {block.number} at {block.timestamp_s} s, after one at {before.timestamp_s if before else '?'} s"
            self._findings.found("beacon blocks", "another block is the lawful one", it.pos, expected=expected, actual=actual)

    def _paid(self, pos: int, event: batch.Finalised) -> None:
        for kind, items in (("Paid", event.paid), ("Failed", event.failed)):
            for item in items:
                says = event.block, self._to.pop(item.payout, ""), str(int(item.amount))
                mine = Mine(pos, self._treasury(event.asset), event.block, says, f"{item.payout} is not {kind.lower()} so on chain")
                self._say("payouts", (event.tx_hash, item.payout, kind), mine)
        if self._source is None:
            return
        self._findings.seen["payouts"] += 1
        spent = self._source.gas(event.tx_hash)
        if spent is None or (spent.wei, spent.block) != (str(int(event.gas)), event.block):
            expected, actual = spent or "no such transaction", f"{event.gas} wei in block {event.block}"
            self._findings.found("payouts", "gas and block of the transaction", pos, expected=expected, actual=actual)

    def _anchor(self, pos: int, event: anchor.Anchored) -> None:
        self._findings.seen["anchors"] += 1
        if (own := self._root(event.size)) not in {None, event.root}:
            self._findings.found("anchors", f"not the log's root at size {event.size}", pos, expected=own, actual=event.root)
        mine = Mine(pos, "", event.block, (event.block, event.root), f"the anchor of size {event.size}")
        self._say("anchors", (event.tx, str(event.size), ""), mine)

    def _reconciled(self, pos: int, event: anchor.Reconciled) -> None:
        """Up to this block the ledger is to have what the chain has."""
        if self._source is None:
            return
        self._findings.seen["treasury"] += 1
        asset = next((it for it in self._holders() if it.asset == event.asset), None)
        held = self._source.held(asset.contract, asset.treasury, event.block) if asset else None
        if held != str(int(event.balance)):
            message = f"balanceOf the treasury at block {event.block}"
            self._findings.found("treasury", message, pos, expected=held or "no such block", actual=event.balance)
        elif event.breaks:
            self._findings.found("treasury", "chain and ledger differ", pos, expected=event.balance, actual=event.ledger)
        if asset:
            self._fetch(asset.treasury, event.block, pos)

    # Both ways.

    def _say(self, check: str, key: Key, mine: Mine) -> None:
        """The ledger's fact, beside the chain's log if that is known."""
        if self._source is None:
            return
        if check != "anchors":
            self._findings.seen[check] += 1
        if theirs := self._theirs.pop((check, key), None):
            self._meet(check, mine, theirs.log)
        elif (check, key) in self._mine:
            self._missing(check, mine)
        else:
            self._mine[check, key] = mine

    def _fetch(self, treasury: str, last: int, pos: int) -> None:
        """The treasury's logs up to a block, beside what the ledger said; `pos` is where it says that it has them all, if it does."""
        assert self._source
        first = self._reached.get(treasury, -1) + 1
        for log in self._source.logs(treasury, first, last) if first <= last else ():
            self._hear(log, pos)
        self._reached[treasury] = max(first - 1, last)
        reached = min(self._reached.get(it.treasury, -1) for it in self._holders())
        until = {treasury: last, "": reached}
        for check, key in [at for at, mine in self._mine.items() if mine.block <= until.get(mine.treasury, -1)]:
            self._missing(check, self._mine.pop((check, key)))
        while len(self._theirs) > WAITING_MAX:
            self._unsaid(next(iter(self._theirs)))

    def _hear(self, log: ChainLog, pos: int) -> None:
        if log.kind == "Deposited":
            check, key = "deposits", (log.tx, str(log.log_index), "")
            if log.block <= self._final[0] and key not in self._seen:
                pos = pos or self._final[1]
        elif log.kind == "Anchored":
            check, key = "anchors", (log.tx, log.amount, "")
            if int(log.amount) > self._size:
                self._anchored.append(log)
            else:
                self._own(log)
        else:
            check, key = "payouts", (log.tx, log.subject, log.kind)
        if mine := self._mine.pop((check, key), None):
            self._meet(check, mine, log)
        elif pos or check == "anchors":
            self._theirs[check, key] = Theirs(log, pos)

    def _meet(self, check: str, mine: Mine, log: ChainLog) -> None:
        if check == "deposits":
            known = log.subject in self._accounts and ids.position(log.subject) < mine.pos
            expected: tuple[object, ...] = log.treasury, log.block, log.amount, log.subject if known else ""
        elif check == "payouts":
            expected = log.block, log.who, log.amount
        else:
            expected = log.block, log.subject
        if expected != mine.says:
            self._findings.found(check, mine.message, mine.pos, expected=expected, actual=mine.says)

    def _missing(self, check: str, mine: Mine) -> None:
        self._findings.found(check, mine.message, mine.pos, expected="no such log", actual=mine.says)

    def _unsaid(self, at: tuple[str, Key]) -> None:
        check, theirs = at[0], self._theirs.pop(at)
        if check != "anchors":
            self._findings.seen[check] += 1
            message, log = f"the chain has a {check[:-1]} that the ledger has not", theirs.log
            self._findings.found(check, message, theirs.pos, expected=log, about=f"{log.tx} {log.log_index}")

    def _rest(self) -> None:
        if self._source is None:
            return
        for it in self._holders():
            self._fetch(it.treasury, self._source.head(), 0)
        for check, key in list(self._mine):
            self._missing(check, self._mine.pop((check, key)))
        for at in list(self._theirs):
            self._unsaid(at)
        for log in self._anchored:
            self._own(log)

    def _own(self, log: ChainLog) -> None:
        """Whether the log had what the chain keeps of it."""
        self._findings.seen["anchors"] += 1
        size = int(log.amount)
        if size > self._size:
            self._findings.note(f"the chain holds an anchor of size {size}: the log has grown since this bundle was made, or was cut")
        elif (own := self._root(size)) != log.subject:
            message = "the chain holds another root of the log"
            self._findings.found("anchors", message, size, expected=log.subject, actual=own or "no head of this size")
