"""Being there: how an agent goes online, stays it, comes back when it was held for gone, and leaves. Part of both agents."""

from collections.abc import Sequence

from worker_runtime import inputs
from worker_runtime.inputs import Action, Answered, Beat, GoOffline, GoOnline, Input, Refused, Silent, Stop

BEAT_US = 2_000_000
"""Between two signs of life: a fifth of the shortest presence time of any policy."""


class Presence:
    """`leaving`: it takes no more work. `gone`: the ledger was told so. `over`: it stopped."""

    def __init__(self, session: str, beat_us: int = BEAT_US) -> None:
        self.session, self.beat_us = session, beat_us
        self.there = self.leaving = self.gone = self.over = False
        self.due_us: int | None = None
        """When to beat, or when to ask again to be let in."""

    def handle(self, seen: Input, at_us: int) -> Sequence[Action]:
        match seen:
            case Answered(GoOffline()) | Refused(GoOffline()) | Silent(GoOffline()):
                # Whoever does not hear our good-bye will miss our signs of life.
                self.gone = True
            case Refused(GoOnline(), code) if code != "frozen":
                return self.stop(code)
            case _ if self.leaving:
                pass
            case inputs.Started():
                return [GoOnline(self.session)]
            case inputs.WentOffline() if self.there:
                self.there, self.due_us = False, None
                return [GoOnline(self.session)]
            case Answered(GoOnline()):
                self.there, self.due_us = True, at_us + self.beat_us
            case Refused(GoOnline()):
                self.due_us = max(seen.time_us("until_us"), at_us + self.beat_us)
            case Silent(GoOnline() as again):
                return [again]
            case _ if self.due_us is not None and at_us >= self.due_us:
                self.due_us = at_us + self.beat_us if self.there else None
                return [Beat(self.session) if self.there else GoOnline(self.session)]
        return []

    def leave(self) -> Sequence[Action]:
        """Says good-bye; asked twice, it stops without."""
        if self.leaving:
            return self.stop("left")
        self.leaving, self.due_us = True, None
        return [GoOffline()]

    def stop(self, reason: str) -> Sequence[Action]:
        if self.over:
            return []
        self.over, self.due_us = True, None
        return [Stop(reason)]
