"""What a run has to show besides its figure: a number that was reached by losing something is none."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import aclosing, suppress
from pathlib import Path

from adapters.files.home import Home
from domain.ids import LogId
from domain.log import snapshot
from domain.log.block import Broken, Diverged, Void, read_header
from domain.log.ledger import Ledger
from domain.log.log import Log
from domain.log.merkle import Head
from domain.log.receipts import Receipt
from roles.ledger import opened

BALANCE, DENSE, ACKNOWLEDGED = "entries balance", "positions dense, seen once by a tailing reader", "acknowledged there after kill -9"
FOLD = "benchmark"
COME_S_MAX = 20.0


def frozen(ledger: Ledger) -> bytes:
    """Where a ledger stands before a round, to go on from when it is over."""
    return snapshot.freeze(ledger, FOLD)


async def after_kill(log: Log, before: bytes, acknowledged: Sequence[bytes]) -> dict[str, str]:
    """Fold what the round wrote, entry by entry, and look for every receipt that a client holds."""
    head = snapshot.read_header(before)
    ledger, lines = snapshot.thaw(before, head.log, FOLD), dict[int, bytes]()
    try:
        async with aclosing(log.read(head.size)) as records:
            async for record in records:
                with suppress(Void):
                    folded = ledger.fold(record)
                    lines.update(zip(range(folded.block.start, folded.block.after.size + 1), record.split(b"\n")[1:-1], strict=True))
    except (Broken, Diverged) as fault:
        return {BALANCE: str(fault), ACKNOWLEDGED: "the log cannot be folded"}
    return {BALANCE: unbalanced(ledger), ACKNOWLEDGED: missing(lines, acknowledged)}


def unbalanced(ledger: Ledger) -> str:
    """The first assets whose accounts do not sum to zero; empty if there is none."""
    totals = dict[str, int]()
    for account, amount in ledger.world.balances.items():
        asset = account.partition(":")[0]
        totals[asset] = totals.get(asset, 0) + int(amount)
    return "; ".join(f"{asset} sums to {total}" for asset, total in totals.items() if total)


async def folds(log: Log, id: LogId, head: Head) -> dict[str, str]:
    """Whether the log folds, entry by entry, to the head of whoever appended: what was acknowledged to it is there, byte for byte."""
    ledger = Ledger(Head(id))
    try:
        async with aclosing(log.read()) as records:
            async for record in records:
                with suppress(Void):
                    ledger.fold(record)
    except (Broken, Diverged) as fault:
        return {BALANCE: str(fault), ACKNOWLEDGED: "the log cannot be folded"}
    there = "" if ledger.head == head else f"the log folds to {ledger.head.size}, not to {head.size}, which was acknowledged"
    return {BALANCE: unbalanced(ledger), ACKNOWLEDGED: there}


def body(receipt: Receipt) -> bytes:
    """As the API answers it."""
    return b'{"position":%d,"events":[%b]}' % (receipt.position, b",".join(receipt.lines))


def missing(lines: dict[int, bytes], acknowledged: Sequence[bytes]) -> str:
    """The first receipt of which an event is not in the log, byte for byte; empty if there is none."""
    for answer in acknowledged:
        head, _, rest = answer.partition(b',"events":[')
        first = position = int(head.removeprefix(b'{"position":'))
        rest = rest.removesuffix(b"]}")
        while rest or position == first:
            line = lines.get(position)
            if line is None or not rest.startswith(line):
                return f"position {position} is not as it was acknowledged"
            rest, position = rest[len(line) :].removeprefix(b","), position + 1
    return ""


class Tail:
    """A reader that follows the log while it grows, in a process of its own: what it saw, and whether once."""

    def __init__(self, home: Path, uri: str, after: int) -> None:
        command = [sys.executable, "-m", "benchmarks.checks", str(home), uri, str(after)]
        self._process = subprocess.Popen(command, cwd=Path(__file__).parent.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def end(self, size: int) -> str:
        """What was wrong with what it saw up to this size; empty if nothing."""
        said, _ = self._process.communicate(f"{size}\n".encode(), timeout=60)
        told = json.loads(said or b'{"fault": "the tailing reader died"}')
        return str(told["fault"])


class Seen:
    """How far a reader came, and what was wrong on the way."""

    def __init__(self, after: int) -> None:
        self.size, self.fault = after, ""

    async def follow(self, log: Log) -> None:
        async with aclosing(log.read(self.size, follow=True)) as records:
            async for record in records:
                header = read_header(record)
                if header is None or header.next_size <= self.size:
                    continue
                if header.size != self.size or record.count(b"\n") - 1 != header.next_size - header.size:
                    self.fault = self.fault or f"position {self.size + 1} was not what came after {self.size}"
                self.size = header.next_size


async def tail(home: Path, uri: str, after: int) -> str:
    """What was wrong up to the size that standard input tells last."""
    seen = Seen(after)
    async with opened(Home.open(home), uri) as log:
        following = asyncio.ensure_future(seen.follow(log))
        size = int(await asyncio.to_thread(sys.stdin.readline) or 0)
        end = time.monotonic() + COME_S_MAX
        while seen.size < size and time.monotonic() < end and not following.done():  # noqa: ASYNC110 - once, at the end
            await asyncio.sleep(0.02)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    return seen.fault or ("" if seen.size >= size else f"the tailing reader came to position {seen.size}, not to {size}")


def main(arguments: Iterator[str]) -> None:
    home, uri, after = Path(next(arguments)), next(arguments), int(next(arguments))
    print(json.dumps({"fault": asyncio.run(tail(home, uri, after))}))


if __name__ == "__main__":
    main(iter(sys.argv[1:]))
