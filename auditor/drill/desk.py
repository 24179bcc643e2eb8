"""The desk of a dishonest operator: a true log taken apart, changed, and put together again so that whatever he can make right is right.

He holds what needs no signature: the house, the daemons' facts, time, numbers, ids, hashes, the bundle's files. He does not hold the keys
of people, agents, checkers and the payer: what they signed stays as it is, or stands there with a signature that does not fit.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import msgspec

from auditor.bundle import Bundle
from auditor.checks import draws
from auditor.facts import ChainLog, Facts
from domain.accounts import NO_MONEY
from domain.event import Event, Recorded
from domain.house import house, ledger
from domain.ids import HOUSE, AccountId, WorkerId, command_id
from domain.log import listing, wire
from domain.log.block import Kind, Void, accept, seal
from domain.log.listing import Listed, Manifest
from domain.log.merkle import Head, leaf_hash
from domain.proof import audit
from domain.world import World

T = TypeVar("T")
Line = dict[str, Any]
Where = Callable[[Line], bool]
SEGMENT = "log/segment-000000.ndjson"
ID = re.compile(rb"\b(account|worker|job|bench|audit|beacon|deposit|payout|batch)-([0-9]+)")
NEW = 1_000_000_000
"""Positions of invented events until they are numbered; their ids are made of them."""
KINDS: dict[str, Kind] = {"ledger.sealed.v1": "seal", "ledger.bound.v1": "bind"}
"""By the first event of a block."""
STEERS = {
    "ledger.leader_elected.v1": ("elect", "leader"),
    "ledger.sealed.v1": ("seal", "sealer"),
    "ledger.bound.v1": ("bind", "home"),
}
"""What the commands of these events are named by: a word, and a field."""
ROOTS = (("sealed_size", "sealed_root"), ("size", "root"))
"""Where events name heads of their own log."""
Able = list[tuple[WorkerId, AccountId, int]]


class NoPlace(Exception):
    """The log has no place for this fraud."""


class Original:
    """An honest bundle, read once."""

    def __init__(self, path: Path, told: Facts | None = None) -> None:
        """`told` is what the chain says; else what came with the bundle is taken for it. Raises `BadBundle`."""
        self.path, self.records, self.heads = path, list[bytes](), list[Head]()
        with Bundle(path) as bundle:
            self.manifest, self.receipts = bundle.manifest, bundle.receipts()
            self.chain = told or self.receipts
            head = Head(bundle.manifest.log)  # type: ignore[arg-type]
            for record in bundle.records():
                try:
                    head = accept(head, record.data).after
                except Void:
                    continue
                self.records.append(record.data)
                self.heads.append(head)
            listed = [it for it in self.manifest.files if it.path.startswith("evidence/")]
            self.evidence = {it.path: it for it in listed}
            self.objects = {name: _read(bundle, name) for name in sorted(self.evidence.keys() & bundle.names())}
        self.roots = {head.size: head.root for head in self.heads}
        self.lines = [record.split(b"\n")[1:-1] for record in self.records]
        self.keys, self.able = _followed([[wire.event(line) for line in lines] for lines in self.lines], self.heads)

    def draft(self) -> "Draft":
        return Draft(self)


def _read(bundle: Bundle, name: str) -> bytes:
    with bundle.open(name) as file:
        return file.read()


def _followed(blocks: Sequence[Sequence[Recorded[Event]]], heads: Sequence[Head]) -> tuple[dict[str, str], dict[int, Able]]:
    """The key of each command of the house, by its id; and who could be drawn for each audit, by its position."""
    world, keys, able = World(), dict[str, str](), dict[int, Able]()
    for events, head in zip(blocks, heads, strict=True):
        steered = events[0].pos == 1 or isinstance(events[0].event, ledger.STEERING)
        chores: Iterator[house.Chore] | None = None
        for it in events:
            if it.by == HOUSE and it.of[0] == 1 and not steered:
                chores = chores or house.chores(world, it.at_us, sum(each.by != HOUSE for each in events))
                keys[it.cmd] = next(chores)[0]
            if isinstance(it.event, audit.Opened):
                able[it.pos] = draws.able_checkers(world, world.tasks[it.event.task], ())
            if it is events[0]:
                world.begin_block(it.at_us)
            world.begin_event(it.pos, it.at_us)
            world.versions[it.stream] = it.ver
            world.post(it.entry or NO_MONEY)
            it.event.apply(world)
        world.end_block(events[0].at_us, head.size, head.root)
    return keys, able


class Draft:
    """A log on its way to be another one. Blocks and lines may be changed, dropped, moved and made; `seal` puts it together."""

    def __init__(self, original: Original) -> None:
        self.original = original
        self.blocks: list[list[Line]] = [[msgspec.json.decode(line) for line in lines] for lines in original.lines]
        self.keys = dict(original.keys)
        self.receipts, self.chain = original.receipts, original.chain
        """What will come with the bundle, and what the chain will say to whoever asks it."""
        self.numbered = True
        """Whether positions, versions, ids and the house's commands are made dense again."""
        self.after: Callable[[list[bytes]], list[bytes]] = lambda records: records
        """What is done to the records when they are sealed."""
        self.objects: dict[str, bytes | None] = {}
        """Other bytes for files of the bundle, listed as such; None: left out."""
        self.slipped: dict[str, bytes] = {}
        """Files that are changed or added behind the manifest's back."""
        self.named: Callable[[Manifest], Manifest] = lambda manifest: manifest
        """What is done to the manifest before it is sealed."""
        self._made = NEW

    # To look.

    def lines(self) -> Iterator[Line]:
        return (line for block in self.blocks for line in block)

    def all(self, kind: str, where: Where = lambda _: True) -> list[Line]:
        """Every line with an event of this kind (the stored name without its version) that fits."""
        name = f"{kind}.v1"
        return [line for line in self.lines() if line["event"]["type"] == name and where(line)]

    def pick(self, chance: Random, kind: str, where: Where = lambda _: True) -> Line:
        return chosen(chance, self.all(kind, where))

    def block_of(self, line: Line) -> int:
        return next(n for n, block in enumerate(self.blocks) if any(each is line for each in block))

    def command(self, line: Line) -> list[Line]:
        """All lines of its command."""
        return [each for each in self.blocks[self.block_of(line)] if each["cmd"] == line["cmd"]]

    # To change.

    def book(self, line: Line) -> None:
        """Gives a changed event the entry that it makes."""
        entry = entry_of(line)
        body = {"body": line.pop("body")} if "body" in line else {}
        line.pop("entry", None)
        line.update(({"entry": entry} if entry else {}) | body)

    def drop(self, line: Line) -> None:
        """Takes an event out; its command counts the rest."""
        rest = [each for each in self.command(line) if each is not line]
        block = self.blocks[self.block_of(line)]
        del block[next(n for n, each in enumerate(block) if each is line)]
        for which, each in enumerate(rest, 1):
            each["of"] = [which, len(rest)]
        self.blocks = [block for block in self.blocks if block]

    def new(self, event: Line, *, stream: str, by: str, key: str, at_us: int) -> Line:
        """A line of a command of its own; in ids `NEW` stands for its position."""
        self._made += 1
        cmd = command_id(by, key)  # type: ignore[arg-type]
        if by == HOUSE:
            self.keys[cmd] = key
        made = {"pos": self._made, "stream": stream, "ver": 1, "at_us": at_us, "cmd": cmd, "of": [1, 1], "by": by, "event": event}
        line: Line = msgspec.json.decode(msgspec.json.encode(made).replace(str(NEW).encode(), str(self._made).encode()))
        self.book(line)
        return line

    def time_between(self, at: int, chance: Random | None = None) -> int:
        """A time for a block that is put in before block `at`; there is room for one nearly always."""
        before = self.blocks[at - 1][0]["at_us"]
        after = self.blocks[at][0]["at_us"] if at < len(self.blocks) else before + 1_000_000
        if after - before < 2:
            raise NoPlace("no time between two blocks")
        return int(chance.randrange(before + 1, after)) if chance else int(before + 1)

    def retime(self, block: list[Line], at_us: int) -> None:
        """Tells the block at another time, its commands that are named by it too."""
        for line in block:
            key = self.keys.get(line["cmd"], "")
            if key.endswith(f"/{line['at_us']}"):
                key = f"{key.rpartition('/')[0]}/{at_us}"
                line["cmd"] = command_id(HOUSE, key)
                self.keys[line["cmd"]] = key
            line["at_us"] = at_us

    # To put together.

    def seal(self) -> list[bytes]:
        """Everything again as it should be: numbers, ids, commands of the house, heads that beacons and anchors name, and the records."""
        ends = self._number() if self.numbered else {}
        head, records, told = Head(self.original.manifest.log), list[bytes](), dict[int, str]()  # type: ignore[arg-type]
        for block in self.blocks:
            for line in block:
                self._retell(line["event"], ends, told)
            made = seal(head, [msgspec.json.encode(line) for line in block], KINDS.get(block[0]["event"]["type"], "block"))
            head = made.after
            told[head.size] = head.root
            records.append(made.record)
        if self.receipts:
            logs = tuple(self._anchored(log, ends, told) for log in self.receipts.logs)
            self.receipts = msgspec.structs.replace(self.receipts, logs=logs)
        return records

    def _number(self) -> dict[int, int]:
        """Dense positions and versions, ids that are positions, the house's commands by their keys. Returns where each old head is now."""
        moved = {line["pos"]: at for at, line in enumerate(self.lines(), 1)}
        if any(old != at for old, at in moved.items()):

            def renamed(found: re.Match[bytes]) -> bytes:
                number = int(found[2])
                return b"%b-%d" % (found[1], moved.get(number, number))

            for line in self.lines():
                changed = msgspec.json.decode(ID.sub(renamed, msgspec.json.encode(line)))
                line.clear()
                line.update(changed)
            self.keys = {cmd: ID.sub(renamed, key.encode()).decode() for cmd, key in self.keys.items()}
        versions = dict[str, int]()
        for at, line in enumerate(self.lines(), 1):
            versions[line["stream"]] = versions.get(line["stream"], 0) + 1
            line["pos"], line["ver"] = at, versions[line["stream"]]
            if steers := STEERS.get(line["event"]["type"]) if line["of"] == [1, 1] else None:
                line["cmd"] = command_id(HOUSE, f"{steers[0]}/{line['event'][steers[1]]}/{at}")
            elif key := self.keys.get(line["cmd"]):
                line["cmd"] = command_id(HOUSE, key)
        last = {line["pos"]: block[-1]["pos"] for block in self.blocks for line in block}
        return {old: last[at] for old, at in moved.items()}

    def _retell(self, event: Line, ends: dict[int, int], told: dict[int, str]) -> None:
        """A head that the event names truly is told as it is now."""
        for size, root in ROOTS:
            if root in event and self.original.roots.get(event[size]) == event[root]:
                now = ends.get(event[size], event[size])
                if now in told:
                    event[size], event[root] = now, told[now]

    def _anchored(self, log: ChainLog, ends: dict[int, int], told: dict[int, str]) -> ChainLog:
        """An anchor as the operator would have the chain say it."""
        if log.kind != "Anchored" or self.original.roots.get(int(log.amount)) != log.subject:
            return log
        now = ends.get(int(log.amount), int(log.amount))
        return msgspec.structs.replace(log, subject=told[now], amount=str(now)) if now in told else log

    def publish(self, shelf: "Shelf") -> None:
        """Writes the bundle."""
        records = self.seal()
        leaves = b"".join(leaf_hash(line) for record in records for line in record.split(b"\n")[1:-1])
        files: dict[str, bytes | None] = {SEGMENT: b"".join(self.after(records)), listing.LEAVES: leaves}
        if self.receipts:
            files[listing.RECEIPTS] = msgspec.json.format(msgspec.json.encode(self.receipts), indent=1) + b"\n"
        files |= self.objects
        listed = [Listed(name, sha256(data).hexdigest(), len(data)) for name, data in files.items() if data is not None]
        listed += [it for name, it in self.original.evidence.items() if name not in files]
        head = Head(self.original.manifest.log)  # type: ignore[arg-type]
        for record in records:
            head = head.extend(record.split(b"\n")[1:-1])
        manifest = msgspec.structs.replace(self.original.manifest, size=head.size, root=head.root, files=tuple(sorted_by_path(listed)))
        written = {name: data for name, data in files.items() if data is not None} | self.slipped
        written[listing.MANIFEST] = listing.sealed_manifest(self.named(manifest))
        shelf.put({name: data for name, data in self.original.objects.items() if name not in files} | written)


def chosen(chance: Random, of: Sequence[T]) -> T:
    """Raises `NoPlace`."""
    if not of:
        raise NoPlace("the log has nothing of the kind")
    return of[chance.randrange(len(of))]


def entry_of(line: Line) -> list[list[str]]:
    """The entry that a line's event makes."""
    plain = {name: value for name, value in line.items() if name not in {"entry", "body"}}
    recorded = wire.event(msgspec.json.encode(plain))
    return [[account, str(int(amount))] for account, amount in recorded.event.entry()]


def sorted_by_path(listed: Sequence[Listed]) -> list[Listed]:
    return sorted(listed, key=lambda it: it.path)


class Shelf:
    """A folder for one bundle after the other: only what differs is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._there = dict[str, bytes]()
        for folder in ("log", "evidence", "chain"):
            (path / folder).mkdir(parents=True)

    def put(self, files: dict[str, bytes]) -> None:
        for name in self._there.keys() - files.keys():
            (self.path / name).unlink()
        for name, data in files.items():
            if self._there.get(name) != data:
                (self.path / name).write_bytes(data)
        self._there = files

    def digest(self) -> str:
        """Of all that lies there."""
        return sha256(b"".join(b"%b %b" % (name.encode(), sha256(data).digest()) for name, data in sorted(self._there.items()))).hexdigest()
