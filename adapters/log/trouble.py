"""What goes wrong for a while, said when it begins, when it becomes something else, and when it is over: whoever tries again twice a
second says it once."""

import logging


class Trouble:
    def __init__(self, logger: logging.Logger, what: str) -> None:
        """`what` is what cannot be done, as a sentence: "the log cannot be read"."""
        self._logger, self._what, self._why = logger, what, ""

    def met(self, why: str) -> None:
        if why != self._why:
            self._logger.warning("%s, trying again: %s", self._what, why)
        self._why = why

    def over(self) -> None:
        if self._why:
            self._logger.warning("over: %s (%s)", self._what, self._why)  # libraries are heard from warnings on
        self._why = ""
