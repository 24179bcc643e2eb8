"""What was drawn and what things cost, computed from DOMAIN.md's words and from nothing of the code that decided it.

Only the inputs (who was online with which stake, what had been checked) come from the folded world.
"""

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from domain import accounts
from domain.event import Event
from domain.house import override
from domain.ids import AccountId, TaskId, WorkerId
from domain.parts import Audit, Task
from domain.proof import audit, bench, ruling
from domain.treasury import batch, payout, stake
from domain.work import job, task
from domain.world import World

MILLION = 10**6


class Value(NamedTuple):
    """Something that an event says, beside what it should say."""

    check: str
    what: str
    expected: object
    actual: object


def drawn(tag: str, block_hash: str, proof_pos: int, index: int) -> int:
    """u64 of DOMAIN.md §5.4: first 8 bytes, big-endian, of SHA-256(tag ‖ 32-byte value ‖ u64 position ‖ u32 index)."""
    whole = tag.encode("ascii") + bytes.fromhex(block_hash.removeprefix("0x")) + proof_pos.to_bytes(8, "big") + index.to_bytes(4, "big")
    return int(sha256(whole).hexdigest()[:16], 16)


def pick(u: int, n: int) -> int:
    return u * n >> 64


def regions(value: str, pos: int, index: int, tiles: int, seen: Sequence[int]) -> tuple[list[int], int]:
    """The tiles of one round, and the next index of the stream."""
    chosen = list[int]()
    for _ in range(min(3, tiles // 4) or 1):
        fresh = [n for n in range(tiles) if n not in seen and n not in chosen]
        candidates = fresh or [n for n in range(tiles) if n not in chosen]
        chosen.append(candidates[pick(drawn("gl/region/1", value, pos, index), len(candidates))])
        index += 1
    return sorted(chosen), index


def checkers(value: str, pos: int, index: int, count: int, able: Sequence[tuple[WorkerId, AccountId, int]]) -> tuple[list[WorkerId], int]:
    """Drawn by stake, one per owner, and the next index of the stream."""
    chosen, left = list[WorkerId](), list(able)
    while left and len(chosen) < count:
        ticket = pick(drawn("gl/checker/1", value, pos, index), sum(amount for _, _, amount in left))
        index += 1
        reached = 0
        for checker, owner, amount in left:
            reached += amount
            if ticket < reached:
                chosen.append(checker)
                left = [row for row in left if row[1] != owner]
                break
    return chosen, index


def able_checkers(world: World, of: Task, before: Sequence[WorkerId]) -> list[tuple[WorkerId, AccountId, int]]:
    """Online, same class, stake enough, and of nobody who has a part in it; by number. An owner's stake is shared by his checkers."""
    asset = world.jobs[of.job].asset if of.job else next(iter(world.assets))
    involved = {of.owner, *([world.jobs[of.job].creator] if of.job else [])}
    payees = {world.people[who].payout_address for who in involved} - {""}
    spent = {world.workers[who].owner for who in before}
    able = []
    for it in sorted((it for it in world.workers.values() if it.kind == "checker"), key=lambda it: int(it.id.split("-")[1])):
        amount = -world.balances.get(accounts.stake(asset, it.owner), 0)
        ready = it.presence == "online" and it.mode == "active" and not it.quarantined_us and of.cls in it.classes
        free = it.owner not in involved | spent and world.people[it.owner].payout_address not in payees
        if ready and free and amount >= world.policy.checker_stake_min:
            able.append((it.id, it.owner, amount))
    count = [owner for _, owner, _ in able].count
    return [(who, owner, max(1, amount // count(owner))) for who, owner, amount in able]


def chance(world: World, of: Task) -> int:
    """p in parts per million: certain for newcomers and for who has nothing to lose."""
    if not of.job:
        return MILLION
    asset = world.jobs[of.job].asset
    risk = -sum(world.balances.get(of_account(asset, of.owner), 0) for of_account in (accounts.stake, accounts.accrued))
    newcomer = world.workers[of.worker].classes[of.cls].clean < world.policy.warm_up
    if newcomer or not risk:
        return MILLION
    return min(MILLION, max(world.policy.audit_floor_ppm, (MILLION * of.price + risk - 1) // risk))


def shares(price: int, weights: Sequence[int]) -> list[int]:
    """By largest remainder, the earlier of equals first."""
    whole = [price * weight // sum(weights) for weight in weights]
    rest = [price * weight % sum(weights) for weight in weights]
    for _ in range(price - sum(whole)):
        most = rest.index(max(rest))
        whole[most] += 1
        rest[most] = -1
    return whole


def price(per_kwu: int, wu_milli: int) -> int:
    return (per_kwu * wu_milli + MILLION - 1) // MILLION


def ticket(world: World, of: TaskId) -> tuple[str, int]:
    """The beacon's value for a proof, and the proof's position."""
    it = world.tasks[of]
    value = next(draw.value for draw in world.draws if draw.subject == of)
    assert it.proof is not None
    return value, it.proof.pos


def opened(it: audit.Opened, world: World) -> Iterator[Value]:
    value, pos = ticket(world, it.task)
    of = world.tasks[it.task]
    yield from lottery(it, world, audited=True)
    tiles, used = regions(value, pos, 0, of.tiles, ())
    yield Value("regions", "regions", (tiles, used), (list(it.regions), it.drawn_regions))
    who, used = checkers(value, pos, 0, 1, able_checkers(world, of, ()))
    yield Value("checkers", "checkers", (who, used), (list(it.checkers), it.drawn_checkers))


def lottery(it: audit.Opened | ruling.Accepted, world: World, *, audited: bool) -> Iterator[Value]:
    value, pos = ticket(world, it.task)
    of = world.tasks[it.task]
    u, p_ppm = drawn("gl/lottery/1", value, pos, 0), chance(world, of)
    yield Value("lottery", "u", str(u), it.u)
    yield Value("lottery", "p_ppm", p_ppm, it.p_ppm)
    due = not of.job or u * MILLION < p_ppm << 64
    yield Value("lottery", "audited", due, audited)


def widened(it: audit.Widened, world: World) -> Iterator[Value]:
    of, before = world.tasks[it.task], world.audits[it.audit]
    seen = [tile for each in before.rounds for tile in each.regions]
    tiles, used = regions(before.value, before.proof_pos, before.drawn_regions, of.tiles, seen)
    yield Value("regions", "regions", (tiles, used), (list(it.regions), it.drawn_regions))
    asked = [checker for each in before.rounds for checker in each.checkers]
    who, used = checkers(before.value, before.proof_pos, before.drawn_checkers, 2, able_checkers(world, of, asked))
    yield Value("checkers", "checkers", (who, used), (list(it.checkers), it.drawn_checkers))


def second_look(it: audit.SecondLook, world: World) -> Iterator[Value]:
    of, before = world.tasks[it.task], world.audits[it.audit]
    value = next(look.value for look in world.looks if look.subject == it.audit)
    u, p_ppm = drawn("gl/second/1", value, before.proof_pos, 0), world.policy.second_look_ppm
    yield Value("lottery", "u", str(u), it.u)
    yield Value("lottery", "p_ppm", p_ppm, it.p_ppm)
    yield Value("regions", "regions", before.rounds[0].regions, list(it.regions))
    who = list[WorkerId]()
    if u * MILLION < p_ppm << 64:
        who, _ = checkers(value, before.proof_pos, 0, 1, able_checkers(world, of, before.rounds[0].checkers))
    yield Value("checkers", "checkers", who, list(it.checkers))


def closed(it: audit.Closed, world: World) -> Iterator[Value]:
    of = world.audits[it.audit]
    votes = [of.verdicts[checker] for each in of.rounds for checker in each.checkers if checker in of.verdicts]
    counts = [votes.count(name) for name in ("valid", "invalid", "inconclusive")]
    yield Value("tallies", "votes", counts, [it.valid, it.invalid, it.inconclusive])
    yield Value("tallies", "result", verdict_of(of), it.result)
    yield Value("tallies", "missed", [who for each in of.rounds for who in each.checkers if who not in of.verdicts], list(it.missed))


def verdict_of(of: Audit) -> str:
    valid, invalid = [list(of.verdicts.values()).count(name) for name in ("valid", "invalid")]
    return "invalid" if invalid >= 2 and invalid > valid else "valid" if valid > invalid else "inconclusive"


def accepted(it: ruling.Accepted, world: World) -> Iterator[Value]:
    of = world.tasks[it.task]
    if it.basis == "waived":
        yield from lottery(it, world, audited=False)
    else:
        yield Value("lottery", "u and p_ppm of the audit", (world.audits[it.audit].u, world.audits[it.audit].p_ppm), (it.u, it.p_ppm))
    parts = it.shares.worker, it.shares.checkers, it.shares.fee
    yield Value("shares", "price", of.price, it.price)
    yield Value("shares", "shares", shares(of.price, world.policy.shares_ppm), list(map(int, parts)))


def leased(it: task.Leased, world: World) -> Iterator[Value]:
    ask = int(world.workers[it.worker].classes[it.cls].price)
    yield Value("matching", "price", price(ask, world.tasks[it.task].wu_milli), it.price)


def quoted(it: job.Quoted, world: World) -> Iterator[Value]:
    of = world.jobs[it.job]
    rate = world.engines[of.engine].wu_milli_per_msample
    groups = of.tasks // of.frames
    each = max(1, -(-of.pixels * of.samples * rate // (MILLION * groups)))
    yield Value("quotes", "work", [(1, of.tasks, each)], [(*run.range, run.wu_milli) for run in it.wu])
    yield Value("quotes", "total", price(int(of.limit_price), each) * of.tasks, it.total)


def slashed(it: stake.Slashed, world: World) -> Iterator[Value]:
    penalty = it.gross * MILLION // it.p_ppm
    held = -world.balances.get(accounts.stake(it.asset, it.account), 0)
    left, taken = max(0, penalty - held), list[tuple[TaskId, int]]()
    for share in world.shares.values():
        if share.owner == it.account and share.asset == it.asset and share.amount and left and len(taken) < 100:
            taken.append((share.task, min(left, int(share.amount))))
            left -= taken[-1][1]
    expected = (min(penalty, held), sum(part for _, part in taken), taken, left)
    actual = (it.from_stake, it.from_accrued, [(part.task, int(part.amount)) for part in it.taken], it.shortfall)
    yield Value("slashes", "from stake, from accrued, taken, shortfall", expected, actual)


def scored(it: bench.Scored, world: World) -> Iterator[Value]:
    of = world.tasks[it.task]
    assert of.proof is not None
    seconds_us = of.proof.at_us - of.leased_us
    times = sorted([*world.workers[it.worker].classes[it.cls].seconds_us, seconds_us][-world.policy.benches :])
    yield Value("scores", "seconds_us", seconds_us, it.seconds_us)
    yield Value("scores", "score", max(1, of.wu_milli * MILLION // times[(len(times) - 1) // 2]), it.score)


def bench_opened(it: bench.Opened, world: World) -> Iterator[Value]:
    value = next((due.value for due in world.benches_due if (due.subject, due.cls) == (it.worker, it.cls)), None)
    if value:
        yield Value("scores", "seed", drawn("gl/bench/1", value, int(it.worker.split("-")[1]), 0) >> 32, it.seed)


def stands_still(_: Event, world: World) -> Iterator[Value]:
    """No new escrow and no payout while money is frozen."""
    yield Value("freezes", "money moves while it is frozen", False, world.frozen)


def overridden(it: override.Applied, world: World) -> Iterator[Value]:
    """A freeze by the watch alone, or two admins; a release by two admins, always. Numbers are dense, and it is done once."""
    yield Value("freezes", "number", world.overrides + 1, it.number)
    yield Value("freezes", "action", "release" if world.frozen else "freeze", it.action)
    if it.action == "release" or it.approver:
        second = world.people.get(AccountId(it.approver))  # type: ignore[arg-type]
        yield Value("freezes", "a second admin", True, bool(second and it.approval and "admin" in second.roles))


DRAWS: dict[type[Event], Callable[[Any, World], Iterator[Value]]] = {
    audit.Opened: opened,
    audit.Widened: widened,
    audit.SecondLook: second_look,
    audit.Closed: closed,
    ruling.Accepted: accepted,
    task.Leased: leased,
    job.Quoted: quoted,
    stake.Slashed: slashed,
    bench.Scored: scored,
    bench.Opened: bench_opened,
    override.Applied: overridden,
}
STILL = (job.Opened, payout.Requested, batch.Signed)
"""What does not happen while money is frozen."""


def recompute(event: Event, world: World) -> Iterator[Value]:
    """Values of this event beside what the world before it makes them."""
    if isinstance(event, STILL):
        return stands_still(event, world)
    return DRAWS[type(event)](event, world) if type(event) in DRAWS else iter(())
