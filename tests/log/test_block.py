"""The accept rule, against whatever a log may hold."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.ids import LogId
from domain.log.block import (
    BLOCK_BYTES_MAX,
    LINE_BYTES_MAX,
    Broken,
    Diverged,
    Header,
    Kind,
    Sealed,
    Void,
    accept,
    judge,
    read_header,
    seal,
)
from domain.log.merkle import Head

OURS, OTHERS = Head(LogId("a" * 32)), Head(LogId("b" * 32))


def lines(*says: str) -> list[bytes]:
    return [f'{{"says":"{each}"}}'.encode() for each in says]


def verdict(head: Head, record: bytes) -> str:
    try:
        accept(head, record)
    except Void as void:
        return void.why
    except (Broken, Diverged) as stop:
        return type(stop).__name__
    return "counts"


def history(sizes: list[int]) -> list[Sealed]:
    """Blocks on each other; every fourth is a seal, with a bind after it."""
    blocks, head = list[Sealed](), OURS
    for n, size in enumerate(sizes):
        kind: Kind = "bind" if head.sealed else "seal" if n % 4 == 2 else "block"
        blocks.append(seal(head, lines(*map(str, range(size))), kind))
        head = blocks[-1].after
    return blocks


@given(st.lists(st.integers(1, 5), min_size=2, max_size=12), st.data())
def test_each_record_gets_its_verdict_wherever_it_stands(sizes: list[int], data: st.DataObject) -> None:
    blocks = history(sizes)
    at = data.draw(st.integers(1, len(blocks) - 1))
    head, before, here = blocks[at].before, blocks[at - 1], blocks[at]
    wrong: tuple[Kind, ...] = ("block", "seal") if head.sealed else ("bind",)
    larger = seal(OURS, lines(*"larger" * 20))
    forked = seal(Head(OURS.log).extend([b"x"] * head.size), lines("forked"))
    junk = (b"", b"{}", b"\n", here.record[1:], here.record[:-1].split(b"\n")[0], here.record.replace(b",", b", ", 1))

    assert verdict(head, here.record) == "counts"
    assert verdict(head, before.record) == "stale", "a duplicate"
    assert verdict(head, seal(before.before, lines("rival")).record) == "stale", "a rival of the block before"
    assert verdict(head, larger.record) == "stale", "a zombie from long ago, even if it reaches further than we are"
    assert verdict(head, seal(OTHERS, lines("foreign")).record) == "alien"
    assert [verdict(head, seal(head, lines("kind"), kind).record) for kind in wrong] == ["alien"] * len(wrong)
    assert [verdict(head, each) for each in junk] == ["alien"] * len(junk)
    assert verdict(head, seal(here.after, lines("ahead")).record) == "Diverged"
    assert verdict(head, forked.record) == "Diverged"


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.data())
def test_a_counting_record_with_any_bit_changed_never_counts(sizes: list[int], data: st.DataObject) -> None:
    here = history(sizes)[-1]
    at = data.draw(st.integers(0, len(here.record) - 1))
    changed = bytearray(here.record)
    changed[at] ^= 1 << data.draw(st.integers(0, 7))

    assert verdict(here.before, bytes(changed)) != "counts"
    if at > here.record.index(b"\n"):
        assert verdict(here.before, bytes(changed)) == "Broken"


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.data())
def test_a_torn_or_padded_record_is_broken(sizes: list[int], data: st.DataObject) -> None:
    here = history(sizes)[-1]
    end = data.draw(st.integers(here.record.index(b"\n") + 1, len(here.record) - 1))

    assert verdict(here.before, here.record[:end]) == "Broken"
    for tail in (b"{}", b"{}\n", b"\n", b"\0"):
        assert verdict(here.before, here.record + tail) == "Broken"


@given(st.lists(st.integers(1, 5), min_size=1, max_size=10), st.randoms(use_true_random=False))
def test_readers_agree_whatever_lies_between(sizes: list[int], random: Random) -> None:
    blocks, log = history(sizes), list[bytes]()
    for n, block in enumerate(blocks):
        log.append(block.record)
        zombies = [seal(OURS, lines("z")).record, blocks[random.randrange(n + 1)].record]
        log += random.sample([b"junk", seal(OTHERS, lines("x")).record, *zombies], random.randrange(4))
    head, mark, counted = OURS, OURS.mark, list[bytes]()
    for record in log:
        try:
            head = accept(head, record).after
            mark = judge(mark, record).after
            counted.append(record)
        except Void:
            continue

    assert counted == [block.record for block in blocks]
    assert head == blocks[-1].after
    assert mark == head.mark, "headers alone tell the same"


@pytest.mark.parametrize("head", [OURS, OURS.extend([b"x"] * 7)])
def test_a_block_beyond_the_limits_is_broken(head: Head) -> None:
    full = [b"x" * (LINE_BYTES_MAX - 1)] * (BLOCK_BYTES_MAX // LINE_BYTES_MAX - 1)
    room = BLOCK_BYTES_MAX - len(seal(head, [*full, b""]).record)

    assert verdict(head, seal(head, [b"x" * LINE_BYTES_MAX]).record) == "counts"
    assert verdict(head, seal(head, [b"x" * (LINE_BYTES_MAX + 1)]).record) == "Broken"
    assert len(seal(head, [*full, b"x" * room]).record) == BLOCK_BYTES_MAX
    assert verdict(head, seal(head, [*full, b"x" * room]).record) == "counts"
    assert verdict(head, seal(head, [*full, b"x" * (room + 1)]).record) == "Broken"


def test_a_block_without_events_is_broken() -> None:
    header = seal(OURS, lines("one")).record.split(b"\n")[0]
    assert verdict(OURS, header + b"\n") == "Broken"


def test_positions_of_a_block_follow_from_its_head() -> None:
    head = OURS.extend(lines("one", "two"))
    block = accept(head, seal(head, lines("three", "four")).record)

    assert (block.start, block.after.size, list(block.lines)) == (3, 4, lines("three", "four"))


HEADER = b'{"gridledger":1,"log":"%b","size":0,"root":"%b","kind":"block","next_size":1,"next_root":"%b"}\n'


def test_the_header_is_read_in_exactly_one_form() -> None:
    log, root, next_root = b"a" * 32, b"0" * 64, b"f" * 64
    line = HEADER % (log, root, next_root)
    assert read_header(line) == Header(LogId("a" * 32), 0, "0" * 64, "block", 1, "f" * 64)
    for right, wrong in (
        (b":1,", b":2,"),
        (b'"size":0', b'"size":00'),
        (b'"size":0', b'"size":-1'),
        (b'"size":0', b'"size":1234567890123456'),
        (b'"size":0', b'"size":"0"'),
        (b'"next_size":1', b'"next_size":0'),
        (b'"block"', b'"Block"'),
        (log, b"A" * 32),
        (log, b"a" * 31),
        (next_root, b"f" * 63),
        (b"}\n", b"}\r\n"),
        (b"}\n", b"} \n"),
        (b"}\n", b"}"),
        (b"{", b" {"),
    ):
        assert read_header(line.replace(right, wrong)) is None, wrong
