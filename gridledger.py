"""The program: what the command line can do (cli/app.py), over the roles that a process may have (roles/)."""

import gc
import logging
import os
import sys
from typing import NoReturn

from roles.agents import run_checker, run_worker
from roles.ledger import DATABASE, KAFKA, Unstartable, begin, init, rebuild, snapshot
from roles.logs import check_log, copy_log, head_of
from roles.moves import move_log, restore_log
from roles.relay import relay
from roles.server import serve

__all__ = [
    "DATABASE",
    "KAFKA",
    "Unstartable",
    "begin",
    "check_log",
    "copy_log",
    "head_of",
    "init",
    "main",
    "move_log",
    "rebuild",
    "relay",
    "restore_log",
    "run_checker",
    "run_worker",
    "serve",
    "snapshot",
]


COLLECT = (100_000, 20, 50)
"""When Python's collector looks for cycles: of what is made here most lives for one block, and the rest for as long as the process. To
look as often as Python does by default took a fifth to a third of a replay's time (docs/benchmarks.md)."""


def main() -> None:
    """The command line."""
    from cli.app import create

    gc.set_threshold(*COLLECT)
    try:
        create(sys.modules[__name__])()
    except SystemExit as end:
        if not isinstance(end.code, int):
            raise
        _leave(end.code)
    _leave(0)


def _leave(status: int) -> NoReturn:
    """Ends the process with what was written on its way out, and without taking the interpreter down first: threads of native clients
    (the object store's, Kafka's) that come back to an interpreter which is half gone abort the process, after all was done well."""
    logging.shutdown()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # nobody reads any more
        os._exit(status or 1)
    os._exit(status)


if __name__ == "__main__":
    main()
