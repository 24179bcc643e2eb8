"""What happens in one simulation, written down before it begins: how bad the weather is, which faults come when, and who does what.

A script is drawn through two methods (tests/deeds.py), so a seeded `Random` draws thousands and Hypothesis draws and shrinks them. What
is left to chance while it runs (how long a message takes) comes from the script's own number. So a script is a whole run, and one that
fails can be made smaller by leaving entries out.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random

import msgspec
from msgspec import Struct

from tests.deeds import Draw

WEATHERS = ("lost", "twice", "slow")
"""What becomes of messages: of a thousand so many."""
FAULTS = (
    *("cut", "crash server", "crash worker", "crash checker", "pause server", "pause agent"),
    *("clock step", "agent clock", "slow worker", "rival", "reorg", "chain silent", "chain lag", "chain drops", "fees rise", "refuses"),
    *("log full", "log torn", "log unreadable", "store full", "views down"),
)
"""What comes at a time, for a while."""
DEEDS = (
    *["submit"] * 6,
    *["open"] * 8,
    *["deposit"] * 3,
    *["payout"] * 5,
    *[*["again"] * 3, "stake", "rebid", "change job", "foolish", "cancel payout", "lose interest", "unlock", "freeze"],
)
KINDS = (*WEATHERS, *FAULTS, "reordered", "late", "void")
"""All that can go wrong. The last three follow from others: a message overtakes another, something is done after its caller gave up, a
record of the log does not count."""


class Entry(Struct, frozen=True):
    """Something that is done at a time. What it is done to is picked from what there is then."""

    at_ms: int
    what: str
    pick: int = 0
    for_ms: int = 0


class Script(Struct, frozen=True):
    number: int
    """What chance there is while it runs comes from this."""
    lost: int = 0
    twice: int = 0
    slow: int = 0
    workers: int = 3
    cheats: int = 0
    """Of the workers so many cheat."""
    finality: int = 2
    second_look_ppm: int = 0
    warm_up: int = 2
    later_audits: int = 0
    seconds: int = 60
    """After which everything heals."""
    entries: tuple[Entry, ...] = ()


def drawn(draw: Draw, seconds: int = 60) -> Script:
    """A script: a random part of all faults, and each as often as it likes."""
    end_ms = seconds * 1_000
    weather = {kind: draw.choice([0, 0, draw.randint(1, 40)]) for kind in WEATHERS}
    entries = [Entry(draw.randint(100, end_ms * 2 // 3), "submit", draw.randint(0, 999)) for _ in range(2)]
    entries += [Entry(draw.randint(1_000, end_ms), draw.choice(DEEDS), draw.randint(0, 999)) for _ in range(draw.randint(30, 80))]
    for kind in FAULTS:
        for _ in range(draw.choice([0, 0, 1, 2, 4])):
            entries.append(Entry(draw.randint(500, end_ms), kind, draw.randint(0, 999), draw.choice([200, 1_500, 4_000, 9_000, 15_000])))
    return Script(
        draw.randint(0, 2**32 - 1),
        **weather,
        workers=draw.randint(3, 5),
        cheats=draw.randint(0, 2),
        finality=draw.randint(1, 4),
        second_look_ppm=draw.choice([0, 0, 300_000]),
        warm_up=draw.choice([0, 2, 2, 10]),
        later_audits=draw.choice([0, 0, 1]),
        seconds=seconds,
        entries=tuple(sorted(entries, key=lambda each: (each.at_ms, each.what, each.pick))),
    )


def of_seed(seed: int, seconds: int = 60) -> Script:
    return drawn(Random(seed), seconds)


def shrunk(script: Script, fails: Callable[[Script], bool], tries_max: int = 200) -> Script:
    """A smaller script that still fails: entries are left out by halves, quarters and so on (ddmin), then the weather calms down."""
    tries = 0

    def still(smaller: Script) -> bool:
        nonlocal tries
        tries += 1
        return tries <= tries_max and fails(smaller)

    for kind in WEATHERS:
        calmer = msgspec.structs.replace(script, **{kind: 0})
        if getattr(script, kind) and still(calmer):
            script = calmer
    parts = 2
    while len(script.entries) >= parts:
        for kept in without_each(script.entries, parts):
            smaller = msgspec.structs.replace(script, entries=kept)
            if still(smaller):
                script, parts = smaller, max(2, parts - 1)
                break
        else:
            parts = parts * 2 if parts < len(script.entries) else len(script.entries) + 1
    return script


def without_each(entries: Sequence[Entry], parts: int) -> list[tuple[Entry, ...]]:
    """The entries without each of so many equal parts in turn."""
    bounds = [len(entries) * n // parts for n in range(parts + 1)]
    return [(*entries[:start], *entries[end:]) for start, end in pairwise(bounds)]


def write(script: Script) -> bytes:
    return msgspec.json.encode(script)


def read(content: bytes) -> Script:
    return msgspec.json.decode(content, type=Script)
