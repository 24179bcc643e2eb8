"""A log that fails when told to: at each append it looks up what shall happen."""

from collections.abc import Iterable
from contextlib import aclosing
from typing import Literal

from domain.log.block import Sealed
from domain.log.log import Log, Lost, OutcomeUnknown, Records, Unreachable

Fault = Literal["fine", "lost", "landed", "not landed", "late"]


class FaultyLog:
    """`landed` and `not landed` are unknown to the writer; `late` lands after whatever is appended next, if it still can."""

    def __init__(self, log: Log, faults: Iterable[Fault]) -> None:
        self._log, self._faults, self._late = log, iter(faults), list[Sealed]()
        self.sent = list[bytes]()
        self.silent = False
        """It cannot be read."""

    async def append(self, block: Sealed) -> None:
        self.sent.append(block.record)
        match next(self._faults, "fine"):
            case "fine":
                await self._log.append(block)
            case "lost":
                raise Lost
            case "landed":
                await self._log.append(block)
                raise OutcomeUnknown
            case "not landed":
                raise OutcomeUnknown
            case "late":
                self._late.append(block)
                raise OutcomeUnknown
        late, self._late = self._late, []
        for each in late:
            try:
                await self._log.append(each)
            except Lost:
                continue

    async def read(self, after: int = 0, *, follow: bool = False) -> Records:
        if self.silent:
            raise Unreachable
        async with aclosing(self._log.read(after, follow=follow)) as records:
            async for record in records:
                yield record
