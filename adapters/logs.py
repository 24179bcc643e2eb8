"""One JSON line for each thing that matters, from structlog and from every library that logs by the standard module.

Whoever does something binds what it is about, once, and every line below carries it:

    with structlog.contextvars.bound_contextvars(command="job.submit", agent="worker-17"):
        structlog.get_logger().info("leased", position=1042)

What must not be known is taken out on the way, by the name of its field and by the look of its text. That is the second guard; the
first is not to log it.
"""

import asyncio
import logging
import re
import sys
import traceback
from collections import deque
from collections.abc import Mapping
from functools import lru_cache
from typing import TextIO

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

HIDDEN = "[hidden]"
LEVELS = ("debug", "info", "warning", "error")
TEXT_MAX = 4_000
"""Characters of one value; the rest of a longer one is cut off."""

_LAST_WORDS = {"authorization", "cookie", "key", "keys", "mnemonic", "raw", "signature", "signatures", "token", "tokens"}
_ANY_WORDS = {"apikey", "credential", "credentials", "passphrase", "passwd", "password", "private", "secret", "secrets"}
_WORDS = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+")
_NAMED = r"[\w-]{0,40}(?:secret|token|passwo?r?d|signature|api[_-]?key|private[_-]?key)"
_LOOKS = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=:-]{6,}"), rf"\1 {HIDDEN}"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), HIDDEN),
    (re.compile(r"\b(\w{1,20}://[^\s/:@]{0,80}):[^\s/@]+@"), rf"\1:{HIDDEN}@"),
    (re.compile(rf"(?i)\b({_NAMED})(\"?\s{{0,3}}[=:]\s{{0,3}}\"?)[^\s\"&,;]+"), rf"\1\2{HIDDEN}"),
)
"""What secrets look like in a text. Every repetition before a fixed part is bounded: texts come from outside."""
_SUSPECT = re.compile(r"[\s=:]|eyJ")
"""In a text without any of these there is none of those looks."""


def set_up(output: TextIO = sys.stderr, level: str = "info") -> None:
    """Sends every line of this process to `output`. Called once, before anything logs; a later call replaces the earlier.

    `level` is one of LEVELS. Libraries are heard from `warning` on, or from `level` where that is higher; loggers of the standard module
    below "gridledger" are ours.
    """
    number = getattr(logging, level.upper())
    bound: list[Processor] = [structlog.contextvars.merge_contextvars, structlog.stdlib.add_log_level]
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True, key="time")
    written: list[Processor] = [_failure, hide, stamp, _in_order, _line]
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*bound, _name_of_library],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *written],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(number, logging.WARNING))
    logging.getLogger("gridledger").setLevel(number)
    logging.captureWarnings(capture=True)
    # Ours go straight to the output: by way of the standard module a line costs twice as much, and there is one for each command.
    lines = Lines(output)
    structlog.configure(
        processors=[*bound, *written],
        logger_factory=lambda *_: lines,
        wrapper_class=structlog.make_filtering_bound_logger(number),
        cache_logger_on_first_use=False,
    )


class Lines:
    """Where our lines go. What is only told is written when the event loop has had its turn, that of all commands of a block at once; a
    warning, and what is said where no loop runs, is written at once, with all before it."""

    def __init__(self, output: TextIO) -> None:
        self._output, self._waiting = output, deque[str]()
        self._turn: asyncio.AbstractEventLoop | None = None
        """The loop at the end of whose turn they are written."""

    def msg(self, line: str) -> None:
        self._waiting.append(line)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._write()
            return
        if loop is not self._turn:
            self._turn = loop
            loop.call_soon(self._write)

    def warning(self, line: str) -> None:
        self._waiting.append(line)
        self._write()

    debug = info = msg
    error = critical = exception = warning

    def _write(self) -> None:
        self._turn = None
        lines = list[str]()
        while self._waiting:
            lines.append(self._waiting.popleft())
        self._output.write("".join([f"{line}\n" for line in lines]))
        self._output.flush()


def hide(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Takes out what must not be known, at any depth."""
    return {name: _hidden(name, value) for name, value in event.items()}


def _hidden(name: str, value: object) -> object:
    """`value` as it may be written under `name`."""
    if value is not None and _is_secret(name):
        return HIDDEN
    match value:
        case None | bool() | int() | float():
            return value
        case Mapping():
            return {str(key): _hidden(str(key), inner) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_hidden("", inner) for inner in value]
        case bytes() | bytearray() | memoryview():
            return f"[{len(value)} bytes]"
        case msgspec.Struct():
            return _hidden("", msgspec.structs.asdict(value))
        case _:
            return _seemly(str(value))


@lru_cache(maxsize=1_000)
def _is_secret(name: str) -> bool:
    words = [word.lower() for word in _WORDS.findall(name)]
    return bool(words) and (words[-1] in _LAST_WORDS or not _ANY_WORDS.isdisjoint(words))


def _seemly(text: str) -> str:
    if len(text) <= TEXT_MAX and not _SUSPECT.search(text):
        return text
    # Cut twice: a secret that the first cut went through lies beyond the second.
    seemly = text[: 2 * TEXT_MAX]
    for look, instead in _LOOKS:
        seemly = look.sub(instead, seemly)
    return seemly if len(text) <= TEXT_MAX else f"{seemly[:TEXT_MAX]}… ({len(text)} characters)"


def _failure(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """An exception as its type, its message and the places it went through: never the values of variables."""
    match event.pop("exc_info", None):
        case (_, BaseException() as error, _) | (BaseException() as error):
            pass
        case True if (current := sys.exc_info()[1]) is not None:
            error = current
        case _:
            return event
    places = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
    return {**event, "error": type(error).__name__, "message": str(error), "places": places[-20:]}


def _name_of_library(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    record = event.get("_record")
    return {**event, "library": record.name} if isinstance(record, logging.LogRecord) else event


def _in_order(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """When, how bad and what come first, so that a person can read the file, too."""
    first = ("time", "level", "event", "command", "position", "agent")
    return {**{name: event[name] for name in first if name in event}, **event}


def _line(logger: WrappedLogger, method: str, event: EventDict) -> str:
    return msgspec.json.encode(event).decode()
