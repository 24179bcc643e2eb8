"""What a planted bug is, and how it is hunted: a small patch of the product that somebody could have written, and the judges that are made
for it."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import msgspec

from tests.simulator.play import Result, play
from tests.simulator.script import Entry, Script, of_seed

Patch = tuple[Any, str, Any]
"""(Owner, name, what is there instead.)"""
CPU_S_MAX = 20.0
SEEDS = range(2, 9)


class Bug(NamedTuple):
    name: str
    planted: str
    patches: Callable[[], list[Patch]]
    judges: tuple[str, ...]
    """Any of them may find it; each is made for it."""
    seed: int
    """Of a script in which it matters; if the product changed so that it does not any more, the next ones are tried."""
    also: str = ""
    """A fault that comes all the time, besides."""
    every_s: int = 5

    def script(self) -> Script:
        return with_fault(of_seed(self.seed), self.also, self.every_s) if self.also else of_seed(self.seed)


class Caught(NamedTuple):
    bug: Bug
    """With the seed at which it was caught."""
    result: Result
    """Its steps are those of all seeds that were tried."""
    cpu_s: float

    @property
    def judge(self) -> str:
        """Who found it; empty: nobody, or a judge that only saw the wreckage."""
        found = self.result.finding.partition(":")[0]
        return found if found in self.bug.judges else ""


@contextmanager
def planted(bug: Bug) -> Iterator[None]:
    with ExitStack() as stack:
        for owner, name, value in bug.patches():
            stack.enter_context(replaced(owner, name, value))
        yield


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = owner.__dict__[name] if isinstance(owner, type) else getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def with_fault(script: Script, fault: str, every_s: int) -> Script:
    """The script with one more fault, every few seconds."""
    more = [Entry(1_000 * n, fault, n, 4_000) for n in range(2, script.seconds, every_s)]
    return msgspec.structs.replace(script, entries=tuple(sorted([*script.entries, *more], key=lambda each: each.at_ms)))


def hunt(bug: Bug) -> Caught:
    """Run scripts until a judge that is made for the bug finds it, or the time is over."""
    began_s, steps = time.process_time(), 0
    for seed in dict.fromkeys((bug.seed, *SEEDS)):
        its = bug._replace(seed=seed)
        with planted(its):
            result = play(its.script())
        steps += result.steps
        caught = Caught(its, msgspec.structs.replace(result, steps=steps), time.process_time() - began_s)
        if caught.judge or caught.cpu_s > CPU_S_MAX:
            break
    return caught
