"""A log read once and laid out by what its events are about: accounts, tasks, audits, payouts."""

from collections import defaultdict
from pathlib import Path
from typing import TypeVar

from auditor.bundle import BadBundle, Bundle
from auditor.checks.forms import Forms
from auditor.reading import Reader
from auditor.report import Findings
from auditor.state import State
from domain.event import Event, Recorded
from domain.house import rules
from domain.parts import CheckClaim
from domain.treasury import earnings
from domain.units import split
from domain.world import World

E = TypeVar("E", bound=Event)
SUBJECTS = ("task", "audit", "job", "worker", "checker", "payout", "batch", "deposit", "account", "beacon")
"""Fields of events that say what they are about."""


class Story:
    """Events by position and by what they name, and the entries on every money account."""

    def __init__(self) -> None:
        self.events: list[Recorded[Event]] = []
        self.lines: dict[str, list[tuple[Recorded[Event], int]]] = defaultdict(list)
        """By money account: what each event put there, debits positive."""
        self.about: dict[str, list[Recorded[Event]]] = defaultdict(list)
        self.decimals: dict[str, int] = {}
        self.claims: dict[int, list[tuple[CheckClaim, int]]] = {}
        """By position of a pool's distribution: the claims on it, and what each was paid."""
        self.policies: list[tuple[int, str]] = []
        self._world = World()

    def take(self, it: Recorded[Event]) -> None:
        self.events.append(it)
        for name in SUBJECTS:
            if subject := getattr(it.event, name, ""):
                self.about[subject].append(it)
        if isinstance(it.event, earnings.Matured):
            for line in it.event.lines:
                self.about[line.task].append(it)
        for account, amount in it.entry:
            self.lines[account].append((it, int(amount)))
        if isinstance(it.event, rules.AssetListed):
            self.decimals[it.event.asset] = it.event.decimals
        if isinstance(it.event, earnings.Distributed):
            self._pool(it, it.event)
        self._world.begin_event(it.pos, it.at_us)
        self._world.versions[it.stream] = it.ver
        self._world.post(it.entry)
        it.event.apply(self._world)

    def begin(self, at_us: int) -> None:
        self._world.begin_block(at_us)

    def end(self, at_us: int, size: int, root: str) -> None:
        self._world.end_block(at_us, size, root)

    def _pool(self, it: Recorded[Event], event: earnings.Distributed) -> None:
        """First every claim, scaled down when the pool is short (DOMAIN.md §1 *Checker pay*)."""
        claims = [claim for claim in self._world.claims.get(event.asset, []) if claim.checker not in self._world.barred]
        whole = -self._world.balances.get(f"{event.asset}:2245.pool", 0)  # type: ignore[call-overload]
        asked = [claim.amount for claim in claims]
        paid = split(whole, asked) if sum(asked) > whole else asked
        self.claims[it.pos] = [(claim, int(part)) for claim, part in zip(claims, paid, strict=True)]

    def at(self, position: int) -> Recorded[Event]:
        return self.events[position - 1]

    def of(self, kind: type[E], subject: str) -> list[tuple[int, E]]:
        """(position, event) of this kind about this subject, in order."""
        return [(it.pos, it.event) for it in self.about.get(subject, ()) if isinstance(it.event, kind)]

    def balance(self, account: str, until: int) -> int:
        """Debits minus credits, after the event at `until`."""
        return sum(amount for it, amount in self.lines.get(account, ()) if it.pos <= until)


def read(path: Path) -> Story:
    """Raises `BadBundle`, also for a log that cannot be followed to its end: what is damaged is not explained."""
    story, findings = Story(), Findings()
    with Bundle(path) as bundle:
        reader = Reader(bundle, findings)
        forms = Forms(findings, State(reader.head))
        for taken in reader.blocks():
            if taken.events is None:
                break
            forms.take(taken)
            story.begin(taken.events[0].at_us)
            try:
                for it in taken.events:
                    story.take(it)
            except (LookupError, ValueError, AssertionError, StopIteration, AttributeError) as error:
                raise BadBundle(f"position {it.pos} cannot follow from what was before: verify this bundle first") from error
            story.end(taken.events[-1].at_us, taken.block.after.size, taken.block.after.root)
    if findings.kept:
        raise BadBundle(f"{findings.kept[0].message} (position {findings.kept[0].position}): verify this bundle first")
    return story
