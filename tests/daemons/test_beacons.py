"""Beacons that the watch brings: the lawful block of each grid time, once it is final."""

from domain.proof import beacon
from tests.daemons.rig import Rig


async def waiting_for_beacon(rig: Rig) -> int:
    """A worker that came online waits for its bench, and so for this grid time."""
    owner = rig.net.person("provider")
    rig.net.online(rig.net.worker(owner))
    grid = rig.world.next_grid_us()
    assert grid is not None
    return grid


async def drawn(rig: Rig) -> list[tuple[int, int, str]]:
    return [(it.event.grid_us, it.event.block_number, it.event.block_hash) for it in rig.net.events if isinstance(it.event, beacon.Drawn)]


async def test_the_beacon_is_the_first_block_at_or_after_its_time_and_only_once_it_is_final() -> None:
    rig = Rig("standard")
    grid = await waiting_for_beacon(rig)
    due_s = (grid + rig.world.policy.delay_us) // 1_000_000
    while (await rig.chain.head()).timestamp_s < due_s + 11:
        await rig.pass_s(1, payer=False)
    assert await drawn(rig) == []
    await rig.pass_s(2, payer=False)
    [lawful] = [mined.block for mined in rig.chain.blocks if mined.block.timestamp_s == due_s]
    assert await drawn(rig) == [(grid, lawful.number, lawful.hash)]


async def test_of_blocks_that_share_the_timestamp_the_first_is_the_beacon_also_if_blocks_skipped_its_time() -> None:
    rig = Rig()
    grid = await waiting_for_beacon(rig)
    due_s = -(-(grid + rig.world.policy.delay_us) // 1_000_000)
    rig.chain.mine(timestamp_s=due_s - 1)
    first = len(rig.chain.blocks)
    for _ in range(3):
        rig.chain.mine(timestamp_s=due_s + 4)
    rig.net.wait(due_s * 1_000_000 + 5_000_000 - rig.net.now_us)
    await rig.watch.step()
    assert await drawn(rig) == [(grid, first, rig.chain.blocks[first].block.hash)]


async def test_no_beacon_is_drawn_that_nobody_waits_for() -> None:
    rig = Rig()
    await rig.pass_s(10)
    assert await drawn(rig) == []


async def test_a_beacon_whose_block_was_replaced_before_it_was_final_is_the_block_that_stayed() -> None:
    rig = Rig("standard")
    grid = await waiting_for_beacon(rig)
    due_s = (grid + rig.world.policy.delay_us) // 1_000_000
    while (await rig.chain.head()).timestamp_s < due_s + 3:
        await rig.pass_s(1, payer=False)
    rig.chain.reorg(6)
    rig.chain.mine(6)
    await rig.pass_s(12, payer=False)
    [lawful] = [mined.block for mined in rig.chain.blocks if mined.block.timestamp_s == due_s]
    assert await drawn(rig) == [(grid, lawful.number, lawful.hash)]


async def test_beacons_come_strictly_in_order_after_a_long_silence() -> None:
    rig = Rig()
    await waiting_for_beacon(rig)
    for _ in range(10):
        rig.net.wait(1_000_000)
        rig.chain.mine()
    await rig.pass_s(1)
    grids = [grid for grid, _, _ in await drawn(rig)]
    assert grids == sorted(grids)
    assert len(grids) >= 1
