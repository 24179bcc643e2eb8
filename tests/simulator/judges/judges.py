"""Who looks after every step, and what they look for.

* After each step, at whatever ledger of a living server changed: every asset sums to zero and nobody is owed less than nothing
  (`invariants`); its head is the log's (`replay`).
* When the log takes a record: the whole page of `domain/house/invariants.py`, and that the house had its turn (`invariants`); the
  reference ledger (reference.py, draws.py, money.py); at every tenth the state as bytes, which each server's ledger has to equal when it
  comes there (`replay`).
* When a server answers: the log has what the answer rests on (`answers`). When a caller hears: the same answer as ever, and the log's own
  bytes (`receipts`).
* At a snapshot: thawed and frozen again it is the same, and it is the state of the log (`snapshot`).
* At a block of the chain: `chain`. When the faults are over and at the end: the views are what a rebuild makes (`projections`). At the end:
  everything settled (`settled`), and a stranger's reading of the log agrees (`stranger`).
* A process that ends by anything but a wrong clock, or cannot go on, is a finding, too (`failure`).

What must hold, and who judges it: **1** entries balance — `entries`, `invariants`. **2** nobody is overdrawn — `entries`, `invariants`.
**3** balances and views are folds of the log — `replay`, `projections`, `stranger`. **4** an acknowledged command is in the log once, a
refused one never, an unknown one once at most — `once`, `receipts`, `answers`. **5** versions are dense and times rise — `order`. **6** the
chain of heads is whole — `replay`, `stranger`. **7** one answer per key for ever — `receipts`. **8** escrow in = paid + refunded + held —
`escrow`. **9** only the winning attempt is paid, and no more than its price — `fence`, `shares`, `escrow`. **10** no pay without a proof
of the lease's worker in its time — `proof`, `fence`, `verdict`. **11** payouts on the chain = payout ids, one to one — `chain`, `batch`.
**12** treasury = its account — `chain`, at the end. **13** one nonce per batch, no nonce for another — `batch`. **14** lifecycles — the
product's own tables, whose violation is a `failure`, and the reference's statuses. **15** no key or number twice — `once`, `payout`.
**16** views never go back — `projections` (their heads rise). **17** no event of a deposed leader — `leader`. **18** what healed settles —
`settled`. **19** is about dead letters, which there are none of. **20** checkers are independent — `checkers`.
"""

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from adapters.succession import ClockOff
from domain.accounts import Account
from domain.errors import Refused
from domain.house import invariants
from domain.log import snapshot
from domain.log.ledger import Ledger
from domain.log.merkle import Head
from domain.log.receipts import Ask, Receipt
from projections import catalog
from projections.memory import MemoryViews
from projections.row import Batch
from projections.views import Move
from tests import stranger
from tests.network import LOG
from tests.simulator.judges.money import Book
from tests.simulator.judges.reference import DEBIT, EITHER, Breach, require
from tests.simulator.loop import Life
from tests.simulator.twins import EPOCH_US

if TYPE_CHECKING:
    from tests.simulator.play import Play
    from tests.simulator.server import Server

FREEZE_EVERY = 10
OVERDUE_US = 10_000_000
FOLD = "simulated"


class Judges:
    def __init__(self, play: "Play") -> None:
        self.play = play
        self.ledger = Ledger(Head(LOG))
        """A fold of what the log took, and of nothing else."""
        self.book = Book(play.chain)
        self.counted, self.size_before = list[bytes](), dict[bytes, int]()
        self.lines, self.events = list[bytes](), list[Any]()
        self.roots = {0: self.ledger.head.root}
        self.frozen = dict[int, bytes]()
        self.commands = 0
        self.begun, self.refusals = Counter[str](), Counter[str]()
        self.acknowledged = dict[str, tuple[str, int, int, tuple[bytes, ...]]]()
        self.found: Breach | None = None
        self._seen = dict[int, tuple[int, int]]()

    @contextlib.contextmanager
    def looking(self) -> Iterator[None]:
        """What is found here is raised at the end of the step: in between, a process could swallow it."""
        try:
            yield
        except Breach as breach:
            self.found = self.found or breach
        except Exception as fault:
            self.found = self.found or Breach("failure", f"{type(fault).__name__}: {fault}")

    # After each step.

    def look(self, life: Life | None) -> None:
        if life is not None:
            for server in self.play.servers:
                if server.name == life.name:
                    self._look_at(server)
        if self.found:
            raise self.found

    def _look_at(self, server: "Server") -> None:
        for ledger in server.ledgers:
            now = (ledger.head.size, len(ledger.pending))
            if self._seen.get(id(ledger)) == now:
                continue
            self._seen[id(ledger)] = now
            wrong = unbalanced(ledger.world.balances)
            require(not wrong, "invariants", wrong)
            if not ledger.pending:
                self._compare(server, ledger)

    def _compare(self, server: "Server", ledger: Ledger) -> None:
        size, root = ledger.head.size, ledger.head.root
        same_head = self.roots.get(size) == root
        # Who decides is ahead of the log until that took the block, and may learn that it took another.
        require(same_head or ledger is not server.ledgers[0], "replay", f"{server.name} has another root at {size}")
        if same_head and size in self.frozen:
            same = snapshot.freeze(ledger, FOLD) == self.frozen[size]
            require(same, "replay", f"{server.name} has another state at {size}")

    # At each record.

    def took(self, record: bytes, writer: str) -> None:
        with self.looking():
            self.size_before[record] = self.ledger.head.size
            self.counted.append(record)
            self.play.loop.trace.update(record)
            lines = record.split(b"\n")[1:-1]
            self.book.block([msgspec.json.decode(line) for line in lines], writer)
            self.events += self.ledger.fold(record).events
            self.lines += lines
            size = self.ledger.head.size
            self.roots[size] = self.ledger.head.root
            elected = b'"type":"ledger.leader_elected.v1"' in lines[0]
            try:
                if elected or writer == "founding":
                    invariants.check(self.ledger.world)
                else:
                    invariants.check_sealed(self.ledger.world, self.ledger.at_us)
            except invariants.Breach as breach:
                raise Breach("invariants", str(breach)) from breach
            if len(self.counted) % FREEZE_EVERY == 0:
                self.frozen[size] = snapshot.freeze(self.ledger, FOLD)

    def mined(self) -> None:
        with self.looking():
            self.book.look_at_chain()

    def snapped(self, frozen: bytes) -> None:
        with self.looking():
            thawed = snapshot.thaw(frozen, LOG, FOLD)
            require(snapshot.freeze(thawed, FOLD) == frozen, "snapshot", "thawed, it is another state")
            size = thawed.head.size
            same = size != self.ledger.head.size or frozen == snapshot.freeze(self.ledger, FOLD)
            require(same and self.roots.get(size) == thawed.head.root, "snapshot", f"it is not the state of the log at {size}")

    # What servers answer, and callers hear.

    def asks(self, ask: Ask) -> None:
        self.commands += 1

    def begins(self, ask: Ask) -> None:
        self.begun[ask.cmd] += 1

    def answered(self, server: "Server", ask: Ask, receipt: Receipt) -> None:
        with self.looking():
            first = receipt.position - 1
            there = receipt.last <= self.play.log.head.size and receipt.lines == tuple(self.lines[first : first + len(receipt.lines)])
            require(
                there, "answers", f"{server.name} says that {type(ask.command).__name__} is at {receipt.last}, which the log does not have"
            )

    def refused(self, server: "Server", ask: Ask, refusal: Refused) -> None:
        self.refusals[ask.cmd] += 1
        self.play.loop.trace.update(b"refused %b %b\n" % (ask.cmd.encode(), refusal.code.encode()))
        with self.looking():
            ledger = server.ledgers[-1]
            there = not ledger.pending and ledger.head.size <= self.play.log.head.size
            require(there, "answers", f"{server.name} refuses {type(ask.command).__name__} by what is not in the log")

    def heard(self, ask: Ask, receipt: Receipt) -> None:
        self.play.loop.trace.update(b"heard %b %d\n" % (ask.cmd.encode(), receipt.position))
        with self.looking():
            if not receipt.count:
                return
            first = receipt.position - 1
            same = receipt.lines == tuple(self.lines[first : first + receipt.count]) and receipt.count == len(receipt.lines)
            require(same and receipt.position in self.book.commands[ask.cmd], "receipts", f"{receipt.position} is not that in the log")
            if ask.body:
                now = (ask.body, receipt.position, receipt.count, receipt.lines)
                require(self.acknowledged.setdefault(ask.cmd, now) == now, "receipts", f"the key of {receipt.position} has two answers")

    # Processes.

    def ended(self, name: str, why: BaseException | None) -> None:
        with self.looking():
            require(isinstance(why, ClockOff), "failure", f"{name} ended by {type(why).__name__}: {why}")

    def failed(self, name: str, why: BaseException) -> None:
        with self.looking():
            raise Breach("failure", f"{name} failed by {type(why).__name__}: {why}")

    # The end.

    def open_ends(self) -> list[str]:
        """What is not over yet."""
        world, size, play = self.ledger.world, self.ledger.head.size, self.play
        ends = [f"{it.id} is {it.status}" for it in world.jobs.values() if it.status not in {"closed", "archived"}]
        ends += [f"{it.id} is {it.status}" for it in world.audits.values() if it.status != "closed"]
        ends += [f"{it.id} is {it.status}" for it in world.payouts.values()]
        ends += [f"{it.id} is {it.status}" for it in world.batches.values()]
        ends += [f"{it.id} is seen" for it in world.deposits.values()] + [f"{ref} is not final" for ref in self.book.unheard()]
        ends += [f"{server.name} reads at {server.ledgers[0].head.size} of {size}" for server in play.servers if not self._reads(server)]
        now_us = EPOCH_US + play.loop.now_us()
        ends += [f"{name} is due since {due_us}" for due_us, _, _, name in world.timers if due_us < now_us - OVERDUE_US]
        heads = {each.name: play.views.views._heads.get(each.name) for each in catalog.ALL}
        ends += [f"the view {name} is behind" for name, head in heads.items() if head is None or head.size != size]
        return ends

    def _reads(self, server: "Server") -> bool:
        return bool(server.ledgers) and server.ledgers[0].head.size == self.ledger.head.size

    def compare_views(self) -> None:
        """Each view against one that is made anew from the log."""
        for projection in catalog.ALL:
            if (head := self.play.views.views._heads.get(projection.name)) is None:
                continue
            batch, fresh = Batch(), MemoryViews(projection)
            for event in self.events[: head.size]:
                for change in projection.fold(event):
                    batch.add(change)
            fresh.take(Move(projection, batch, head, head), head.size)
            for kind in projection.rows:
                same = fresh._tables._rows.get(kind, {}) == self.play.views.views._tables._rows.get(kind, {})
                require(same, "projections", f"{projection.name} is not what a rebuild makes, at {head.size}")

    def finish(self) -> None:
        self.compare_views()
        self.book.conclude()
        for cmd, position in self.book.keyed.items():
            refused = self.begun[cmd] and self.begun[cmd] == self.refusals[cmd]
            require(not refused, "receipts", f"the command of position {position} was refused each time")
        for cmd, (_, position, *_) in self.acknowledged.items():
            require(self.book.keyed.get(cmd) == position, "receipts", f"the acknowledged command of {position} is lost")
        read: dict[str, Any] = stranger.verify(LOG, b"".join(self.counted))
        balances = {name: amount for name, amount in sorted(self.book.balances.items()) if amount}
        same = (read["size"], read["root"], read["balances"]) == (self.ledger.head.size, self.ledger.head.root, balances)
        require(same, "stranger", "who reads the log with other code finds another head or other balances")


def unbalanced(balances: Mapping[Account, int]) -> str:
    """What is wrong with balances at whatever moment; empty: nothing."""
    sums = Counter[str]()
    for account, amount in balances.items():
        asset, _, name = account.partition(":")
        sums[asset] += amount
        if name[:4] not in EITHER and (amount > 0) != (name[:4] in DEBIT):
            return f"{account} holds {amount}"
    return f"the balances sum to {dict(sums)}" if any(sums.values()) else ""
