"""The command line: options in, one thing done, lines or one JSON object out.

Exit status: 0 done; 1 it did not end well (findings, a failed job, an unhealthy machine); 2 evidence is missing (verify); 3 bad input or
no answer; 4 a server stopped, because nobody may go on like this; 130 interrupted. An error is one line on stderr.
"""

import json
import logging
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Protocol
from urllib.parse import urlsplit

import typer

from domain.log.answers import Problem, Unanswered
from domain.log.log import Lost, OutcomeUnknown, Unreachable

BAD_INPUT = 3
STOPPED = 4
INTERRUPTED = 130
HELP = "The ledger of a compute network: jobs, bids, proofs and payouts as immutable events."
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def addresses(text: str) -> str:
    """Of one server, or of several with spaces between."""
    parts = [urlsplit(each) for each in text.split()]
    if not parts or not all(each.scheme in {"http", "https"} and each.hostname for each in parts):
        raise typer.BadParameter(f"a server's address is http://HOST:PORT, not {text[:100]!r}")
    return text


Server = Annotated[str, typer.Option(envvar="GRIDLEDGER_SERVER", callback=addresses, help="address of a ledger's server")]
SIDE_MIN, SIDE_MAX = 16, 16_384
LOCAL = "http://127.0.0.1:8080"
USAGE: Any = typer.BadParameter.__bases__[0]
"""What Typer raises for a wrong command line; it names only some of the kinds."""


class Root(Protocol):
    """What only the composition root can put together (roles/)."""

    DATABASE: str
    KAFKA: str
    Unstartable: type[Exception]

    def init(
        self, path: Path, policy: str, database_url: str, rpc_url: str, treasury: str, token: str, chain_id: int, kafka: str = ""
    ) -> str: ...

    async def begin(self, home: Any, url: str, policy: str, contracts: Any) -> Any: ...

    def serve(self, path: Path, host: str, port: int, advertise: str = "", role: str = "all") -> None: ...

    def snapshot(self, path: Path, size: int | None, *, anew: bool) -> dict[str, Any]: ...

    def relay(self, path: Path, to: str, partitions: int | None, properties: Path | None, *, once: bool) -> dict[str, Any]: ...

    def rebuild(self, path: Path, name: str) -> dict[str, Any]: ...

    def head_of(self, name: str, properties: Path | None) -> dict[str, Any]: ...

    def check_log(self, name: str, properties: Path | None) -> dict[str, Any]: ...

    def copy_log(
        self, source: str, target: str, *, follow: bool, properties: Path | None, tell: Callable[[str], None]
    ) -> dict[str, Any]: ...

    def move_log(self, path: Path, to: str, tell: Callable[[str], None]) -> dict[str, Any]: ...

    def restore_log(self, path: Path, source: str, to: str, tell: Callable[[str], None]) -> dict[str, Any]: ...

    def run_worker(self, file: Path, *, duty: int | None = None, cheat_samples: int | None = None) -> str: ...

    def run_checker(self, file: Path) -> str: ...


def create(root: Root) -> Callable[[], None]:
    """The program, over what the composition root offers."""
    from cli import agents, audits, creators, exports, kafka, logs, offices, servers, streams

    app = typer.Typer(name="gridledger", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=HELP)
    for part in (servers, kafka, creators, streams, agents, audits, exports, logs, offices):
        part.add(app, root)

    def run() -> None:
        if logging.lastResort:  # what speaks where nobody set up logs: in all commands but those that serve
            logging.lastResort.setFormatter(logging.Formatter("warning: %(message)s"))
        try:
            if status := app(prog_name="gridledger", standalone_mode=False):
                raise SystemExit(status)
        except USAGE as fault:
            if message := fault.format_message():
                fail(message)
            raise SystemExit(BAD_INPUT) from None
        except (KeyboardInterrupt, typer.Abort):
            raise SystemExit(INTERRUPTED) from None
        except Unanswered as question:
            fail(f"no answer to {question}")
        except (Problem, root.Unstartable, OSError) as fault:
            fail(str(fault))
        except Exception as fault:
            # Database errors have a class for each of their codes; Pydantic's say the field.
            from adapters.migrate import DatabaseError
            from domain.body import Invalid

            if isinstance(fault, Invalid):
                fail("; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in fault.errors(include_url=False)))
            if remedy := remedies().get(type(fault)):
                fail(f"{str(fault) or type(fault).__name__}. {remedy} (docs/reliability.md, When a server stops)", STOPPED)
            if not isinstance(fault, (DatabaseError, *reasons(), *of_kafka())):
                raise
            fail(str(fault) or type(fault).__name__)

    return run


def reasons() -> list[type[Exception]]:
    """What ends a command with one line: somebody gave us what cannot be used. Imported only then, so that no command waits for it."""
    from adapters import migrate, postgres_server
    from adapters.copies import copy, moving, segments
    from adapters.evm import anvil
    from adapters.files import home
    from adapters.kafka import brokers
    from adapters.views import rebuild
    from auditor import bundle, explain, export
    from cli import submission
    from exports import check
    from projections import plugins, views
    from worker_runtime import config, loop

    ours = [
        home.NotAHome,
        migrate.Unmigratable,
        postgres_server.Unavailable,
        brokers.Unavailable,
        anvil.Unavailable,
        rebuild.Busy,
        rebuild.Differs,
    ]
    ours += [copy.Empty, copy.Foreign, segments.Taken, moving.Elsewhere, Lost, OutcomeUnknown, Unreachable, bundle.BadBundle]
    ours += [explain.Unknown, export.ExportFailed, check.Cut, submission.NotAScene, config.Unusable, loop.Failed]
    return [*ours, plugins.BadPlugin, views.Behind]


def of_kafka() -> list[type[Exception]]:
    """The same, of its adapter, where its client is installed."""
    try:
        from adapters.kafka import relay, topic
    except ImportError:
        return []
    return [topic.Exists, relay.Undelivered]


def remedies() -> dict[type[Exception], str]:
    """What stops a server for good, and what to do about it."""
    from adapters import succession
    from adapters.log import snapshots
    from domain.log.block import Broken, Diverged
    from domain.log.ledger import Moved, NotOpened

    return {
        Broken: "A record counts and is damaged, or newer than this program: restore the log from a copy, or upgrade.",
        Diverged: "The log lost or changed history: restore it from a copy that has this head.",
        NotOpened: "The log has no first block: gridledger init. If it had one, it is another log now: gridledger log restore.",
        succession.Behind: "The log lost its end, or is an old backup: restore it from a copy that reaches that position.",
        Moved: "Serve the ledger where it lives now; a move that was interrupted: gridledger log move again.",
        succession.Copied: "Serve the ledger where it lives.",
        succession.ClockOff: "Set the clock and start again.",
        succession.Deposed: "Another process leads this log without the lease: stop it.",
        snapshots.Differs: "Stop all servers, keep the folder of snapshots, and compare: two folds of one log may not differ.",
        **of_topics(),
    }


def of_topics() -> dict[type[Exception], str]:
    """The same, of Kafka's, where its client is installed."""
    try:
        from adapters.kafka.topic import Unsafe
    except ImportError:
        return {}
    return {Unsafe: "Mend the topic, then start again: a server on it could lose the ledger. If it was made anew: gridledger log restore."}


def fail(message: str, status: int = BAD_INPUT) -> None:
    """One line, and a status that is not zero."""
    print(f"gridledger: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(status)


def say(facts: Any, *, as_json: bool, text: str) -> None:
    print(json.dumps(facts) if as_json else text)


def size_of(text: str) -> tuple[int, int]:
    """`320x180`."""
    found = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", text)
    if not found or not all(SIDE_MIN <= int(side) <= SIDE_MAX for side in found.groups()):
        raise typer.BadParameter(f"expected WIDTHxHEIGHT, each side {SIDE_MIN} to {SIDE_MAX}, e.g. 320x180")
    return int(found[1]), int(found[2])
