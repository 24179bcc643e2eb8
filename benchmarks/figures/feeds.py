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

AGENTS, EXPLORERS, EVENTS_S, SECONDS = 10_000, 50, 200, 5
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


def measured(agents: int, rounds: int) -> Iterator[tuple[Side, Side]]:
    """Of each round the p99 of the delivery in milliseconds, and kibibytes a client. All clients stay from the first to the last."""
    port = free_port()
    with child("crowd", port, agents, EVENTS_S, SECONDS) as server, child("listeners") as clients:
        its = msgspec.json.decode(said(server), type=crowd.Said)
        bearer = f"host: a\r\nauthorization: Bearer {its.secret}\r\n\r\n"
        requests = [f"GET /v1/agents/{each}/tasks HTTP/1.1\r\n{bearer}" for each in its.workers]
        requests += ["GET /v1/live HTTP/1.1\r\nhost: a\r\n\r\n"] * EXPLORERS
        said(clients, msgspec.json.encode(listeners.Plan(port, requests)).decode())
        told = [msgspec.json.decode(said(server, "go"), type=crowd.Told) for _ in range(rounds)]
        heard = msgspec.json.decode(said(clients, "stop"), type=listeners.Heard)
    checks = {"each event told once and in order": fault(heard, sorted(at for each in told for at in each.landed), agents)}
    for each in told:
        landed = each.landed
        deliveries = ((p, at) for feed in zip(heard.positions, heard.times, strict=True) for p, at in zip(*feed, strict=True))
        late = [int((at - landed[position]) * 1e6) for position, at in deliveries if position in landed]
        kib = (each.bytes_with - each.bytes_before) / 1024 / len(requests)
        yield Side(site.quantile(late, 0.99) / 1000, checks), Side(kib, checks)


def fault(heard: listeners.Heard, wanted: list[int], agents: int) -> str:
    """What was lost, came twice or in another order; empty: nothing."""
    if heard.strange:
        return heard.strange[0]
    of_agents = sorted(position for positions in heard.positions[:agents] for position in positions)
    if of_agents != wanted:
        return f"agents were told of {len(of_agents)} events, not of {len(wanted)}"
    wrong = sum(positions != wanted for positions in heard.positions[agents:])
    return f"{wrong} explorers were told otherwise" if wrong else ""


def g21(options: Options) -> Iterator[Figure]:
    """Agents hear what concerns them, explorers everything."""
    agents = 500 if options.quick else min(AGENTS, room() - EXPLORERS)
    sides = list(measured(agents, options.rounds))
    what = f"feeds of {agents:,} agents and {EXPLORERS} explorers on one process, {EVENTS_S} events/s"
    late, memory = Goal(250, 100, "ms", "at most"), Goal(60, 30, "KiB", "at most")
    yield alternate("G21", f"{what}: delivery p99", "ms", late, options.rounds, lambda number: sides[number][0])
    yield alternate("G21", f"{what}: memory a client", "KiB", memory, options.rounds, lambda number: sides[number][1])
