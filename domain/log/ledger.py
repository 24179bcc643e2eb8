"""The ledger: its world, its head, the commands it remembers. Pure; the sequencer around it owns time and the log.

Two ways in, one fold: `decide` turns commands into pending lines, `fold` takes records of the log. After either, world, head and
receipts are the same; that is the property `replay equals live`.

A command's events are applied one by one, while it decides, so it cannot be taken back. Therefore whatever may refuse it does so
before its first event. The limits, too: what a caller can make large is the command itself, and that goes into its first event, whose
line is measured before it is applied. The events that follow come from what is in the world; commands keep them few (lists of 100,
64 timers a block, sets instead of members). One that does not, or that fails half-way, is a fault of ours: the ledger is `spoiled`,
and is to be built anew from the log, which has none of it.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from domain.accounts import is_balanced
from domain.errors import CommandTooLarge, Refused
from domain.event import Command, Event, Origin, Recorded
from domain.house import house
from domain.house import ledger as house_ledger
from domain.ids import HOUSE, CommandId, account_id, command_id
from domain.log import wire
from domain.log.block import LINE_BYTES_MAX, Block, Broken, Kind, Sealed, accept, seal
from domain.log.merkle import Head
from domain.log.receipts import Ask, Done, Receipt, Receipts
from domain.value import Value
from domain.world import World

COMMAND_EVENTS_MAX, COMMAND_BYTES_MAX = 1_000, 256 * 1024
FULL_BYTES = 600_000
"""Of pending lines: nothing more is decided into a block then. What the last command adds still fits (domain/log/block.py)."""
PASSED_MAX = 2_048
"""Heads that are remembered, the empty one included."""
COUNT_BYTES = 3
"""A line may grow by this when the number of the command's events is known: `[1,1]` becomes `[1,1000]`."""


class NotOpened(Exception):
    """The log has no first block yet."""


class Moved(Exception):
    """The log is sealed: the ledger goes on elsewhere, or is to be bound before anything is written."""


class Folded(Value):
    """A block of the log that the ledger took."""

    block: Block
    events: list[Recorded[Event]]


class Ledger(Struct):
    head: Head
    """After the last block that was sealed or folded."""
    world: World = msgspec.field(default_factory=World)
    receipts: Receipts = msgspec.field(default_factory=Receipts)
    at_us: int = 0
    """Time of the last block, the pending one included."""
    pending: list[bytes] = []
    pending_bytes: int = 0
    spoiled: bool = False
    """A command failed half-way: this ledger is of no use any more."""
    passed: list[Head] = []
    """Heads on the way here, the empty one first: whoever reads an earlier part of the log begins at one of them."""
    stride: int = 1_000
    """Events between two of them; twice as many each time there are too many of them."""

    def __post_init__(self) -> None:
        if not self.passed:
            self.passed = [self.head]

    @property
    def full(self) -> bool:
        return self.pending_bytes >= FULL_BYTES

    def genesis(self, command: Command, now_us: int) -> Sealed:
        """The first block: the events of `command` and nothing else."""
        assert self.head.size == 0, "a ledger is opened once"
        self._carry_out(command, Origin(command_id(HOUSE, "genesis"), HOUSE, now_us, 1))
        assert self.world.log == self.head.log, "the first event names the log that the headers name"
        return self._seal_pending()

    def decide(self, ask: Ask, now_us: int) -> Receipt:
        """Decide one command. Its events wait in `pending` for the next `seal`; a refusal changes nothing. Raises `Refused`."""
        self._require_open()
        at_us, pos = self._next(now_us)
        if ask.key_us is not None:
            if done := self.receipts.get(ask):
                return self._receipt(done)
            self.receipts.guard(ask.key_us, at_us)
        origin = Origin(ask.cmd, ask.actor, at_us, pos, ask.account, ask.signer, ask.approver)
        lines = self._carry_out(ask.command, origin, ask.body)
        return Receipt(pos, len(lines), tuple(lines)) if lines else Receipt(pos - 1, 0)

    def seal(self, now_us: int) -> Sealed | None:
        """The block of all that is pending and of what the house adds to it; None if there is nothing. Whoever asks for it appends
        it, and answers nobody before the log has it."""
        at_us, _ = self._next(now_us)
        chores = house.chores(self.world, at_us, len(self.pending))
        while not self.full and (chore := next(chores, None)):
            key, command = chore
            self._carry_out(command, Origin(command_id(HOUSE, key), HOUSE, at_us, self._next(now_us)[1]))
        return self._seal_pending() if self.pending else None

    def election(self, leader: str, now_us: int) -> Sealed:
        """A block that makes `leader` the leader. The ledger takes it when it reads it back from the log."""
        self._require_open()
        grace_us = self._next(now_us)[0] + self.world.policy.grace_us
        return self._alone(house_ledger.LeaderElected(leader, grace_us), f"elect/{leader}", now_us, "block")

    def ending(self, sealer: str, home: str, reason: Literal["moved", "lost"], now_us: int) -> Sealed:
        """A block that seals the log, which is to go on at `home`. The ledger takes it when it reads it back."""
        self._require_open()
        return self._alone(house_ledger.Sealed(sealer, home, reason), f"seal/{sealer}", now_us, "seal")

    def binding(self, now_us: int) -> Sealed:
        """A block behind the seal: the log goes on at the home that the seal names. Likewise."""
        assert self.head.sealed, "only a sealed log is bound again"
        return self._alone(house_ledger.Bound(self.world.heir), f"bind/{self.world.heir}", now_us, "bind")

    def fold(self, record: bytes) -> Folded:
        """Take a record of the log. Raises `Void` if it does not count, `Broken` or `Diverged` if nobody may go on from here."""
        assert not self.pending
        block = accept(self.head, record)
        events, before_us = wire.events(block), self.at_us
        if events[0].at_us <= before_us or any(each.at_us != events[0].at_us for each in events):
            raise Broken(f"times from position {block.start} on are not one time per block, and later than the last")
        if not whole(events):
            raise Broken(f"the commands from position {block.start} on are not whole")
        if fault := misplaced(self.head, block.after, self.world.heir, [each.event for each in events]):
            raise Broken(f"the block from position {block.start} on {fault}")
        for recorded in events:
            if recorded.ver != self._version(recorded.stream) or recorded.stream != recorded.event.stream:
                raise Broken(f"position {recorded.pos} is not the next event of its stream")
            if not is_balanced(recorded.entry):
                raise Broken(f"the entry of position {recorded.pos} does not balance")
            self._apply(recorded)
            self._remember(recorded)
        self._end(block.after)
        return Folded(block, events)

    def _require_open(self) -> None:
        """Raises `NotOpened`, `Moved` where nothing can be decided."""
        if self.head.size == 0:
            raise NotOpened
        if self.head.sealed:
            raise Moved(f"the log was sealed at size {self.head.size}: the ledger goes on at {self.world.heir}")

    def _alone(self, event: Event, key: str, now_us: int, kind: Kind) -> Sealed:
        """A block of one event, which is not applied."""
        assert not self.pending
        at_us, pos = self._next(now_us)
        origin = Origin(command_id(HOUSE, f"{key}/{pos}"), HOUSE, at_us, pos)
        return seal(self.head, [wire.encode(self._record(event, origin, 1, ""))], kind)

    def _next(self, now_us: int) -> tuple[int, int]:
        """Time and position of the next event: one time per block, later than the last block's."""
        at_us = self.at_us if self.pending else max(now_us, self.at_us + 1)
        return at_us, self.head.size + len(self.pending) + 1

    def _receipt(self, done: Done) -> Receipt:
        first = done.position - self.head.size - 1
        return Receipt(done.position, done.count, tuple(self.pending[first : first + done.count]) if first >= 0 else ())

    def _carry_out(self, command: Command, origin: Origin, body: str = "") -> list[bytes]:
        """Applies the command's events, and returns their lines."""
        done, lines, size = list[Recorded[Event]](), list[bytes](), 0
        try:
            for event in command.decide(self.world, origin):
                recorded = self._record(event, origin, len(done) + 1, body)
                line = wire.encode(recorded)
                size += len(line) + COUNT_BYTES + 1
                measure(len(done) + 1, len(line) + COUNT_BYTES, size)
                self.spoiled = True
                self._apply(recorded)
                done.append(recorded)
                lines.append(line)
        except Refused as refusal:
            if done:
                raise AssertionError(f"{type(command)} refused after its first event") from refusal
            raise
        if len(done) > 1:
            done = [msgspec.structs.replace(each, of=(each.of[0], len(done))) for each in done]
            lines = [wire.encode(each) for each in done]
        for recorded in done:
            self._remember(recorded)
        self.pending += lines
        self.pending_bytes += sum(map(len, lines)) + len(lines)
        self.spoiled = False
        return lines

    def _record(self, event: Event, origin: Origin, which: int, body: str) -> Recorded[Event]:
        stream, entry = event.stream, event.entry()
        assert is_balanced(entry), f"{event} does not balance: {entry}"
        by = account_id(origin.pos) if origin.actor.startswith("key-") else origin.actor
        where = origin.pos + which - 1, stream, self._version(stream), origin.at_us
        return Recorded(*where, origin.cmd, (which, which), by, event, entry, body if which == 1 else "")

    def _version(self, stream: str) -> int:
        return self.world.versions.get(stream, 0) + 1

    def _apply(self, recorded: Recorded[Event]) -> None:
        world = self.world
        if recorded.at_us != self.at_us:
            self.at_us = recorded.at_us
            world.begin_block(recorded.at_us)
        world.begin_event(recorded.pos, recorded.at_us)
        world.versions[recorded.stream] = recorded.ver
        world.post(recorded.entry)
        recorded.event.apply(world)

    def _remember(self, recorded: Recorded[Event]) -> None:
        if recorded.body:
            self.receipts.take(recorded.cmd, Done(recorded.pos, recorded.of[1], recorded.body), recorded.at_us)

    def _seal_pending(self) -> Sealed:
        sealed = seal(self.head, self.pending)
        self.pending, self.pending_bytes = [], 0
        self._end(sealed.after)
        return sealed

    def _end(self, after: Head) -> None:
        self.head = after
        if after.size >= self.passed[-1].size + self.stride:
            self.passed.append(after)
            if len(self.passed) > PASSED_MAX:
                del self.passed[1::2]
                self.stride *= 2
        self.world.end_block(self.at_us, after.size, after.root)


def measure(which: int, line: int, size: int) -> None:
    """Whether a command's event number `which`, a line of so many bytes, is within the limits; `size` is of all up to it."""
    if line <= LINE_BYTES_MAX and size <= COMMAND_BYTES_MAX and which <= COMMAND_EVENTS_MAX:
        return
    if which == 1:
        raise CommandTooLarge(size=f"a line of {line} bytes", maximum=LINE_BYTES_MAX)
    raise AssertionError(f"a command made {which} events of {size} bytes, the last of {line}")


def misplaced(before: Head, after: Head, heir: str, events: Sequence[Event]) -> str:
    """What is wrong with a block whose kind and events do not say the same: a seal seals, a bind binds to the home that the seal named, and
    no other block does either; empty if nothing is."""
    said = [each for each in events if isinstance(each, (house_ledger.Sealed, house_ledger.Bound))]
    if after.sealed:
        return "" if [type(each) for each in events] == [house_ledger.Sealed] else "seals the log, and its events do not"
    if before.sealed:
        return "" if list(events) == [house_ledger.Bound(heir)] else f"does not bind the sealed log to {heir}"
    return "seals or binds the log, and is of another kind" if said and before.size else ""


def whole(events: list[Recorded[Event]]) -> bool:
    """Whether every command is there from its first event to its last."""
    which, count, cmd = 0, 0, CommandId("")
    for each in events:
        if which == count:
            which, count, cmd = 0, each.of[1], each.cmd
        which += 1
        if each.of != (which, count) or each.cmd != cmd:
            return False
    return which == count
