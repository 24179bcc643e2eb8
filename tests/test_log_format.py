"""docs/log-format.md is enough for a stranger to check a log of ours, and its example is what our code writes."""

import ast
import json
import re
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from domain.accounts import Asset
from domain.event import Event, Recorded
from domain.house import ledger
from domain.ids import HOUSE, AccountId, Actor, DepositId, LogId, account_id, command_id
from domain.log import block, merkle, wire
from domain.log.merkle import Head
from domain.treasury import deposit
from domain.units import Units
from tests import stranger
from tests.log.ledgers import LOG, NOW_US, START, final, opened, opening, seen

PAGE = Path(__file__).parent.parent / "docs" / "log-format.md"
STRANGER = Path(stranger.__file__)
EXAMPLE = Head(LogId(sha256(b"example").hexdigest()[:32]))
WATCH, USDC = AccountId(Actor("account-5")), Asset("usdc")


def example() -> list[bytes]:
    """The records of section 9."""
    facts = (DepositId("deposit-2"), AccountId(Actor("")), USDC, f"0x{'ab' * 32}", 0, 7, Units(25_000_000))
    events: list[tuple[Event, int, int, Actor, str]] = [
        (ledger.Opened(EXAMPLE.log, 1, (USDC,), "demo"), 1, 0, HOUSE, "genesis"),
        (deposit.Seen(*facts), 1, 1_500_000, WATCH, f"see/{facts[3]}/0"),
        (deposit.Finalised(*facts, False), 2, 1_500_000, WATCH, f"finalise/{facts[3]}/0"),
    ]
    lines = []
    for pos, (event, ver, after_us, by, key) in enumerate(events, 1):
        where = pos, event.stream, ver, NOW_US + after_us, command_id(by, key), (1, 1), by
        lines.append(wire.encode(Recorded(*where, event, event.entry())))
    first = block.seal(EXAMPLE, lines[:1])
    return [first.record, block.seal(first.after, lines[1:]).record]


def section_nine() -> str:
    """As it should be."""
    records = b"".join(example())
    head, rows = EXAMPLE, []
    for line in (line for record in example() for line in record.split(b"\n")[1:-1]):
        head = head.extend([line])
        frontier = " ".join(f"`{node.hex()[:16]}…`" for node in head.frontier)
        rows.append(f"| position {head.size} | `{merkle.leaf_hash(line).hex()[:16]}…` | {frontier} | `{head.root}` |")
    balances = json.dumps(stranger.verify(EXAMPLE.log, records)["balances"])
    return (
        f"```log\n{records.decode()}```\n\n| after | leaf hash of its line | frontier | root |\n|---|---|---|---|\n"
        + "\n".join(rows)
        + f"\n\nBalances after position 3:\n\n```json\n{balances}\n```\n"
    )


def test_the_example_is_what_our_code_writes() -> None:
    assert section_nine() in PAGE.read_text(encoding="utf-8")


def test_the_page_gives_the_pattern_of_headers_and_the_limits_that_we_use() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert f"\n    {block.HEADER_LINE.pattern.decode()}\n" in page
    assert f"at most {block.LINE_BYTES_MAX:,} bytes without its LF" in page
    assert f"at most {block.BLOCK_BYTES_MAX:,} bytes in all" in page
    assert f"`{wire.DECIMAL.pattern}`" in page
    assert merkle.EMPTY.hex() in page


def test_the_page_tells_every_member_of_a_line_in_its_order() -> None:
    section = PAGE.read_text(encoding="utf-8").partition("## 5.")[2].partition("## 6.")[0]

    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(Recorded.__struct_fields__)


def test_the_stranger_knows_nothing_of_ours() -> None:
    source = STRANGER.read_text(encoding="utf-8")
    imported = {
        name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }

    assert imported <= sys.stdlib_module_names
    assert source.count("\n") <= 60


def a_log() -> tuple[list[bytes], dict[str, object]]:
    """Records of a ledger with money in it, and what it knows at the end."""
    live, first = opened()
    records = [first.record]
    for n in range(1, 40):
        now_us = NOW_US + n * 1_000_000
        receipt = live.decide(opening(n, now_us), now_us)
        live.decide(seen(n, account_id(receipt.position), 9_000_000 + n * 100_000), now_us)
        if n % 3:
            live.decide(final(n), now_us)
        if n % 4 == 0 and (sealed := live.seal(now_us)):
            records.append(sealed.record)
    balances = {str(name): amount for name, amount in sorted(live.world.balances.items())}
    last = live.seal(NOW_US + 10**9)
    records += [last.record] if last else []
    return records, {"size": live.head.size, "root": live.head.root, "balances": balances}


def test_a_stranger_checks_a_log_of_ours(tmp_path: Path) -> None:
    records, expected = a_log()
    zombie = block.seal(START, [b'{"pos":1}']).record
    foreign = block.seal(Head(LogId("b" * 32)), [b'{"pos":1}']).record
    noisy = [each for record in records for each in (record, zombie, records[0], foreign)]
    for name, bytes_ in (("plain", b"".join(records)), ("noisy", b"".join(noisy))):
        file = tmp_path / name
        file.write_bytes(bytes_)
        done = subprocess.run(
            [sys.executable, "-I", str(STRANGER), LOG, str(file)], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.stderr == ""
        assert json.loads(done.stdout) == expected, name
    assert len(dict(expected["balances"])) > 20  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        (b'"amount":"9100000"', b'"amount":"9100001"', "broken at [0-9]+: root"),
        (b'"usdc:1120.inbound","9100000"', b'"usdc:1120.inbound","9100001"', "broken at 14: balance"),
        (b'"pos":14', b'"pos":15', "broken at 14: order"),
        (b'"size":12', b'"size":13', "diverged at 13"),
    ],
)
def test_a_stranger_finds_what_was_changed(right: bytes, wrong: bytes, says: str) -> None:
    data = b"".join(a_log()[0])
    assert right in data
    with pytest.raises(AssertionError, match=says):
        stranger.verify(LOG, data.replace(right, wrong, 1))


def test_a_stranger_finds_what_was_dropped() -> None:
    records = a_log()[0]
    with pytest.raises(AssertionError, match="diverged"):
        stranger.verify(LOG, b"".join([*records[:2], *records[3:]]))
