"""Writes the golden line of every event that has none yet: `python -m tests.golden_lines`. What is written is never written again: stored
names and bytes are for ever."""

from pathlib import Path
from random import Random

from domain.event import Event, Recorded
from domain.log import wire
from tests.deeds import Life
from tests.domain import test_ends, test_override
from tests.network import Network, life, populated

GOLDEN = Path(__file__).parent / "golden"


def looked_twice() -> Network:
    """By the standard policy some audits have a second look."""
    return populated("standard")[0]


SELDOM = (
    looked_twice,
    test_ends.reorganised_deposit,
    test_ends.unmined_batch,
    test_ends.approved_payout,
    test_ends.elected,
    test_ends.moved,
    test_override.frozen_money,
    test_ends.paused_job,
)


def events() -> list[Recorded[Event]]:
    """Of a scripted life, of what happens seldom, and of a random one."""
    seldom = [make() for make in SELDOM]
    found = [each for network in (life(), *seldom, test_ends.released_cheat()[0]) for each in network.events]
    doing = Life(Random(5))
    for _ in range(900):
        doing.step()
    return found + doing.network.events


def main() -> None:
    for recorded in events():
        file = GOLDEN / f"{recorded.event.__struct_config__.tag}.json"
        if not file.exists():
            file.write_bytes(wire.encode(recorded) + b"\n")


if __name__ == "__main__":
    main()
