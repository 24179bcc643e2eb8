"""Very many live feeds on one process: G21."""

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from benchmarks import crowd, listeners, site
from benchmarks.rounds import Figure, Goal, Options, Side, alternate
from benchmarks.site import ROOT, free_port

AGENTS, EXPLORERS, EVENTS_S = 10_000, 50, 200
FILES_MORE = 200
"""That a process has open besides its connections."""


def room() -> int:
    """For how many connections the machine lets a process have files: as many as wanted, or fewer. The soft limit is raised, for children
    too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = AGENTS + EXPLORERS + FILES_MORE
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted - FILES_MORE


@contextmanager
def child(module: str, *arguments: int) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
    started = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def said(it: "subprocess.Popen[str]", line: str = "") -> str:
    """What it says next, after it was told this."""
    assert it.stdin
    assert it.stdout
    if line:
        it.stdin.write(line + "\n")
        it.stdin.flush()
    return it.stdout.readline()


def one(agents: int, seconds: int) -> tuple[float, float, dict[str, str]]:
    """p99 of the delivery in milliseconds, kibibytes a client, and what was wrong."""
    port = free_port()
    with child("crowd", port, agents, EVENTS_S, seconds) as server, child("listeners") as clients:
        its = msgspec.json.decode(said(server), type=crowd.Said)
        bearer = f"host: a\r\nauthorization: Bearer {its.secret}\r\n\r\n"
        requests = [f"GET /v1/agents/{each}/tasks HTTP/1.1\r\n{bearer}" for each in its.workers]
        requests += ["GET /v1/live HTTP/1.1\r\nhost: a\r\n\r\n"] * EXPLORERS
        said(clients, msgspec.json.encode(listeners.Plan(port, requests)).decode())
        told = msgspec.json.decode(said(server, "go"), type=crowd.Told)
        heard = msgspec.json.decode(said(clients, "stop"), type=listeners.Heard)
    late = [
        int((at - told.landed[position]) * 1e6)
        for positions, times in zip(heard.positions, heard.times, strict=True)
        for position, at in zip(positions, times, strict=True)
        if position in told.landed
    ]
    checks = {"every event was delivered to its agent and to each explorer, once and in order": fault(heard, told, agents)}
    kib = (told.bytes_with - told.bytes_before) / 1024 / len(requests)
    return site.quantile(late, 0.99) / 1000, kib, checks


def fault(heard: listeners.Heard, told: crowd.Told, agents: int) -> str:
    if heard.strange:
        return heard.strange[0]
    wanted = sorted(told.landed)
    of_agents = sorted(position for positions in heard.positions[:agents] for position in positions)
    if of_agents != wanted:
        return f"agents were told of {len(of_agents)} events, not of {len(wanted)}"
    wrong = sum(positions != wanted for positions in heard.positions[agents:])
    return f"{wrong} explorers were told otherwise" if wrong else ""


def g21(options: Options) -> Iterator[Figure]:
    """Agents hear what concerns them, explorers everything."""
    agents = 500 if options.quick else min(AGENTS, room() - EXPLORERS)
    rounds = [one(agents, int(options.seconds) + 1) for _ in range(options.rounds)]
    what = f"feeds of {agents:,} agents and {EXPLORERS} explorers on one process, {EVENTS_S} events/s"
    p99s, kibs = iter(rounds), iter(rounds)

    def late(_: int) -> Side:
        value, _kib, checks = next(p99s)
        return Side(value, checks)

    yield alternate("G21", f"{what}: delivery p99", "ms", Goal(250, 100, "ms", "at most"), options.rounds, late)
    memory = lambda _: Side(next(kibs)[1])  # noqa: E731
    yield alternate("G21", f"{what}: memory a client", "KiB", Goal(60, 30, "KiB", "at most"), options.rounds, memory)
