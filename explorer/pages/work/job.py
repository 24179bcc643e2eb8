"""A job: its frames as a wall, its attempts as lanes, its money, its events."""

from collections.abc import Sequence
from typing import ClassVar

from msgspec import UNSET

from domain import units
from domain.ids import Actor, WorkerId
from domain.units import Units
from domain.value import Value
from explorer import states
from explorer.drawing import charts, costs, lanes, wall
from explorer.look import Look, Wrong, encode
from explorer.model import Model, Table
from explorer.pages.work import bids
from explorer.words import count, listed, seconds
from projections.explorer.audits import Audit, Round
from projections.explorer.events import Line
from projections.explorer.jobs import Job
from projections.explorer.tasks import Attempt, Task
from projections.explorer.workers import Standing, Worker
from projections.finance.balances import Balance
from projections.finance.journal import StatementLine

PIECES, PICTURED, ATTEMPTS, LINES = 400, 24, 200, 15
MATCHES, ENTRIES, SPOTTED = 25, 12, 24
"""Attempts in a table, lines of the escrow, pieces whose drawn regions are shown."""
ORDER = ("accepted", "auditing", "committed", "leased", "overdue", "rejected", "waiting")


class Piece(Value):
    """A task on the wall."""

    task: Task
    state: str
    elapsed_us: int
    """Since it was leased."""
    expected_us: int
    """What the worker's score promises; zero: it has none."""
    limit: Units
    """What it costs at most."""
    picture: str
    """Where the picture of what was delivered is; empty: there is none to show."""
    spots: list[wall.Spot]
    """What the checkers of its audit look at, while it is one, or looked at when it was rejected."""

    @property
    def share(self) -> int:
        """How much of it should be done, in percent: an estimate."""
        return min(95, 100 * self.elapsed_us // self.expected_us) if self.expected_us else 0


class Picture(Value):
    """A frame of the job."""

    number: int
    pieces: list[Piece]

    @property
    def accepted(self) -> int:
        return sum(states.look(each.state) == "accepted" for each in self.pieces)

    @property
    def state(self) -> str:
        """That of its least finished piece; accepted when all are."""
        looks = {states.look(each.state): each.state for each in self.pieces}
        first = next(each for each in ("rejected", "overdue", "auditing", "committed", "leased", "waiting", "accepted") if each in looks)
        return looks[first]


class Money(Value):
    """Of the escrow: all of its parts, which add up to it."""

    hold: int
    spent: int
    locked: int
    free: int
    kept: int | None
    """Of what is free: what the waiting pieces cost at most. None: not all pieces are here to be added up."""
    bar: list[charts.Part]
    earned: int | None
    """Of what is spent: by workers. None: not all attempts are here to be added up."""
    curve: costs.Curve | None


class Entry(Value):
    """A line of the escrow, and what was free in it after that."""

    line: StatementLine
    free: int

    @property
    def posting(self) -> str:
        return f"{self.line.position}-{self.line.line}"


class Page(Model):
    template: ClassVar[str] = "job.html"
    section: ClassVar[str] = "Jobs"
    job: Job
    lead: str
    state: str
    money: Money | None
    shape: wall.Shape
    frames: list[Picture]
    counts: dict[str, int]
    """Pieces of the job, by their looks."""
    next: int | None
    """The first piece of the next page of the wall."""
    first_us: int
    """When the first piece was accepted, of those that are here; zero: none was."""
    lanes: lanes.Lanes | None
    bids: bids.Bids | None
    rows: Sequence[Attempt]
    """Matches, the newest first, each with its proof."""
    older: str | None
    entries: list[Entry]
    lines: Sequence[Line]

    @property
    def title(self) -> str:
        return self.job.job

    @property
    def records(self) -> Table:
        return Table(Attempt, self.rows)

    @property
    def about(self) -> str:
        return self.job.job

    @property
    def legend(self) -> list[tuple[str, int]]:
        """Every state while the job goes on, so that nothing moves when the first or the last piece of one comes or goes."""
        return [(name, self.counts.get(name, 0)) for name in ORDER if self.counts.get(name) or not self.job.closed_us]

    @property
    def part(self) -> str:
        """Which frames are shown, if not all are."""
        if not 0 < len(self.frames) < int(self.job.frames or 0):
            return ""
        first, last = self.frames[0].number, self.frames[-1].number
        shown = f"frame {first:,}" if first == last else f"frames {first:,} to {last:,}"
        return f"{shown} of {self.job.frames:,}"

    @property
    def progress(self) -> list[charts.Part]:
        """Of the whole job, if not all of it is shown."""
        return charts.bar([(name, self.counts.get(name, 0)) for name in ORDER]) if self.part else []

    @property
    def pictured(self) -> bool:
        """Whether the wall has room for pictures."""
        return len(self.frames) <= PICTURED


async def model(look: Look) -> Page:
    job = await look.need(Job, look.path["job"])
    start = first_piece(look.query.get("from", "1"))
    after = (f"{job.job}/{start - 1}",) if start > 1 else None
    found = await look.page(Task, {"job": job.job}, after=after, newest=False, limit=pieces_max(job))
    newest = await look.page(Attempt, {"job": job.job}, by="leased_position", limit=ATTEMPTS)
    attempts, all_here = newest.rows, not newest.next
    standings, shown = await standing(look, [*found.rows, *attempts]), set(lanes.workers(attempts))
    shows = await look.shows(job)
    rounds = await looked_at(look, found.rows) if len(found.rows) <= PICTURED * (job.groups or 1) else {}
    pieces = [piece(job, row, standings, look.now_us, rounds.get(str(row.audit), []), shows=shows) for row in found.rows]
    matches = await look.page(
        Attempt,
        {"job": job.job},
        by="leased_position",
        after=look.cursor(Attempt, {"job": job.job}, "leased_position"),
        limit=MATCHES,
    )
    whole = start == 1 and not found.next
    return Page(
        job,
        lead(job, pieces if whole else []),
        states.of_job(job),
        money(job, pieces if whole else None, attempts, look.now_us, all_here=all_here),
        wall.shape(job),
        frames(pieces),
        counts(job, pieces if whole else None),
        start + len(pieces) if found.next else None,
        min((each.task.accepted_us for each in pieces if each.task.accepted_us), default=0),
        lanes.draw(attempts, standings, look.now_us, live=look.as_of is None and job.closed_us is UNSET, away=await away(look, attempts)),
        bids.bids(job, attempts, {key: row for key, row in standings.items() if key[0] in shown}, look.world, look.now_us),
        matches.rows,
        encode(matches.next) if matches.next else None,
        await entries(look, job),
        (await look.page(Line, {"stream": job.job}, limit=LINES)).rows,
    )


async def away(look: Look, attempts: Sequence[Attempt]) -> dict[str, lanes.Away]:
    """Of those who worked on it: who was convicted or went away since, and when."""
    found: dict[str, lanes.Away] = {}
    for id in lanes.workers(attempts):
        worker = await look.get(Worker, id)
        if worker is None:
            continue
        audit = (
            await look.get(Audit, worker.quarantine_audit)
            if (worker.quarantined_us or 0) > look.now_us and worker.quarantine_audit
            else None
        )
        if audit and audit.closed_us:
            found[id] = lanes.Away(int(audit.closed_us), "quarantined")
        elif worker.presence == "offline" and worker.offline_us:
            found[id] = lanes.Away(int(worker.offline_us), "offline")
    return found


async def looked_at(look: Look, tasks: Sequence[Task]) -> dict[str, list[Round]]:
    """Of the audits that go on, or that ended in a rejection which nobody has made good yet: their rounds."""
    audits = [str(row.audit) for row in tasks if row.audit and (row.status == "auditing" or (row.status == "ready" and row.rejected))]
    return {audit: list((await look.page(Round, {"audit": audit}, newest=False)).rows) for audit in audits[:SPOTTED]}


async def entries(look: Look, job: Job) -> list[Entry]:
    """The newest lines of the escrow."""
    balance = await look.get(Balance, f"{job.asset}:2120.unallocated.{job.job}")
    free, found = -int(balance.amount) if balance else 0, list[Entry]()
    for line in (await look.page(StatementLine, {"owner": job.job}, limit=ENTRIES)).rows:
        found.append(Entry(line, free))
        free += int(line.amount)
    return found


def first_piece(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 9 and int(text) > 0):
        raise Wrong("`from` is the number of a piece.")
    return int(text)


def pieces_max(job: Job) -> int:
    """Whole frames only."""
    groups = job.groups or 1
    return max(PIECES // groups, 1) * groups


async def standing(look: Look, rows: Sequence[Task | Attempt]) -> dict[tuple[str, str], Standing]:
    """Score and bid of everybody in it, in the class in which he worked: as the ledger has them now, or had them then."""
    wanted = sorted({(str(row.worker), str(row.cls)) for row in rows if row.worker})
    if world := look.world:
        its = {key: world.workers[WorkerId(Actor(key[0]))].classes.get(key[1]) for key in wanted if key[0] in world.workers}
        return {key: Standing(*key, price_per_kwu=Units(each.price), score=each.score) for key, each in its.items() if each}
    found = [await look.get(Standing, *key) for key in wanted]
    return {key: row for key, row in zip(wanted, found, strict=True) if row}


def piece(
    job: Job, row: Task, standings: dict[tuple[str, str], Standing], now_us: int, rounds: Sequence[Round] = (), *, shows: bool
) -> Piece:
    expected_us = expected(row, standings) if row.status == "leased" else 0
    elapsed_us = max(0, now_us - (row.leased_us or 0)) if row.leased_us else 0
    limit = units.price(job.limit_price or units.ZERO, row.wu_milli or 0)
    delivered = shows and row.proof_position and row.status != "leased"
    picture = f"/pictures/{row.task}/{row.fence}.png" if delivered else ""
    spots = wall.spots(job, row.number or 1, rounds)
    return Piece(row, states.of_task(row, now_us, expected_us), elapsed_us, expected_us, limit, picture, spots)


def expected(row: Task | Attempt, standings: dict[tuple[str, str], Standing]) -> int:
    """How long the work takes at the worker's score, in microseconds; zero: nobody can tell."""
    its = standings.get((str(row.worker), str(row.cls)))
    return (row.wu_milli or 0) * 1_000_000 // its.score if its and its.score else 0


def counts(job: Job, pieces: Sequence[Piece] | None) -> dict[str, int]:
    """None: not all pieces are here, and the ledger does not tell those that are overdue or wait after a rejection from the others."""
    if pieces is not None:
        return {name: n for name in ORDER if (n := sum(states.look(each.state) == name for each in pieces))}
    known = {"accepted": job.accepted, "auditing": job.auditing, "committed": job.committed, "leased": job.leased, "waiting": job.ready}
    return {name: int(n) for name, n in known.items() if n}


def frames(pieces: Sequence[Piece]) -> list[Picture]:
    found: dict[int, list[Piece]] = {}
    for each in pieces:
        found.setdefault(each.task.frame or 0, []).append(each)
    return [Picture(number, parts) for number, parts in found.items()]


def money(job: Job, pieces: Sequence[Piece] | None, attempts: Sequence[Attempt], now_us: int, *, all_here: bool) -> Money | None:
    if job.hold is UNSET:
        return None
    hold, spent, locked = int(job.hold), int(job.spent), int(job.locked)
    free = hold - spent - locked
    kept = None if pieces is None or job.closed_us else sum(int(each.limit) for each in pieces if each.task.status == "ready")
    rest = [("waiting", kept), ("kept", free - kept)] if kept is not None else [("kept", free)]
    bar = charts.bar([("accepted", spent), ("leased", locked), *rest])
    earned = sum(int(each.earned) for each in attempts) if all_here else None
    return Money(hold, spent, locked, free, kept, bar, earned, costs.curve(job, attempts, now_us, whole=all_here))


def lead(job: Job, pieces: Sequence[Piece]) -> str:
    """What there is to say of it, in a sentence or two."""
    match job.status:
        case "submitted":
            return "It was submitted, and waits for its quote."
        case "quoted":
            return "It has its quote, and waits for its creator to open it and pay it into escrow."
        case "closed" | "archived":
            return closed(job)
        case "paused":
            return f"It is paused by {job.reason}; nothing new is leased."
    done = f"{job.accepted:,} of {count(job.tasks, 'piece')} {'is' if job.accepted == 1 else 'are'} accepted."
    return " ".join([done, *troubles(pieces)])


def closed(job: Job) -> str:
    took = seconds((job.closed_us or 0) - (job.opened_us or job.submitted_us or 0))
    if job.outcome != "completed":
        return f"It ended as {job.outcome} after {took}, {job.accepted:,} of {count(job.tasks, 'piece')} accepted."
    lost = [f"{job.rejected} rejected"] * bool(job.rejected) + [f"{job.failures} failed"] * bool(job.failures)
    extra = f" Of {count(job.attempts, 'attempt')}, {listed(lost)}; those pieces were done again." if lost else ""
    return f"All {count(job.tasks, 'piece')} {'was' if job.tasks == 1 else 'were'} accepted in {took}.{extra}"


def troubles(pieces: Sequence[Piece]) -> list[str]:
    """What keeps it from being done, by worker."""
    rejected: dict[str, int] = {}
    for each in pieces:
        if each.state == "rejected":
            rejected[str(each.task.worker)] = rejected.get(str(each.task.worker), 0) + 1
    said = [
        f"{count(n, 'piece')} of {worker} {'was rejected and waits' if n == 1 else 'were rejected and wait'} for someone else."
        for worker, n in rejected.items()
    ]
    late = [each for each in pieces if each.state == "overdue"]
    return said + [f"{each.task.worker} has shown nothing for {seconds(each.elapsed_us)}." for each in late[:3]]
