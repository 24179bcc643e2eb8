"""Every decision made again: what was asked is read off a command's first event, or off the world where it was the house's turn, and
what the domain's rules answer is laid beside what the log says, field by field.

The world goes on with what the log says, so that one wrong event is one finding, as far as it can be.
"""

from collections.abc import Iterator, Sequence

from auditor.checks import batches, commands, draws
from auditor.checks.signatures import Signatures
from auditor.reading import Taken
from auditor.report import Findings
from auditor.state import State
from domain.errors import MoneyFrozen, NotAllowed, Refused, SealBroken, VerdictNotByRule
from domain.event import Event, Origin, Recorded
from domain.house import house, invariants, override
from domain.house import ledger as ledger_events
from domain.house.ledger import STEERING
from domain.ids import HOUSE, NO_ACCOUNT, AccountId, Actor, WorkerId, command_id
from domain.log.ledger import FULL_BYTES
from domain.market import worker
from domain.policy import SECOND
from domain.proof import audit, beacon, bench, ruling, verdict
from domain.treasury import account, batch, earnings, stake
from domain.work import job, task
from domain.world import World

BY_EVENT: dict[type[Event], str] = {
    task.Leased: "matching",
    job.Quoted: "quotes",
    beacon.Drawn: "beacons",
    batch.Signed: "batches",
    override.Applied: "freezes",
    audit.Opened: "lottery",
    audit.SecondLook: "lottery",
    audit.Widened: "tallies",
    audit.Closed: "tallies",
    verdict.Revealed: "seals",
    ruling.Accepted: "shares",
    ruling.Rejected: "tallies",
    stake.Slashed: "slashes",
    worker.Quarantined: "slashes",
    bench.Opened: "scores",
    bench.Scored: "scores",
    earnings.Matured: "maturity",
    earnings.Distributed: "pool",
    job.Closing: "jobs",
    job.Closed: "jobs",
    job.Archived: "jobs",
    job.Paused: "jobs",
}
"""Which check an event belongs to; the rest is `authority`, or `house` if it is the house's."""

BY_FIELD = {
    **dict.fromkeys(("regions", "drawn_regions"), "regions"),
    **dict.fromkeys(("checkers", "drawn_checkers"), "checkers"),
    **dict.fromkeys(("p_ppm", "u"), "lottery"),
}
"""Which check some of the fields of draws belong to."""

BY_REFUSAL: dict[type[Refused], str] = {
    **dict.fromkeys((SealBroken, VerdictNotByRule), "seals"),
    NotAllowed: "lifecycles",
    MoneyFrozen: "freezes",
}
CLOCKS_US = 5 * SECOND
"""So far the clocks of a ledger may be apart (LOG.md §7)."""
LOOK_EVERY = 10_000
"""Events after which the whole world is looked at."""
NOT_DECIDED = {"parameters"}
"""What the world cannot know beforehand: a policy's numbers are the admins' choice, and signed by them."""


class Decisions:
    """A world that follows the log. `lost` when the log did what no world can follow."""

    def __init__(self, findings: Findings, state: State) -> None:
        self.lost = False
        self._findings, self._state, self._signatures = findings, state, Signatures(findings, state)
        self._looked = state.head.size

    @property
    def world(self) -> World:
        return self._state.world

    def take(self, taken: Taken) -> None:
        """The next block."""
        if self.lost or taken.events is None:
            self.lost = True
            return
        try:
            self._block(taken.events, sum(map(len, taken.block.lines)) + len(taken.block.lines))
        except _Lost:
            self.lost = True
            return
        self._state.end(taken)
        if taken.block.after.size // LOOK_EVERY > taken.before.size // LOOK_EVERY:
            self._look()

    def finish(self) -> None:
        """After the last block."""
        if not self.lost and self._looked != self._state.head.size:
            self._look()

    def _look(self) -> None:
        """At all of the world."""
        self._looked = self._state.head.size
        try:
            for breach in invariants.breaches(self.world):
                self._findings.seen["invariants"] += 1
                if breach:
                    what, expected, actual = f"{breach.subject}: {breach.what}", breach.expected, breach.actual
                    self._findings.found("invariants", what, self._looked, expected=expected, actual=actual, about=what)
        except Exception as error:
            self._findings.found("invariants", f"no world is so: {error!r}", self._looked)

    def _block(self, events: Sequence[Recorded[Event]], size: int) -> None:
        at_us, asked = events[0].at_us, sum(it.by != HOUSE for it in events)
        chores: Iterator[house.Chore] | None = None
        steered = events[0].pos == 1 or isinstance(events[0].event, STEERING)
        for command in _commands(events):
            if command[0].pos == 1:
                self._begin(command)
            elif isinstance(event := command[0].event, STEERING):
                self._steer(command, event)
            elif command[0].by == HOUSE:
                chores = chores or house.chores(self.world, at_us, asked)
                if not self._chore(command, chores):
                    chores = None
            elif chores is not None:
                self._findings.found("house", "the house has its turn after all others", command[0].pos, actual=command[0].by)
                self._outside(command)
            else:
                self._outside(command)
        if not steered and size < FULL_BYTES:
            self._owed(chores or house.chores(self.world, at_us, asked), events[-1].pos)

    def _begin(self, command: Sequence[Recorded[Event]]) -> None:
        """The first block: its facts are what everything else is judged by, its form is not free."""
        first = command[0]
        origin = Origin(command_id(HOUSE, "genesis"), HOUSE, first.at_us, first.pos)
        if (first.cmd, first.by) != (origin.cmd, HOUSE):
            self._findings.found("commands", "not the command that begins a log", 1, expected=origin.cmd, actual=first.cmd)
        try:
            asked = commands.begun([it.event for it in command])
            if asked.log != self._state.head.log:
                expected, actual = self._state.head.log, asked.log
                self._findings.found("authority", "the log's name", 1, expected=expected, actual=actual)
        except (ValueError, TypeError, IndexError) as error:
            self._findings.found("authority", f"a log does not begin so: {error}", 1, actual=first.event)
            self._follow(None, command, first)
        else:
            self._follow(asked.decide(self.world, origin), command, first)

    def _steer(self, command: Sequence[Recorded[Event]], event: Event) -> None:
        """Anybody may lead, or move the log, who can write; it is a block of its own, and a bind is to the home that the seal named."""
        first = command[0]
        match event:
            case ledger_events.LeaderElected():
                key = f"elect/{event.leader}"
                expected: Event = ledger_events.LeaderElected(event.leader, first.at_us + self.world.policy.grace_us)
            case ledger_events.Sealed():
                key, expected = f"seal/{event.sealer}", event
            case _:
                key, expected = f"bind/{self.world.heir}", ledger_events.Bound(self.world.heir)
        cmd = command_id(HOUSE, f"{key}/{first.pos}")
        if (first.cmd, first.by, len(command)) != (cmd, HOUSE, 1):
            self._findings.found("commands", f"not the command of {event.verb()}", first.pos, expected=cmd, actual=first.cmd)
        self._follow(iter((expected,)), command, first)

    def _chore(self, command: Sequence[Recorded[Event]], chores: Iterator[house.Chore]) -> bool:
        """A command of the house, beside the one that is due now. Whether it was that one."""
        first = command[0]
        self._findings.seen["house"] += 1
        due = self._next_chore(chores, first.pos)
        if due is None:
            message = f"{first.event.verb()}: nothing was due"
            self._findings.found(_check(first.event, "house"), message, first.pos, actual=first.event)
            self._follow(None, command, first)
            return False
        key, asked = due
        origin = Origin(command_id(HOUSE, key), HOUSE, first.at_us, first.pos)
        if first.cmd != origin.cmd:
            message = f"the house was to do {key} now"
            self._findings.found(_check(first.event, "house"), message, first.pos, expected=key, actual=first.event)
            self._follow(None, command, first)
            return False
        self._follow(asked.decide(self.world, origin), command, first)
        return True

    def _next_chore(self, chores: Iterator[house.Chore], pos: int) -> house.Chore | None:
        try:
            return next(chores, None)
        except Exception as error:
            self._findings.found("lifecycles", f"no world can go on from here: {error!r}", pos)
            raise _Lost from error

    def _owed(self, chores: Iterator[house.Chore], pos: int) -> None:
        if due := self._next_chore(chores, pos):
            self._findings.found("house", "the house left out what was due in this block", pos, expected=due[0])

    def _outside(self, command: Sequence[Recorded[Event]]) -> None:
        first = command[0]
        self._findings.seen["authority"] += 1
        try:
            asked = commands.asked(first.event, self.world, first.by)
        except (ValueError, KeyError) as error:
            asked = None
            self._findings.found("authority", f"no lawful command: {_reason(error)}", first.pos, actual=first.event)
        else:
            if asked is None:
                message = f"{first.event.verb()} is not for {first.by} to bring about"
                self._findings.found(_check(first.event, "authority"), message, first.pos, actual=first.event)
        self._follow(asked.decide(self.world, self._origin(first)) if asked else None, command, first)

    def _origin(self, first: Recorded[Event]) -> Origin:
        by, account_ = first.by, NO_ACCOUNT
        if isinstance(first.event, account.Opened):
            by = Actor(f"key-{first.event.keys[0].key if first.event.keys else ''}")
        elif by.startswith("worker-"):
            account_ = self.world.workers[WorkerId(by)].owner if WorkerId(by) in self.world.workers else NO_ACCOUNT
        elif by != HOUSE:
            account_ = AccountId(by)
        signer, approver = self._signatures.take(first, self.world)
        return Origin(first.cmd, by, first.at_us, first.pos, account_, signer, approver)

    def _follow(self, answers: Iterator[Event] | None, command: Sequence[Recorded[Event]], first: Recorded[Event]) -> None:
        """What the rules answer, event by event, beside what the log has; the log's is applied."""
        for it in command:
            expected, going = self._answer(answers, it) if answers else (None, False)
            if answers and expected is None and going:
                self._findings.found(_check(it.event, "authority"), "nothing more was to follow", it.pos, actual=it.event)
            self._recompute(it)
            if not going or expected is None or not self._same(expected, it):
                answers = None
            if it.by != first.by:
                self._findings.found("commands", "a command has one actor", it.pos, expected=first.by, actual=it.by)
            self._apply(it)
        if answers:
            missing, going = self._answer(answers, command[-1])
            if missing and going:
                self._findings.found(_check(missing, "authority"), "this should have followed", command[-1].pos, expected=missing)

    def _answer(self, answers: Iterator[Event], it: Recorded[Event]) -> tuple[Event | None, bool]:
        """The next answer, and whether there was one to be had."""
        try:
            return next(answers, None), True
        except Refused as refusal:
            check = BY_REFUSAL.get(type(refusal), _check(it.event, "authority"))
            self._findings.found(check, f"to be refused ({refusal.code}): {refusal}", it.pos, actual=it.event)
        except Exception as error:
            self._findings.found("lifecycles", f"no rule leads here: {error!r}", it.pos, actual=it.event)
        return None, False

    def _recompute(self, it: Recorded[Event]) -> None:
        try:
            match it.event:
                case batch.Signed():
                    batches.check(it.pos, it.event, self.world, self._findings)
                case batch.MinedEvent():
                    batches.mined(it.pos, it.event, self._state.signed.get(it.event.batch, ()), self._findings)
                case beacon.Drawn():
                    self._sealed(it.pos, it.event)
                case worker.Offline(reason="silent"):
                    self._silent(it, it.event)
            for value in draws.recompute(it.event, self.world):
                self._findings.seen[value.check] += 1
                if value.expected != value.actual:
                    self._findings.found(value.check, value.what, it.pos, expected=value.expected, actual=value.actual)
        except (LookupError, StopIteration, AssertionError, ArithmeticError, ValueError, RuntimeError) as error:
            self._findings.found("lifecycles", f"{it.event.verb()} of what is not there: {error!r}", it.pos, actual=it.event)

    def _same(self, expected: Event, it: Recorded[Event]) -> bool:
        """Whether the events are of one type; each field that differs is a finding."""
        actual = it.event
        check = _check(actual, "authority" if it.by != HOUSE else "house")
        self._findings.seen[check] += 1
        if type(expected) is not type(actual):
            self._findings.found(check, "another event should be here", it.pos, expected=expected, actual=actual)
            return False
        if expected == actual:
            return True
        for name in expected.__struct_fields__:
            mine, theirs = getattr(expected, name), getattr(actual, name)
            if mine != theirs and name not in NOT_DECIDED:
                self._findings.found(BY_FIELD.get(name, check), name, it.pos, expected=mine, actual=theirs)
        return True

    def _sealed(self, pos: int, event: beacon.Drawn) -> None:
        """A beacon's sealed head is the log's own after the last block with a time up to the grid time."""
        self._findings.seen["beacons"] += 1
        size, root = self._state.seals.at(event.grid_us)
        if (event.sealed_size, event.sealed_root) != (size, root):
            expected, actual = f"size {size} root {root}", f"size {event.sealed_size} root {event.sealed_root}"
            self._findings.found("beacons", "sealed head", pos, expected=expected, actual=actual)

    def _silent(self, it: Recorded[Event], event: worker.Offline) -> None:
        """Whoever is put offline was not heard of for as long as the policy says, by clocks that differ by no more than they may."""
        until_us = event.last_seen_us + self.world.policy.presence_us - CLOCKS_US
        if it.at_us < until_us:
            message = f"{event.worker} was not silent for so long"
            self._findings.found("authority", message, it.pos, expected=f"not before {until_us}", actual=it.at_us)

    def _apply(self, it: Recorded[Event]) -> None:
        version = self.world.versions.get(it.stream, 0) + 1
        if it.ver != version:
            self._findings.found("positions", f"versions of {it.stream} are not dense", it.pos, expected=version, actual=it.ver)
        self._findings.seen["lifecycles"] += 1
        try:
            self._state.follow(it)
        except Exception as error:
            self._findings.found("lifecycles", f"{it.event.verb()} cannot happen here: {error!r}", it.pos, actual=it.event)
            raise _Lost from error


class _Lost(Exception):
    """The world cannot follow the log any further."""


def _commands(events: Sequence[Recorded[Event]]) -> Iterator[Sequence[Recorded[Event]]]:
    start = 0
    while start < len(events):
        count = max(1, events[start].of[1])
        yield events[start : start + count]
        start += count


def _check(event: Event, otherwise: str) -> str:
    return BY_EVENT.get(type(event), otherwise)


def _reason(error: ValueError | KeyError) -> str:
    """In one line, with the fields that would not have been taken."""
    listed = getattr(error, "errors", None)
    return "; ".join(f"{'.'.join(map(str, it['loc']))}: {it['msg']}" for it in listed()) if listed else repr(error)
