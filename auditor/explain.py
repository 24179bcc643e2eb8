"""Explain: any amount as the tree of events, prices and shares that made it, from a bundle, offline.

A node's children either add up to its amount, which is shown, or have no amounts and tell why.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from auditor import story as stories
from auditor.sentences import money, sentence
from auditor.story import Story
from domain.event import Event, Recorded
from domain.market import bid
from domain.proof import audit, proof, ruling, verdict
from domain.treasury import batch, earnings, payout, stake
from domain.value import Value
from domain.work import job, task

CREDIT = ("2", "3", "4")
"""Accounts of these classes hold credits: what they owe or are is shown as a positive number."""


class Unknown(Exception):
    """The bundle has nothing of this name."""


class Node(Value, omit_defaults=True):
    """One line of an explanation."""

    text: str
    position: int = 0
    """Of the event that it is about."""
    asset: str = ""
    amount: str = ""
    """Minor units; empty if it is not about an amount. Credits of accounts that owe are positive."""
    shown: str = ""
    """The amount in the asset's unit."""
    adds_up: bool | None = None
    """Whether the children's amounts add up to this one's; none where that is not claimed."""
    children: tuple["Node", ...] = ()

    def json(self) -> bytes:
        return msgspec.json.encode(self)

    def text_lines(self, depth: int = 0) -> Iterable[str]:
        where = f"#{self.position}" if self.position else ""
        sums = {None: "", True: "  (adds up)", False: "  (DOES NOT ADD UP)"}[self.adds_up]
        yield f"{where:>8} {self.shown:>24}  {'  ' * depth}{self.text}{sums}".rstrip()
        for child in self.children:
            yield from child.text_lines(depth + 1)


class Tree(Value):
    """What was asked, explained."""

    what: str
    until: int
    """As of this position."""
    root: Node

    def json(self) -> bytes:
        return msgspec.json.encode(self)

    def text(self) -> str:
        return "\n".join(self.root.text_lines())


def explain(path: Path, what: str) -> Tree:
    """`what` is a money account (`usdc:2220.payable.account-12`), a position, or an account, job, task, worker, audit, payout, batch or
    deposit by its id; `@N` after it means as of position N. Raises `Unknown`, and `BadBundle`."""
    story = stories.read(path)
    name, _, at = what.partition("@")
    size = len(story.events)
    if at and not (at.isascii() and at.isdecimal() and 0 < int(at) <= size):
        raise Unknown(f"position {at} is not one of 1 to {size}")
    until = int(at or size)
    return Tree(name, until, Explainer(story, until).root(name))


class Explainer:
    """Builds nodes, as of a position."""

    def __init__(self, story: Story, until: int) -> None:
        self._story, self._until = story, until

    def root(self, what: str) -> Node:
        story = self._story
        if what in story.lines:
            return self.of_account(what)
        if what.isascii() and what.isdecimal() and 0 < int(what) <= self._until:
            return self.of_event(story.at(int(what)))
        kinds: dict[str, Callable[[str], Node]] = {
            "account": self.of_person,
            "worker": self.of_worker,
            "job": self.of_task if "/" in what else self.of_job,
            "bench": self.of_task,
            "audit": self.of_audit,
            "payout": self.of_payout,
            "batch": self.of_plain,
            "deposit": self.of_plain,
        }
        if what not in story.about or what.partition("-")[0] not in kinds or self._until < story.about[what][0].pos:
            raise Unknown(f"nothing in this bundle up to position {self._until} is about {what!r}")
        return kinds[what.partition("-")[0]](what)

    # Nodes.

    def node(self, text: str, amount: int | None = None, asset: str = "", position: int = 0, children: Sequence[Node] = ()) -> Node:
        """With an amount, its children that have one are to add up to it."""
        if amount is None:
            return Node(text, position, children=tuple(children))
        parts = [int(child.amount) for child in children if child.amount]
        shown = money(amount, asset, self._story.decimals.get(asset, 0))
        return Node(text, position, asset, str(amount), shown, sum(parts) == amount if parts else None, tuple(children))

    def said(self, it: Recorded[Event], children: Sequence[Node] = ()) -> Node:
        return self.node(sentence(it.event), position=it.pos, children=children)

    def about(self, subject: str, *kinds: type[Event]) -> list[Node]:
        """A sentence for each event about the subject."""
        events = [it for it in self._story.about.get(subject, ()) if it.pos <= self._until]
        return [self.said(it) for it in events if not kinds or isinstance(it.event, kinds)]

    def of_plain(self, subject: str) -> Node:
        return self.node(subject, children=self.about(subject))

    # Money accounts.

    def of_account(self, account: str) -> Node:
        """Its balance, as the sum of everything that was ever put there."""
        asset, _, name = account.partition(":")
        sign = -1 if name.startswith(CREDIT) else 1
        lines = [(it, sign * amount) for it, amount in self._story.lines[account] if it.pos <= self._until]
        children = [self.node(sentence(it.event), amount, asset, it.pos, self.why(it, account, amount)) for it, amount in lines]
        return self.node(f"{account} after {self._until} events", sum(amount for _, amount in lines), asset, 0, children)

    def why(self, it: Recorded[Event], account: str, amount: int) -> list[Node]:
        """What made one event's amount on an account."""
        asset, owner, event = account.partition(":")[0], account.rpartition(".")[2], it.event
        match event:
            case earnings.Matured() if ".payable." in account or ".accrued." in account:
                lines = [line for line in event.lines if line.account == owner]
                sign = 1 if amount > 0 else -1
                return [self.matured(line, asset, it.pos, sign) for line in lines if line.worker]
            case earnings.Matured():
                sign, part = (1 if amount > 0 else -1), "fee" if "fee" in account else "checkers"
                parts = [(line, sign * int(getattr(line, part))) for line in event.lines]
                return [self.node(f"of the price of {line.task}", value, asset) for line, value in parts if value]
            case earnings.Distributed() if ".checker-payable." in account:
                return self.pool(it.pos, asset, owner, amount)
            case ruling.Accepted():
                return [self.node("of which", children=[self.price(it.pos, event)])]
            case task.Leased():
                return self.lease(it.pos, event)
            case stake.Slashed():
                return self.about(event.audit, verdict.Revealed, audit.Closed)
            case job.Closed() if ".available." in account:
                return self.spent(event.job, event.asset, -int(event.refund), sign=-1)
            case job.Opened():
                return self.about(event.job, job.Quoted)
            case batch.MinedEvent():
                sign = 1 if amount > 0 else -1
                items = [item for item in (*event.paid, *event.failed) if owner in {item.account, item.payout}]
                return [self.node(f"{item.payout} of {item.account}", sign * int(item.amount), asset) for item in items]
            case _:
                return []

    def matured(self, line: earnings.MaturedLine, asset: str, position: int, sign: int = 1) -> Node:
        """A share that matured: what was earned, less what a conviction took of it."""
        children = list[Node]()
        for pos, event in self._story.of(ruling.Accepted, line.task):
            if pos < position and event.fence == line.fence:
                children.append(self.share(pos, event, sign))
        for pos, ended in self._story.of(task.Ended, line.task):
            if pos < position and ended.fee and ended.fence == line.fence:
                children.append(self.node(sentence(ended), sign * int(ended.fee), asset, pos))
        for it in self._story.about.get(line.account, ()):
            if isinstance(it.event, stake.Slashed) and it.pos < position:
                taken = sum(part.amount for part in it.event.taken if part.task == line.task)
                children += [self.node(sentence(it.event), -sign * taken, asset, it.pos)] if taken else []
        return self.node(f"the share of {line.task} matured", sign * int(line.worker), asset, position, children)

    def share(self, position: int, event: ruling.Accepted, sign: int = 1) -> Node:
        """A worker's share of a price."""
        text = f"the worker's share of {event.task}: {event.shares.worker} of {event.price}"
        why = [self.node("of which", children=[self.price(position, event)])]
        return self.node(text, sign * int(event.shares.worker), event.asset, position, why)

    def price(self, position: int, event: ruling.Accepted) -> Node:
        """A price as its shares, and how it came to be."""
        parts = event.shares
        shares = [
            self.node(f"to {event.owner}, whose {event.worker} did it", int(parts.worker), event.asset),
            self.node("to the checkers", int(parts.checkers), event.asset),
            self.node("to the platform", int(parts.fee), event.asset),
        ]
        leases = [(pos, it) for pos, it in self._story.of(task.Leased, event.task) if it.fence == event.fence and pos < position]
        why = [node for pos, it in leases for node in (self.said(self._story.at(pos)), *self.lease(pos, it))]
        why += [
            self.said(self._story.at(pos))
            for pos, it in self._story.of(proof.Committed, event.task)
            if it.fence == event.fence and not it.late
        ]
        why += self.about(event.audit, audit.RoundEvent, verdict.Revealed, audit.Closed) if event.audit else []
        return self.node(sentence(event), int(event.price), event.asset, position, [*shares, *why])

    def lease(self, position: int, event: task.Leased) -> list[Node]:
        """The bid that a price was made of."""
        bids = [
            (pos, it) for pos, it in self._story.of(bid.Set, event.worker) if it.cls == event.cls and pos < position and it.price_per_kwu
        ]
        if not bids:
            return []
        pos, it = bids[-1]
        text = f"{event.price} = ⌈{it.price_per_kwu} × {event.wu_milli} / 10⁶⌉ (bid per kWU × wu_milli)"
        return [self.node(text, children=[self.said(self._story.at(pos))])]

    def pool(self, position: int, asset: str, owner: str, amount: int) -> list[Node]:
        """What an owner had of the pool: his checkers' claims, and his part of the rest."""
        claims = [(claim, paid) for claim, paid in self._story.claims[position] if claim.account == owner]
        nodes = [self.node(f"a correct reveal by {claim.checker} claims {claim.amount}", paid, asset) for claim, paid in claims]
        if rest := amount - sum(paid for _, paid in claims):
            nodes.append(self.node("of the rest, by stake × time online", rest, asset))
        return nodes

    # Things.

    def of_person(self, id: str) -> Node:
        """All money accounts of an account, and its life."""
        owned = [name for name in self._story.lines if name.rpartition(".")[2] == id]
        return self.node(f"{id} after {self._until} events", children=[*map(self.of_account, owned), *self.about(id)])

    def of_worker(self, id: str) -> Node:
        accepted = [(pos, it) for pos, it in self._story.of(ruling.Accepted, id) if pos <= self._until]
        ended = [(pos, it) for pos, it in self._story.of(task.Ended, id) if it.fee and pos <= self._until]
        slashed = [(pos, it) for pos, it in self._story.of(stake.Slashed, id) if pos <= self._until]
        groups = list[Node]()
        for asset in dict.fromkeys([*(it.asset for _, it in accepted), *(it.asset for _, it in ended), *(it.asset for _, it in slashed)]):
            parts = [self.share(pos, it) for pos, it in accepted if it.asset == asset]
            parts += [self.node(sentence(it), int(it.fee), asset, pos) for pos, it in ended if it.asset == asset]
            groups.append(self.node(f"{id} earned", sum(int(part.amount) for part in parts), asset, 0, parts))
            costs = [
                self.node(sentence(it), int(it.from_stake + it.from_accrued), asset, pos, self.about(it.audit, verdict.Revealed))
                for pos, it in slashed
                if it.asset == asset
            ]
            groups.append(self.node(f"{id} was slashed", sum(int(cost.amount) for cost in costs), asset, 0, costs))
        return self.node(id, children=[*groups, *self.about(id)])

    def of_job(self, id: str) -> Node:
        """What was held, as what became of it."""
        submitted = self.about(id, job.Submitted, job.Quoted, job.Closing, job.Closed, job.Paused)
        held = [(pos, it) for pos, it in self._story.of(job.Opened, id) if pos <= self._until]
        if not held:
            return self.node(id, children=submitted)
        pos, event = held[0]
        return self.node(
            id, children=[self.node(sentence(event), int(event.hold), event.asset, pos, self.spent(id, event.asset)), *submitted]
        )

    def spent(self, id: str, asset: str, more: int = 0, sign: int = 1) -> list[Node]:
        """Where a job's escrow went. With `sign` -1 beside the hold, so that the sum is what was given back."""
        parts = list[Node]()
        for it in self._story.about[id]:
            if it.pos > self._until:
                break
            if isinstance(it.event, ruling.Accepted):
                parts.append(self.node(sentence(it.event), sign * int(it.event.price), asset, it.pos, [] if sign < 0 else self._shares(it)))
            elif isinstance(it.event, task.Ended) and it.event.fee:
                parts.append(self.node(sentence(it.event), sign * int(it.event.fee), asset, it.pos))
            elif isinstance(it.event, job.Opened) and sign < 0:
                parts.append(self.node(sentence(it.event), int(it.event.hold), asset, it.pos))
            elif isinstance(it.event, job.Closed) and sign > 0 and it.event.refund:
                parts.append(self.node(sentence(it.event), int(it.event.refund), asset, it.pos))
        tasks = [name for name in self._story.lines if name.startswith((f"{asset}:2120.task.{id}/", f"{asset}:2120.unallocated.{id}"))]
        left = [(name, -self._story.balance(name, self._until)) for name in tasks if name.rpartition(".")[2].partition("/")[0] == id]
        return parts + ([self.node(f"still in {name}", amount, asset) for name, amount in left if amount] if sign > 0 else [])

    def _shares(self, it: Recorded[Event]) -> list[Node]:
        assert isinstance(it.event, ruling.Accepted)
        return list(self.price(it.pos, it.event).children[:3])

    def of_task(self, id: str) -> Node:
        """Every attempt in order; what was paid as its shares."""
        children = list[Node]()
        for it in self._story.about[id]:
            if it.pos > self._until:
                break
            match it.event:
                case ruling.Accepted() as event:
                    children.append(self.price(it.pos, event))
                case task.Leased() as event:
                    children.append(self.said(it, self.lease(it.pos, event)))
                case earnings.Matured() as event:
                    children += [self.matured(line, event.asset, it.pos) for line in event.lines if line.task == id]
                case stake.Slashed() as event:
                    amount = int(event.from_stake + event.from_accrued)
                    children.append(self.node(sentence(event), amount, event.asset, it.pos))
                case _:
                    children.append(self.said(it))
        return Node(id, children=tuple(children))

    def of_audit(self, id: str) -> Node:
        opened = self._story.of(audit.Opened, id)
        proved = self.about(opened[0][1].task, proof.Committed) if opened else []
        return self.node(id, children=[*proved, *self.about(id)])

    def of_payout(self, id: str) -> Node:
        """Where it came from, and what became of it."""
        [(pos, event), *_] = self._story.of(payout.Requested, id)
        source = payout.source(event.asset, event.account, event.kind)
        children = [Explainer(self._story, pos - 1).of_account(source), *self.about(id)]
        signed = [(it, it.event) for it in self._story.events[pos : self._until] if isinstance(it.event, batch.Signed)]
        children += [self.said(it, self.about(event_.batch, batch.MinedEvent)) for it, event_ in signed if id in event_.payouts]
        return Node(sentence(event), pos, event.asset, str(int(event.amount)), self._shown(event), None, tuple(children))

    def _shown(self, event: payout.Requested) -> str:
        return money(int(event.amount), event.asset, self._story.decimals.get(event.asset, 0))

    def of_event(self, it: Recorded[Event]) -> Node:
        """One event: its entry, line by line, which comes to nothing."""
        lines = [self._line(it, account, int(amount)) for account, amount in it.entry]
        return self.node(f"{sentence(it.event)} (by {it.by})", position=it.pos, children=lines)

    def _line(self, it: Recorded[Event], account: str, amount: int) -> Node:
        asset, _, name = account.partition(":")
        credit = name.startswith(CREDIT)
        shown = -amount if credit else amount
        return self.node(f"{account}: {'credit' if amount < 0 else 'debit'}", shown, asset, 0, self.why(it, account, shown))
