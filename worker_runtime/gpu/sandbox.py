"""Where other people's scenes are rendered: a process that sees only what it was given (Linux, bubblewrap).

Inside there is no network, no other process, no file but the system's libraries, the interpreter and the named inputs, all read-only;
no environment, no capability, no way to start a process or a namespace. Memory, processor time, open files and written bytes are
bounded, and the process dies with us. Wall-clock time is the caller's to watch: it kills.

Without bubblewrap only a bounded child process is left, which is enough for scenes of one's own and for nobody else's.
"""

import asyncio
import functools
import os
import platform
import shutil
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_WALL_S = 10


class Limits(NamedTuple):
    """Of one process. `memory_bytes` is address space; `threads` counts inside the sandbox only."""

    memory_bytes: int = 6 << 30
    processor_s: int = 86_400
    files: int = 128
    threads: int = 128
    written_bytes: int = 1 << 20


LIMITS = Limits()


class Sandbox(NamedTuple):
    """How child processes are confined here. `missing` says why they are not isolated; None if they are."""

    missing: str | None

    @property
    def isolated(self) -> bool:
        """Whether somebody else's scene may be rendered."""
        return self.missing is None

    async def start(self, command: Sequence[str], *, inputs: Sequence[Path] = (), limits: Limits = LIMITS) -> asyncio.subprocess.Process:
        """Starts `command` with all three streams piped, in the first of `inputs` if there is one. Raises `OSError`."""
        pipe = asyncio.subprocess.PIPE
        if not self.isolated:
            words = [*_bounded(limits, False), *command]
            where = inputs[0] if inputs else Path("/")
            return await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe, stderr=pipe, cwd=where, env=ENVIRONMENT)
        calls = os.memfd_create("calls")
        try:
            os.write(calls, forbidden_calls(platform.machine()))
            os.lseek(calls, 0, os.SEEK_SET)
            words = [*confined(inputs), "--seccomp", str(calls), "--", *_bounded(limits, True), *command]
            return await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe, stderr=pipe, env={}, pass_fds=[calls])
        finally:
            os.close(calls)


ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8"}  # noqa: S108


def find() -> Sandbox:
    """What this machine offers; tried, not guessed."""
    return Sandbox(missing())


@functools.cache
def missing() -> str | None:
    if sys.platform != "linux" or platform.machine() not in _CALLS:
        return f"there is no sandbox for {sys.platform} on {platform.machine()}"
    for tool, package in (("bwrap", "bubblewrap"), ("prlimit", "util-linux")):
        if not shutil.which(tool):
            return f"{tool} is not installed (package {package})"
    trial = [*confined(()), "--", *_bounded(LIMITS, True), "true"]
    try:
        outcome = subprocess.run(trial, capture_output=True, timeout=_WALL_S, check=False, env={})
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap does not start: {error}"
    if outcome.returncode:
        return f"bubblewrap may not make namespaces here: {outcome.stderr.decode(errors='replace').strip()[:200]}"
    return None


def _bounded(limits: Limits, isolated: bool) -> list[str]:
    if not (prlimit := shutil.which("prlimit")):
        return []
    bounds = {
        "as": limits.memory_bytes,
        "cpu": limits.processor_s,
        "nofile": limits.files,
        "fsize": limits.written_bytes,
        "core": 0,
    }
    if isolated:
        # Outside a namespace of its own a user's other processes count as well.
        bounds["nproc"] = limits.threads
    return [prlimit, *(f"--{name}={most}" for name, most in bounds.items()), "--"]


def confined(inputs: Sequence[Path]) -> list[str]:
    """The bubblewrap command up to what it runs."""
    words = [shutil.which("bwrap") or "bwrap", "--unshare-all", "--unshare-user", "--die-with-parent", "--new-session"]
    words += ["--cap-drop", "ALL", "--uid", "65534", "--gid", "65534", "--hostname", "sandbox", "--clearenv"]
    for name, value in ENVIRONMENT.items():
        words += ["--setenv", name, value]
    words += ["--ro-bind", "/usr", "/usr", "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache", "--dev", "/dev"]
    words += ["--size", str(1 << 20), "--tmpfs", "/tmp"]  # noqa: S108
    for name in ("bin", "sbin", "lib", "lib64"):
        folder = Path("/", name)
        if folder.is_symlink():
            words += ["--symlink", str(folder.readlink()), str(folder)]
        elif folder.is_dir():
            words += ["--ro-bind", str(folder), str(folder)]
    for prefix in sorted({sys.prefix, sys.base_prefix}):
        if not Path(prefix).is_relative_to("/usr"):
            words += ["--ro-bind", prefix, prefix]
    for path in inputs:
        words += ["--ro-bind", str(path), str(path)]
    return [*words, "--chdir", str(inputs[0]) if inputs else "/", "--remount-ro", "/"]


# A seccomp filter in classic BPF (linux/filter.h, linux/seccomp.h). Threads are made by `clone` with CLONE_THREAD; where `clone3` is
# unknown the C library falls back to it, and there its flags can be seen.
_THREAD = 0x0001_0000
_EPERM, _ENOSYS = 1, 38
_ALLOW, _ERRNO, _KILL = 0x7FFF_0000, 0x0005_0000, 0x8000_0000
_LOAD, _EQUAL, _BITS, _RETURN = 0x20, 0x15, 0x45, 0x06
_NUMBER_AT, _MACHINE_AT, _FLAGS_AT = 0, 4, 16


class _Calls(NamedTuple):
    machine: int
    """AUDIT_ARCH of the numbers below."""
    clone: int
    clone3: int
    denied: tuple[int, ...]
    """fork, vfork, ptrace, mount, umount2, keys, unshare, setns, perf, process_vm_*, bpf, userfaultfd, io_uring, other numberings."""


_CALLS = {
    "x86_64": _Calls(0xC000_003E, 56, 435, (57, 58, 101, 165, 166, 248, 249, 250, 272, 298, 308, 310, 311, 321, 323, 425)),
    "aarch64": _Calls(0xC000_00B7, 220, 435, (39, 40, 97, 117, 217, 218, 219, 241, 268, 270, 271, 280, 282, 425)),
}
_X32 = 0x4000_0000


def forbidden_calls(machine: str) -> bytes:
    """The filter for a kind of machine (`platform.machine()`): no new process, namespace or tracing, threads allowed."""
    calls = _CALLS[machine]

    def step(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
        return struct.pack("<HBBI", code, then, otherwise, value)

    program = [step(_LOAD, _MACHINE_AT), step(_EQUAL, calls.machine, 1), step(_RETURN, _KILL), step(_LOAD, _NUMBER_AT)]
    program += [step(_BITS, _X32, 0, 1), step(_RETURN, _ERRNO | _ENOSYS)]
    program += [step(_EQUAL, calls.clone3, 0, 1), step(_RETURN, _ERRNO | _ENOSYS)]
    for number in calls.denied:
        program += [step(_EQUAL, number, 0, 1), step(_RETURN, _ERRNO | _EPERM)]
    program += [step(_EQUAL, calls.clone, 0, 3), step(_LOAD, _FLAGS_AT), step(_BITS, _THREAD, 1), step(_RETURN, _ERRNO | _EPERM)]
    return b"".join([*program, step(_RETURN, _ALLOW)])
