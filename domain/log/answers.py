"""What the ledger answers, as somebody sees it who asks over a network: an answer, a problem, or nothing."""

from collections.abc import Mapping
from typing import Any

from domain.value import Value


class Answer(Value):
    """The command is done, now or before."""

    position: int
    """Of its first event; of the last event before it if there was nothing (left) to do."""
    events: tuple[bytes, ...] = ()
    """The lines of its events, byte for byte; empty if it was done before."""


class Problem(Exception):
    """The server said no (RFC 9457): asked again, it says the same.

    `code` is stable and made for programs, `facts` are the other members of the problem document, `detail` is for people.
    """

    def __init__(self, status: int, code: str, facts: Mapping[str, Any] | None = None, detail: str = "") -> None:
        self.status = status
        self.code = code
        self.facts = dict(facts or {})
        self.detail = detail
        super().__init__(f"{code}: {detail}" if detail else code)


class Unanswered(Exception):
    """No answer came, so nobody knows whether it was done. The same question once more is safe, and tells."""
