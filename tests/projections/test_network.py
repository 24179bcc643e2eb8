"""History, attendance and map, against the log that they were folded from."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import pytest

from domain.accounts import USDC
from domain.event import Event, Recorded
from domain.market import worker
from domain.proof import bench, ruling
from domain.treasury import batch
from domain.work import task
from projections import catalog
from projections.explorer.workers import Worker
from projections.finance.balances import TrialLine
from projections.network import map as network_map
from projections.network.attendance import Session, WorkerDay, WorkerHour
from projections.network.history import EVER, LENGTHS_US, Flow, Pace, Period, Unit, at_work
from projections.row import Row
from tests.network import Network
from tests.projections.lives import ALL_ROWS, folded
from tests.projections.lives import network as lived

SEEDS = range(3)
R = TypeVar("R", bound=Row)
UNITS = list(LENGTHS_US)


async def rows(it: Network, kind: type[R], unit: str = "") -> list[R]:
    views = await folded(it.records, catalog.of(kind))
    return (await views.page(kind, where={"unit": unit} if unit else None, limit=ALL_ROWS)).rows


def online(event: Event) -> int:
    match event:
        case worker.Online(again=False):
            return 1
        case worker.Offline():
            return -1
    return 0


def means(events: Sequence[Recorded[Event]], length_us: int, change: Callable[[Event], int]) -> dict[int, float]:
    """The mean level of each period, by going through time from event to event."""
    level, last_us, areas = 0, events[0].at_us, dict[int, int]()
    end_us = (events[-1].at_us // length_us + 1) * length_us
    for at_us, step in [*((e.at_us, change(e.event)) for e in events), (end_us, 0)]:
        while last_us < at_us:
            until = min(at_us, (last_us // length_us + 1) * length_us)
            areas[last_us // length_us] = areas.get(last_us // length_us, 0) + level * (until - last_us)
            last_us = until
        level += step
    return {start: area / length_us for start, area in areas.items()}


@pytest.mark.parametrize("unit", UNITS)
async def test_every_event_and_byte_of_the_log_is_in_one_period(unit: Unit) -> None:
    it = lived(1)
    paces = await rows(it, Pace, unit)

    assert sum(row.events for row in paces) == len(it.events) == max(int(row.position or 0) for row in paces)
    assert sum(row.bytes for row in paces) == sum(len(record) - record.index(b"\n") - 1 for record in it.records)
    assert {row.start for row in paces} == {e.at_us // LENGTHS_US[unit] for e in it.events}


@pytest.mark.parametrize("seed", SEEDS)
async def test_what_was_done_is_the_same_in_each_unit(seed: int) -> None:
    it = lived(seed)
    views = await folded(it.records, catalog.of(Period))
    ever = (await views.get(Period, EVER, 0)).row
    assert ever is not None
    for name in ("jobs", "jobs_closed", "leases", "wu_milli", "accepted", "rejected", "online", "work"):
        for unit in UNITS:
            found = (await views.page(Period, where={"unit": unit}, limit=ALL_ROWS)).rows
            assert sum(getattr(row, name) for row in found) == getattr(ever, name)

    assert ever.accepted == sum(isinstance(e.event, ruling.Accepted) for e in it.events)
    assert ever.online == sum(each.presence == "online" for each in it.world.workers.values())
    assert ever.work == sum(each.status == "leased" for each in it.world.tasks.values())
    assert sum(row.leases for row in await rows(it, WorkerDay)) == ever.leases


@pytest.mark.parametrize(("name", "change"), [("online", online), ("work", at_work)])
async def test_level_and_area_give_the_mean_of_a_period(name: str, change: Callable[[Event], int]) -> None:
    it = lived(1)
    for unit, length_us in LENGTHS_US.items():
        level, expected = 0, means(it.events, length_us, change)
        for row in await rows(it, Period, unit):
            assert level + getattr(row, f"{name}_area_us") / length_us == pytest.approx(expected[row.start])
            level += getattr(row, name)


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_treasury_and_what_is_owed_are_those_of_the_trial_balance(seed: int) -> None:
    it = lived(seed)
    views = await folded(it.records, *(catalog.of(each) for each in (TrialLine, Flow, Worker)))
    trial = (await views.page(TrialLine, where={"asset": USDC})).rows
    ever = (await views.get(Flow, EVER, USDC, 0)).row
    days = (await views.page(Flow, where={"unit": "day", "asset": USDC}, limit=ALL_ROWS)).rows
    assert ever is not None

    assert ever.treasury == sum(line.amount for line in trial if line.code.startswith("1"))
    assert ever.owed == -sum(line.amount for line in trial if line.code.startswith("2"))
    paid = sum(item.amount for e in it.events if isinstance(e.event, batch.Finalised) for item in e.event.paid)
    earned = sum(row.earned for row in (await views.page(Worker, limit=ALL_ROWS)).rows)
    assert (ever.paid, ever.earned) == (paid, earned)
    for name in ("treasury", "owed", "deposited", "earned", "paid"):
        assert sum(getattr(row, name) for row in days) == getattr(ever, name)


@pytest.mark.parametrize("seed", SEEDS)
async def test_sessions_are_the_time_online(seed: int) -> None:
    it = lived(seed)
    sessions, workers = await rows(it, Session), await rows(it, Worker)
    for row in workers:
        mine = [each for each in sessions if each.worker == row.worker]
        closed = [each for each in mine if each.offline_us]
        assert sum(int(each.offline_us or 0) - each.online_us for each in closed) == row.uptime_us
        assert [each.online_us for each in mine if not each.offline_us] == ([row.online_us] if row.presence == "online" else [])


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_days_of_a_worker_add_up_to_what_it_did(seed: int) -> None:
    it = lived(seed)
    days, hours, workers = await rows(it, WorkerDay), await rows(it, WorkerHour), await rows(it, Worker)
    for row in workers:
        in_hours = [each for each in hours if each.worker == row.worker]
        mine = [each for each in days if each.worker == row.worker]
        assert sum(each.earned for each in mine) == row.earned
        assert sum(each.earned for each in in_hours) == row.earned
        assert sum(each.accepted for each in mine) == row.accepted
        for each_ in (mine, in_hours):
            assert (sum(each.online for each in each_), sum(each.work for each in each_)) == (row.presence == "online", row.leases)


async def test_the_map_counts_by_country_and_model_and_shows_no_machine() -> None:
    it = Network(signs=False)
    owner = it.person("provider", "checker")
    device = worker.DeviceIn(uuid_sha256="0" * 64, model="NVIDIA H100", vram_mib=80_000)
    ids = [it.worker(owner) for _ in range(4)] + [it.worker(owner, "checker")]
    for id in ids[:2]:
        it.do(owner, worker.Change(worker=id, country="CH", devices=(device, device)), keyed=True)
    it.do(owner, worker.Change(worker=ids[3], mode="retired"), keyed=True)
    for id in (ids[0], ids[4]):
        it.online(id)
    crowds, position = await network_map.crowds(await folded(it.records, network_map.Map()))

    assert position == len(it.events)
    assert network_map.places(crowds) == [network_map.Place("CH", "NVIDIA H100", 2, 0, 1), network_map.Place("", "CPU", 1, 1, 1)]


def test_lives_are_rich_enough_to_show_something() -> None:
    happened = {type(e.event) for seed in SEEDS for e in lived(seed).events}

    assert {task.Leased, task.Ended, bench.Opened, ruling.Accepted, worker.Offline, batch.Finalised} <= happened
