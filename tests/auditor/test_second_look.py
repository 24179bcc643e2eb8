"""The second look is recomputed from the log and the chain, like every draw."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from auditor.verify import verify
from domain.log.block import seal
from domain.log.merkle import Head
from domain.proof import audit
from tests import network
from tests.auditor import forging
from tests.network import LOG, Network


@pytest.fixture(scope="module")
def looked() -> Network:
    """By the standard policy every first verdict waits for a second look; of these some drew somebody."""
    return network.populated("standard")[0]


def looks(of: Network) -> list[audit.SecondLook]:
    return [it.event for it in of.events if isinstance(it.event, audit.SecondLook)]


def test_of_the_second_looks_of_a_life_some_draw_a_checker_and_some_do_not(looked: Network) -> None:
    assert {len(look.checkers) for look in looks(looked)} == {0, 1}


@pytest.mark.parametrize(
    ("field", "drawn", "value", "check"),
    [
        ("u", False, "5", "lottery"),
        ("p_ppm", False, 1, "lottery"),
        ("checkers", True, [], "checkers"),
        ("checkers", False, ["worker-51"], "checkers"),
        ("regions", True, [3, 2], "regions"),
    ],
)
def test_a_second_look_that_was_not_so_is_found(looked: Network, tmp_path: Path, field: str, drawn: bool, value: Any, check: str) -> None:
    blocks = forging.opened(looked.records)
    line = forging.find(blocks, "audit.second_look", lambda event: bool(event["checkers"]) is drawn)
    line["event"][field] = value
    head, records = Head(LOG), list[bytes]()
    for block in blocks:
        made = seal(head, [msgspec.json.encode(each) for each in block])
        head = made.after
        records.append(made.record)
    report = verify(forging.bundle(tmp_path / "b", of=looked, records=records))

    assert report.exit == 1
    assert (check, line["pos"]) in [(it.check, it.position) for it in report.findings]
