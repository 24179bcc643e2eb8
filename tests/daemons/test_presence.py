"""Who is put offline for silence, and when."""

import pytest

from domain.ids import WorkerId
from domain.market import worker
from tests.daemons.rig import Killed, Rig
from worker_runtime.daemons.presence import Presence

SESSION = "0" * 8


def online(rig: Rig) -> WorkerId:
    id = rig.net.worker(rig.net.person("provider"))
    rig.net.online(id, SESSION)
    return id


async def pass_s(rig: Rig, presence: Presence, seconds: int, *alive: WorkerId) -> None:
    for _ in range(2 * seconds):
        rig.net.wait(500_000)
        for id in alive:
            presence.seen(id, SESSION)
        await presence.step()


def gone(rig: Rig) -> list[tuple[WorkerId, str, int]]:
    found = [it.event for it in rig.net.events if isinstance(it.event, worker.Offline)]
    return [(it.worker, it.reason, it.last_seen_us) for it in found]


async def test_who_gives_signs_of_life_stays_and_who_does_not_is_put_offline_with_its_last_one() -> None:
    rig = Rig()
    presence = rig.start_presence()
    loud, quiet = online(rig), online(rig)
    await pass_s(rig, presence, 5, loud, quiet)
    last_us = rig.net.now_us
    await pass_s(rig, presence, 9, loud)
    assert gone(rig) == []
    await pass_s(rig, presence, 2, loud)
    assert gone(rig) == [(quiet, "silent", last_us)]


async def test_after_a_start_everybody_gets_a_whole_interval() -> None:
    rig = Rig()
    online(rig)
    await pass_s(rig, rig.start_presence(), 9)
    await pass_s(rig, rig.start_presence(), 9)
    assert gone(rig) == []


async def test_a_process_that_was_held_up_gives_everybody_a_whole_interval() -> None:
    rig = Rig()
    presence = rig.start_presence()
    online(rig)
    await pass_s(rig, presence, 1)
    rig.net.wait(60_000_000)
    await pass_s(rig, presence, 9)
    assert gone(rig) == []


async def test_a_worker_that_comes_back_with_its_old_session_gets_a_whole_interval() -> None:
    rig = Rig()
    presence = rig.start_presence()
    id = online(rig)
    await pass_s(rig, presence, 9)
    rig.net.do(id, worker.GoOffline(worker=id), rig.world.workers[id].owner)
    rig.net.online(id, SESSION)
    await pass_s(rig, presence, 9)
    assert [reason for _, reason, _ in gone(rig)] == ["left"]


async def test_signs_of_life_of_another_session_do_not_count() -> None:
    rig = Rig()
    presence = rig.start_presence()
    id = online(rig)
    await pass_s(rig, presence, 1, id)
    for _ in range(24):
        rig.net.wait(500_000)
        presence.seen(id, "f" * 8)
        await presence.step()
    assert [reason for _, reason, _ in gone(rig)] == ["silent"]


async def test_a_silent_worker_is_put_offline_once_also_across_a_crash() -> None:
    rig = Rig()
    presence = rig.start_presence()
    online(rig)
    rig.dies_at = "Silence"
    with pytest.raises(Killed):
        await pass_s(rig, presence, 12)
    rig.dies_at = ""
    await pass_s(rig, rig.start_presence(), 12)
    assert len(gone(rig)) == 1
