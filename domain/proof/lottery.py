"""What is drawn from a beacon: whether a proof is audited, which of its regions, and by whom. Pure functions that anybody recomputes
(DOMAIN.md §5.4 and §5.5).

Every number is the first 8 bytes, big-endian, of SHA-256(tag ‖ 32-byte block hash ‖ u64 proof position ‖ u32 index).
"""

from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from domain import accounts
from domain.accounts import Asset
from domain.ids import AccountId, WorkerId, position, worker_id
from domain.parts import Worker
from domain.units import Units
from domain.world import World

MILLION = 1_000_000
RANGE = 1 << 64
LOTTERY, REGION, CHECKER, SECOND, BENCH = "gl/lottery/1", "gl/region/1", "gl/checker/1", "gl/second/1", "gl/bench/1"


def number(tag: str, value: str, proof_pos: int, index: int) -> int:
    """A number below 2^64. `value` is the beacon's block hash as 0x-prefixed hex."""
    preimage = tag.encode() + bytes.fromhex(value[2:]) + proof_pos.to_bytes(8, "big") + index.to_bytes(4, "big")
    return int.from_bytes(sha256(preimage).digest()[:8], "big")


def is_audited(u: int, p_ppm: int) -> bool:
    return u * MILLION < p_ppm * RANGE


def audit_ppm(world: World, worker: WorkerId, cls: str, gross: Units, asset: Asset) -> int:
    """How likely the proof is to be audited: certainly for a newcomer and for who has nothing to lose; else so that a lie costs more
    than it brings, and never less than the floor."""
    owner = world.workers[worker].owner
    at_risk = world.stake(asset, owner) + world.credit(accounts.accrued(asset, owner))
    if world.workers[worker].classes[cls].clean < world.policy.warm_up or not at_risk:
        return MILLION
    return min(MILLION, max(world.policy.audit_floor_ppm, -(-MILLION * gross // at_risk)))


def regions_per_round(tiles: int) -> int:
    return max(1, min(3, tiles // 4))


class Drawn(NamedTuple):
    """What was drawn, and how many numbers of the stream are used up."""

    picks: list[int]
    used: int


def draw_regions(value: str, proof_pos: int, index: int, tiles: int, before: Sequence[int]) -> Drawn:
    """Tiles of the task for the next round: none twice, while there are any that were not checked."""
    picks = list[int]()
    for _ in range(regions_per_round(tiles)):
        left = [tile for tile in range(tiles) if tile not in before and tile not in picks] or [
            tile for tile in range(tiles) if tile not in picks
        ]
        u = number(REGION, value, proof_pos, index)
        picks.append(left[u * len(left) >> 64])
        index += 1
    return Drawn(sorted(picks), index)


class Candidate(NamedTuple):
    checker: WorkerId
    owner: AccountId
    stake: int


def checker_candidates(world: World, cls: str, asset: Asset, parties: Sequence[AccountId], before: Sequence[WorkerId]) -> list[Candidate]:
    """Who may check: online, of the class, with stake enough, and independent of the parties (their owners and payout addresses) and
    of those who checked before. In numeric order. Checkers of one owner share his stake, so that more of them are drawn no more often."""
    addresses = [world.people[party].payout_address for party in parties if world.people[party].payout_address]
    owners = [*parties, *(world.workers[checker].owner for checker in before)]
    able = list[Worker]()
    for at in world.checkers.get(cls, ()):
        worker = world.workers[worker_id(at)]
        independent = worker.owner not in owners and world.people[worker.owner].payout_address not in addresses
        if independent and world.stake(asset, worker.owner) >= world.policy.checker_stake_min:
            able.append(worker)
    siblings = Counter(worker.owner for worker in able)
    return [Candidate(it.id, it.owner, max(1, world.stake(asset, it.owner) // siblings[it.owner])) for it in able]


class Checkers(NamedTuple):
    picks: list[WorkerId]
    used: int


def draw_checkers(value: str, proof_pos: int, index: int, count: int, candidates: Sequence[Candidate]) -> Checkers:
    """So many of the candidates, by stake, one per owner; fewer if there are no more."""
    left, picks = list(candidates), list[WorkerId]()
    while left and len(picks) < count:
        u = number(CHECKER, value, proof_pos, index)
        at = u * sum(each.stake for each in left) >> 64
        for candidate in left:
            if at < candidate.stake:
                break
            at -= candidate.stake
        picks.append(candidate.checker)
        left = [each for each in left if each.owner != candidate.owner]
        index += 1
    return Checkers(picks, index)


def bench_seed(value: str, worker: WorkerId) -> int:
    """The bench's scene seed, 32 bits."""
    return number(BENCH, value, position(worker), 0) >> 32
