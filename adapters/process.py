"""The end of processes. Children are on a leash: each leads a group of its own and ends with us, however we end.

Ctrl-C reaches only our own group, so a parent decides in which order its children stop. A parent that is killed decides nothing
any more; there the kernel does (Linux, `PR_SET_PDEATHSIG`). The signal is bound to the *thread* that started the child: start
children from a thread that lives as long as they are to live, which in an asyncio program is the loop's.
"""

import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
logger = logging.getLogger(__name__)
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def leash(at_death: signal.Signals) -> Callable[[], None]:
    """What a child does between fork and exec (`preexec_fn`) to receive `at_death` when the thread that forked it is gone."""
    parent = os.getpid()

    def fasten() -> None:
        if _LIBC is None:
            return
        if _LIBC.prctl(PR_SET_PDEATHSIG, int(at_death), 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
        # A parent that died before the call above sends nothing any more.
        if os.getppid() != parent:
            os._exit(1)

    return fasten


def start(
    command: Sequence[str | Path],
    *,
    output: Path,
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
    user: int | None = None,
    at_death: signal.Signals = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Starts `command` with no standard input, both outputs appended to the file `output`.

    `environment` replaces ours where given; `user` is the numeric id of a user to run as, in that user's own group (root only).
    Raises `FileNotFoundError` if there is no such program.
    """
    with output.open("ab") as sink:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            cwd=directory,
            env=environment,
            user=user,
            group=_group(user),
            extra_groups=None if user is None else [],
            start_new_session=True,
            preexec_fn=leash(at_death),  # noqa: PLW1509 - nothing but two system calls runs there
        )


def stop(process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM, grace_s: float = 5.0) -> int:
    """Asks the child to stop, waits `grace_s`, then kills its whole group. Returns its exit status; harmless when repeated."""
    if process.poll() is None:
        process.send_signal(how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace_s)
    # Its own children may have outlived it; the group's number stays taken while any of them lives.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait(grace_s)


def adopt_orphans() -> None:
    """From now on, what our children leave behind becomes ours, not the first process's, which in a container may never wait for it."""
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def bury(within_s: float = 2.0) -> None:
    """Waits for whatever ended and nobody waited for; to be called when our own children were stopped."""
    until = time.monotonic() + within_s
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < until:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.01)


def _group(user: int | None) -> int | None:
    if user is None:
        return None
    import pwd  # noqa: PLC0415 - there is none on Windows

    return pwd.getpwuid(user).pw_gid


def end_within(seconds: float) -> None:
    """This process, which was told to stop, ends by then: something outside that does not answer would keep it for as long as it likes."""

    def end() -> None:
        logger.error("it did not stop within %.0f s, and ends now: something outside does not answer", seconds)
        os._exit(1)

    late = threading.Timer(seconds, end)
    late.daemon = True
    late.start()
