"""A job's page: who bids and why the winner won, what each attempt delivered, what it costs, what a checker looks at, and frames of any
shape."""

import itertools
import json
import re
from functools import cache

import pytest

from domain.proof import audit, proof, ruling
from domain.units import Units
from domain.work import job, task, tiles
from explorer.drawing import charts, costs, lanes, wall
from explorer.drawing.pictures import png_of
from explorer.pages.work import job as job_page
from explorer.pages.work.job import ORDER
from projections.explorer.audits import Round
from projections.explorer.jobs import Job
from projections.explorer.tasks import Attempt
from tests import network
from tests.explorer.fresh import opened
from tests.explorer.test_pages import job_of, lived, working
from tests.explorer.test_pictures import unpacked
from tests.network import Network


def cut(size: tiles.Pair, grid: tiles.Pair, group: int) -> Job:
    row = Job("job-1", width=size[0], height=size[1], columns=grid[0], rows=grid[1], group=group)
    row.groups = tiles.groups(grid, group)
    return row


async def test_each_lease_and_each_proof_of_a_job_is_on_its_page() -> None:
    it = lived()
    page = json.loads(await (await opened(it)).text(f"/jobs/{job_of(it)}.json"))
    leases = [(e.event.task, e.event.fence) for e in it.events if isinstance(e.event, task.Leased) and e.event.job == job_of(it)]
    proofs = [e.pos for e in it.events if isinstance(e.event, proof.Committed) and e.event.job == job_of(it) and not e.event.late]
    rows = page["rows"]

    assert [(row["task"], row["fence"]) for row in rows] == leases[::-1][: len(rows)]
    assert len(rows) > 10
    assert {row["proof_position"] for row in rows if row.get("proof_position")} <= set(proofs)
    text = await (await opened(it)).text(f"/jobs/{job_of(it)}")
    assert all(f'href="/events/{row["proof_position"]}"' in text for row in rows if row.get("proof_position"))
    assert "would have cost" in text or "nobody else was free" in text


async def test_the_matches_of_a_job_are_paged_by_their_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("explorer.pages.work.job.MATCHES", 3)
    it = lived()
    explorer, path, seen = await opened(it), f"/jobs/{job_of(it)}.json", list[tuple[str, int]]()
    while path:
        page = (await explorer.get(path)).json()
        seen += [(row["task"], row["fence"]) for row in page["rows"]]
        path = f"/jobs/{job_of(it)}.json?after={page['older']}" if page["older"] else ""

    leases = [(e.event.task, e.event.fence) for e in it.events if isinstance(e.event, task.Leased) and e.event.job == job_of(it)]
    assert seen == leases[::-1]


async def test_a_bid_says_what_keeps_its_worker_from_the_job() -> None:
    it, creator, workers = network.populated(signs=False)
    asking = [id for id in workers.values() if it.world.workers[id].classes[network.CLASS].seat]
    by_price = sorted(asking, key=lambda id: it.world.workers[id].classes[network.CLASS].price)
    for worker in by_price[1:]:
        it.bid(worker, 900_000_000)
    id = it.submit(creator, 4)
    it.open(id)
    page = json.loads(await (await opened(it)).text(f"/jobs/{id}.json"))
    said = {bid["worker"]: bid for bid in page["bids"]["rows"]}

    assert said[by_price[0]]["said"].startswith("busy with piece")
    assert said[by_price[0]]["x"] < page["bids"]["limit_x"] < said[by_price[1]]["x"]
    assert {said[each]["said"] for each in by_price[1:]} == {"asks more than the limit"}
    assert [bid["per_kwu"] for bid in page["bids"]["rows"]] == sorted((bid["per_kwu"] for bid in page["bids"]["rows"]), key=int)


async def test_the_escrow_s_lines_end_at_what_is_free_in_it() -> None:
    it = working()
    id = job_of(it)
    page = json.loads(await (await opened(it)).text(f"/jobs/{id}.json"))
    free = [int(entry["free"]) for entry in page["entries"]]
    amounts = [-int(entry["line"]["amount"]) for entry in page["entries"]]

    assert free[0] == page["money"]["free"]
    assert [after - before for after, before in itertools.pairwise(free)] == amounts[:-1]


def heights(path: str) -> list[float]:
    return [float(each) for each in re.findall(r"V([\d.]+)", path)]


async def test_the_cost_curve_ends_at_what_is_spent_and_locked_below_the_cap() -> None:
    it = working()
    row = Job(job_of(it))
    page = json.loads(await (await opened(it)).text(f"/jobs/{job_of(it)}.json"))
    money, curve = page["money"], page["money"]["curve"]

    def y(amount: int) -> float:
        return charts.HEIGHT - charts.TOP * amount / int(money["hold"])

    assert heights(curve["spent"])[-1] == pytest.approx(y(money["spent"]), abs=0.01)
    assert heights(curve["bound"])[-1] == pytest.approx(y(money["spent"] + money["locked"]), abs=0.01)
    assert curve["cap_y"] == pytest.approx(100 * y(money["hold"]) / charts.HEIGHT)
    assert costs.curve(row, [], 1, whole=True) is None


def test_the_cost_of_the_last_attempts_begins_at_what_was_spent_before() -> None:
    row = Job("job-1", hold=100, spent=60, locked=10)  # type: ignore[arg-type]
    attempt = Attempt("job-1/9", 1, leased_us=5_000_000, ended_us=9_000_000, price=20, status="accepted")  # type: ignore[arg-type]
    curve = costs.curve(row, [attempt], 10_000_000, whole=False)

    assert curve is not None
    assert curve.spent.startswith(f"M0 {charts.HEIGHT - charts.TOP * 0.4:g}H")
    assert heights(curve.spent) == [pytest.approx(charts.HEIGHT - charts.TOP * 0.6)]
    assert heights(curve.bound)[-1] == pytest.approx(charts.HEIGHT - charts.TOP * 0.7)


def test_what_left_the_escrow_is_the_price_of_accepted_work_and_the_fee_of_cancelled_work() -> None:
    made = [
        Attempt("job-1/1", n, price=Units(20), earned=Units(17 if name != "cancelled" else 2), status=name)
        for n, name in enumerate(("accepted", "matured", "cancelled"))
    ]

    assert [costs.cost(each) for each in made] == [20, 20, 2]


@cache
def audited() -> tuple[Network, audit.Opened, int]:
    it = working()
    first = next(e for e in it.events if isinstance(e.event, audit.Opened) and e.event.job)
    assert isinstance(first.event, audit.Opened)
    return it, first.event, first.pos


async def test_what_a_checker_was_sent_to_look_at_is_framed_on_the_wall() -> None:
    it, drawn, position = audited()
    explorer = await opened(it)
    page = json.loads(await explorer.text(f"/jobs/{drawn.job}.json?as_of={position}"))
    pieces = {piece["task"]["task"]: piece for frame in page["frames"] for piece in frame["pieces"]}
    text = await explorer.text(f"/jobs/{drawn.job}?as_of={position}")

    assert [spot["region"] for spot in pieces[drawn.task]["spots"]] == list(drawn.regions)
    assert all(not piece["spots"] for piece in pieces.values() if piece["state"] not in {"auditing", "rejected"})
    assert '<svg class="spots"' in text


def test_a_drawn_tile_lies_where_it_is_on_its_piece() -> None:
    rows = [Round("audit-1", 1, regions=(1,)), Round("audit-1", 2, regions=(3, 9))]
    full = wall.spots(cut((320, 180), (4, 4), 4), 2, rows)
    square = wall.spots(cut((100, 100), (2, 2), 4), 1, rows)

    assert [(spot.round, spot.region, spot.x, spot.y, spot.width, spot.height) for spot in full] == [
        (1, 1, 25, 0, 25, 100),
        (2, 3, 75, 0, 25, 100),
    ]
    (alone,) = wall.spots(cut((100, 100), (4, 4), 1), 6, [Round("audit-1", 1, regions=(0,))])

    assert (alone.x, alone.y, alone.width, alone.height) == (0, 0, 100, 100)
    assert [(spot.x, spot.y, spot.width, spot.height) for spot in square] == [(50, 0, 50, 50), (50, 50, 50, 50)]


def test_a_frame_keeps_its_shape() -> None:
    assert wall.shape(cut((320, 180), (4, 4), 4)) == wall.Shape(320, 180, 1, dense=False)
    assert wall.shape(cut((1080, 1920), (2, 2), 2)).tall
    assert wall.shape(cut((100, 100), (4, 4), 1)) == wall.Shape(100, 100, 4, dense=True)
    assert wall.shape(cut((100, 100), (4, 2), 3)).across == 1
    assert wall.shape(cut((10, 1_000), (1, 1), 1)) == wall.Shape(333, 1_000, 1, dense=False)


async def test_the_shape_of_the_frames_stands_in_the_page() -> None:
    it = working()
    spec = next(e.event for e in it.events if isinstance(e.event, job.Submitted)).spec
    text = await (await opened(it)).text(f"/jobs/{job_of(it)}")

    assert text.count(f'class="shape" viewBox="0 0 {spec.size[0]} {spec.size[1]}"') == spec.frames


def test_the_picture_of_a_piece_is_as_wide_as_the_piece() -> None:
    raw = tiles.pack(bytes(12 * 4), 2, 2, bytes(32))
    width, height, _ = unpacked(png_of((4, 4), (2, 2), [3], [raw]))

    assert (width, height) == (2, 2)


async def test_of_the_money_the_workers_part_is_what_they_earned() -> None:
    it = lived()
    page = json.loads(await (await opened(it)).text(f"/jobs/{job_of(it)}.json"))
    accepted = [e.event for e in it.events if isinstance(e.event, ruling.Accepted) and e.event.job == job_of(it)]

    assert page["money"]["earned"] == sum(each.shares.worker for each in accepted)


async def test_the_legend_holds_every_state_while_the_job_goes_on() -> None:
    def legend(text: str) -> int:
        return text.partition('class="sp legend"')[2].partition("</div>")[0].count("<b>")

    assert legend(await (await opened(working())).text(f"/jobs/{job_of(working())}")) == len(ORDER)
    assert legend(await (await opened(lived())).text(f"/jobs/{job_of(lived())}")) == 1


async def test_the_lanes_show_who_was_convicted_and_who_went_away() -> None:
    it = lived()
    wrong = next(e for e in it.events if isinstance(e.event, audit.Closed) and e.event.result == "invalid" and e.event.job)
    assert isinstance(wrong.event, audit.Closed)
    page = json.loads(await (await opened(it)).text(f"/jobs/{job_of(it)}.json"))
    off = {lane["worker"]: lane["off"] for lane in page["lanes"]["lanes"]}
    span = page["lanes"]["span"]

    assert off[wrong.event.worker]["word"] == "quarantined"
    assert off[wrong.event.worker]["x"] == pytest.approx(
        100 * (wrong.at_us - span["start_us"]) / (span["end_us"] - span["start_us"]), abs=0.01
    )
    assert any(each is None for each in off.values())
    assert ">quarantined</text>" in await (await opened(it)).text(f"/jobs/{job_of(it)}")


def test_a_lane_shows_where_a_lease_ends_if_that_is_soon() -> None:
    leased = Attempt("job-1/1", 1, worker="worker-2", leased_us=0, expires_us=12_000_000, status="leased")
    soon = lanes.draw([leased], {}, 10_000_000, live=True, away={"worker-2": lanes.Away(4_000_000, "offline")})
    late = lanes.draw([leased], {}, 3_000_000, live=True)

    assert soon is not None
    assert late is not None
    assert soon.lanes[0].expires_x == pytest.approx(soon.span.x(12_000_000))
    assert soon.lanes[0].off is not None
    assert soon.lanes[0].off.x == soon.span.x(4_000_000)
    assert (late.lanes[0].expires_x, late.lanes[0].off) == (None, None)


def test_verdicts_have_their_numbers_only_where_these_do_not_lie_on_each_other() -> None:
    def done(number: int, ended_us: int) -> Attempt:
        leased_us, committed_us = 1_000_000 * number, 1_000_000 * number + 900_000
        row = Attempt(f"job-1/{number}", 1, worker="worker-1", job="job-1", status="accepted")
        row.leased_us, row.committed_us, row.ended_us = leased_us, committed_us, ended_us
        return row

    ends = [10_000_000, 20_000_000, 20_500_000, 60_000_000, 99_000_000, 100_000_000]
    drawn = lanes.draw([done(n, at_us) for n, at_us in reversed([*enumerate(ends, 1)])], {}, 100_000_000, live=False)
    assert drawn is not None
    bars = drawn.lanes[0].bars

    assert [(each.piece, each.named, each.turned) for each in bars] == [
        (1, True, False),
        (2, False, False),
        (3, True, False),
        (4, True, False),
        (5, False, True),
        (6, False, True),
    ]


def test_of_too_many_workers_those_whose_work_came_to_nothing_have_a_lane_first() -> None:
    def worked(n: int, status: str) -> Attempt:
        return Attempt(f"job-1/{n}", 1, worker=f"worker-{n}", job="job-1", status=status, leased_us=n, committed_us=n + 1, ended_us=n + 2)

    many = [worked(n, "rejected" if n in {100, 199} else "accepted") for n in range(200)]
    again = [Attempt(f"job-1/{n}", 1, worker="worker-150", job="job-1", status="accepted", leased_us=1) for n in (1_000, 1_001)]
    drawn = lanes.draw([*many, *again], {}, 1_000, live=False)
    assert drawn is not None
    names = [each.worker for each in drawn.lanes]

    assert {"worker-100", "worker-150", "worker-199"} <= set(names)
    assert (len(names), drawn.others) == (lanes.LANES_MAX, 200 - lanes.LANES_MAX)
    assert names == sorted(names, key=lambda name: int(name.removeprefix("worker-")))


async def test_a_wall_that_is_shown_in_part_says_which_and_counts_the_whole_job(monkeypatch: pytest.MonkeyPatch) -> None:
    it = working()
    explorer, job = await opened(it), it.world.jobs[next(iter(it.world.jobs))]
    whole = await explorer.text(f"/jobs/{job.id}")
    monkeypatch.setattr(job_page, "PIECES", 4)
    part = await explorer.text(f"/jobs/{job.id}")

    assert "; frame 0 of 4</p>" in part
    assert " of 4</p>" not in whole
    assert f"All pieces of the job: {job.accepted} accepted" in part


async def test_a_piece_lists_the_hashes_that_each_attempt_committed_to() -> None:
    it = lived()
    proofs = [e.event for e in it.events if isinstance(e.event, proof.Committed) and e.event.job == job_of(it) and not e.event.late]
    page = json.loads(await (await opened(it)).text(f"/jobs/{proofs[0].task}.json"))

    assert page["raws"] == {str(each.fence): list(each.raw) for each in proofs if each.task == proofs[0].task}
