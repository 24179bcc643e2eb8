"""Whom to kill, and how to see that he is gone."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil

PATIENCE_S = 30.0


def until(hoped: Callable[[], object], what: str, within_s: float = PATIENCE_S) -> float:
    """Waits for what announces itself to nobody; returns how long that took."""
    began = time.monotonic()
    while not hoped():
        assert time.monotonic() - began < within_s, f"{what} did not happen within {within_s:.0f} s"
        time.sleep(0.01)
    return time.monotonic() - began


def postmaster(data: Path) -> int:
    """The process that its pid file names."""
    return int((data / "postmaster.pid").read_text().split()[0])


def kill_database(data: Path) -> int:
    """SIGKILL to PostgreSQL and all of its processes, which have groups of their own; returns who the postmaster was."""
    chief = psutil.Process(postmaster(data))
    for each in (chief, *chief.children(recursive=True)):
        try:
            each.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
    return chief.pid


def kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
