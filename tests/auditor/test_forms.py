"""What a log says of itself: names, sizes and kinds that no block and no command can have."""

from pathlib import Path

import pytest

from auditor.verify import verify
from tests.auditor import forging
from tests.auditor.forging import Blocks, find
from tests.auditor.test_forgeries import audited


@pytest.mark.parametrize("length", [4, 5])
def test_a_command_of_too_many_bytes_is_found(tmp_path: Path, length: int) -> None:
    """Five lines of 55,000 bytes are more than 256 KiB, four are not."""
    position = 0

    def swell(blocks: Blocks) -> None:
        nonlocal position
        at = next(n for n, block in enumerate(blocks) for line in block if line["event"]["type"] == "proof.committed.v1")
        del blocks[at + 1 :]
        line = blocks[at][0]
        line["event"]["device"], position = "x" * 55_000, line["pos"]
        blocks[at] = [{**line, "pos": position + n, "of": [n + 1, length]} for n in range(length)]

    found = {(it.check, it.position) for it in audited(tmp_path, swell).findings}

    assert (("limits", position) in found) == (length == 5)


@pytest.mark.parametrize(("count", "found"), [(1_000, False), (1_001, True)])
def test_a_command_of_too_many_events_is_found(tmp_path: Path, count: int, found: bool) -> None:
    def claim(blocks: Blocks) -> None:
        find(blocks, "bid.set")["of"] = [1, count]

    assert ("limits" in {it.check for it in audited(tmp_path, claim).findings}) is found


@pytest.mark.parametrize(("count", "found"), [(11, False), (12, True)])
def test_what_is_decided_into_a_full_block_is_found(tmp_path: Path, count: int, found: bool) -> None:
    """Eleven lines of 55,000 bytes fill a block: the eleventh begins before it is full, the twelfth after."""

    def fill(blocks: Blocks) -> None:
        at = next(n for n, block in enumerate(blocks) for line in block if line["event"]["type"] == "proof.committed.v1")
        del blocks[at + 1 :]
        blocks[at][0]["event"]["device"] = "x" * 55_000
        blocks[at] = [{**blocks[at][0], "of": [1, 1]} for _ in range(count)]
        forging.renumber(blocks)

    assert ("limits" in {it.check for it in audited(tmp_path, fill).findings}) is found


@pytest.mark.parametrize(("count", "found"), [(500, False), (501, True)])
def test_more_commands_than_a_block_takes_are_found(tmp_path: Path, count: int, found: bool) -> None:
    def crowd(blocks: Blocks) -> None:
        at = next(n for n, block in enumerate(blocks) for line in block if line["event"]["type"] == "bid.set.v1")
        del blocks[at + 1 :]
        blocks[at] = [dict(blocks[at][0]) for _ in range(count)]
        forging.renumber(blocks)

    assert ("limits" in {it.check for it in audited(tmp_path, crowd).findings}) is found


@pytest.mark.parametrize(
    ("kind", "member", "value"),
    [("task.leased", "body", "0" * 32), ("proof.committed", "body", "0" * 32), ("account.changed", "body", "x"), ("bid.set", "cmd", "me")],
)
def test_a_command_with_another_name_than_it_can_have_is_found(tmp_path: Path, kind: str, member: str, value: str) -> None:
    position = 0

    def name(blocks: Blocks) -> None:
        nonlocal position
        line = find(blocks, kind)
        line[member], position = value, line["pos"]

    report = audited(tmp_path, name)

    assert ("commands", position) in {(it.check, it.position) for it in report.findings}


def test_a_key_that_is_used_twice_is_found(tmp_path: Path) -> None:
    position = 0

    def again(blocks: Blocks) -> None:
        nonlocal position
        first, second = [line for block in blocks for line in block if line.get("body")][:2]
        second["cmd"], position = first["cmd"], second["pos"]

    report = audited(tmp_path, again)

    assert ("commands", position) in {(it.check, it.position) for it in report.findings}


def test_what_is_hidden_in_the_first_block_is_found(tmp_path: Path) -> None:
    def hide(blocks: Blocks) -> None:
        blocks[0] += [{**line, "at_us": blocks[0][0]["at_us"]} for line in blocks.pop(1)]

    assert ("commands", 1) in {(it.check, it.position) for it in audited(tmp_path, hide).findings}


def test_a_log_that_is_said_to_be_sealed_is_found(tmp_path: Path) -> None:
    """The kind of a block stands in its header, which is in no leaf."""
    *records, last = forging.life().records
    path = forging.bundle(tmp_path / "b", records=[*records, last.replace(b'"kind":"block"', b'"kind":"seal"', 1)])

    assert ("records", forging.life().ledger.head.size) in {(it.check, it.position) for it in verify(path).findings}
