"""What clients asked and were told, and whether the log agrees. The checker of every fault: it knows nothing of the server.

A client notes each attempt and what came of it: done (with the receipt), refused, or unknown. Then the log is read, and for each
command: acknowledged ones are in it exactly once, byte for byte as told; refused ones are not; unknown ones at most once and whole; and
there is nothing that nobody asked for.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from domain.event import Event, Recorded
from domain.house import invariants
from domain.ids import CommandId, LogId
from domain.log import wire
from domain.log.ledger import Ledger
from domain.log.merkle import Head


class Deed(msgspec.Struct):
    """One command, however often it was asked for under its key."""

    cmd: CommandId
    receipts: list[tuple[bytes, ...]] = []
    refusals: list[str] = []
    unknown: list[str] = []
    """Why, for each attempt that came to nothing that one could know."""

    @property
    def settled(self) -> bool:
        return bool(self.receipts or self.refusals)


class History:
    """Deeds in the order in which they were asked first."""

    def __init__(self) -> None:
        self.deeds: dict[CommandId, Deed] = {}

    def of(self, cmd: CommandId) -> Deed:
        return self.deeds.setdefault(cmd, Deed(cmd))

    @property
    def counts(self) -> dict[str, int]:
        found = Counter[str]()
        for deed in self.deeds.values():
            found["commands"] += 1
            found["acknowledged"] += bool(deed.receipts)
            found["receipts compared"] += len(deed.receipts)
            found["refused"] += bool(deed.refusals)
            found["unknown at least once"] += bool(deed.unknown)
            found["unknown for ever"] += not deed.settled
        return dict(found)

    def findings(self, lines: Sequence[bytes], *, alone: bool = True) -> list[str]:
        """What the log, event by event, says otherwise. `alone`: nobody else sent keyed commands."""
        logged = defaultdict[CommandId, list[tuple[bytes, Recorded[Event]]]](list)
        for line in lines:
            recorded = wire.event(line)
            logged[recorded.cmd].append((line, recorded))
        found = [finding for deed in self.deeds.values() for finding in _of_deed(deed, logged.get(deed.cmd, []))]
        for cmd, events in logged.items() if alone else ():
            if cmd not in self.deeds and events[0][1].body:
                found.append(f"{cmd} at {events[0][1].pos} was asked for by nobody")
        return found


def _of_deed(deed: Deed, logged: list[tuple[bytes, Recorded[Event]]]) -> Iterator[str]:
    told = {receipt for receipt in deed.receipts if receipt}
    where = [recorded.pos for _, recorded in logged]
    if deed.receipts and deed.refusals:
        yield f"{deed.cmd} was done and was refused: {deed.refusals}"
    if len(told) > 1:
        yield f"{deed.cmd} was answered with {len(told)} different receipts"
    if deed.refusals and not deed.receipts and logged:
        yield f"{deed.cmd} was refused ({deed.refusals[0]}) and is in the log at {where}"
    for receipt in told:
        if not logged:
            yield f"{deed.cmd} was acknowledged and is not in the log"
        elif receipt != tuple(line for line, _ in logged):
            yield f"{deed.cmd} was acknowledged as {len(receipt)} events and is in the log as {len(logged)}, at {where}"
    if logged and [recorded.of for _, recorded in logged] != [(n, len(logged)) for n in range(1, len(logged) + 1)]:
        yield f"{deed.cmd} is in the log more than once, or not whole, at {where}"


def replayed(log: LogId, records: Iterable[bytes]) -> tuple[Ledger, list[bytes], list[str]]:
    """The ledger that the records make, its events' lines, and what is wrong with its world."""
    ledger, lines = Ledger(Head(log)), list[bytes]()
    for record in records:
        lines += ledger.fold(record).block.lines
    return ledger, lines, [str(breach) for breach in invariants.breaches(ledger.world) if breach]
