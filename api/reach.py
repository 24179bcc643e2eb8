"""What this process, or one that led before it, has told callers, so that it never denies it: whoever was answered at a position finds
that position here."""

from collections.abc import Callable

from api.parts import Reader
from domain.log.log import Busy


class Reach:
    def __init__(self, reader: Reader, wait_s: float, begun: Callable[[], int] = int) -> None:
        """`begun`: where this process came to lead."""
        self._reader, self._wait_s, self._begun = reader, wait_s, begun
        self._told = 0

    def tell(self, position: int) -> None:
        """A caller is about to learn that the log has this position."""
        self._told = max(self._told, position)

    @property
    def told(self) -> int:
        """The last position that a caller was told of."""
        return self._told

    async def settle(self) -> None:
        """Returns when the reader has what was told, or has had its time. To be called before something is said not to be there."""
        told = max(self._told, self._begun())
        if self._reader.head.size < told:
            try:
                await self._reader.reached(told, self._wait_s)
            except TimeoutError:
                return
            except Exception as reason:
                raise Busy from reason
