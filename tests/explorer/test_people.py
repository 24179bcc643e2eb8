"""Pages of workers, accounts, payouts, audits and the trail: they add up, and show the pixels of closed audits and of no others."""

import inspect
import json
import re

from domain.ids import TaskId
from domain.market import match
from domain.proof import audit, bench, proof
from domain.treasury import batch, payout
from domain.work import task
from explorer.drawing.history import utilisation
from explorer.idle import CHEAPEST, REMEDIES, SHORT, Reason, cheapest
from exports import export
from tests import network
from tests.explorer.fresh import opened
from tests.explorer.test_pages import links, lived, working
from tests.explorer.test_pictures import unpacked
from tests.network import CLASS


async def test_an_account_s_statement_adds_up_to_its_balances() -> None:
    it = lived()
    owner = next(e.event for e in it.events if isinstance(e.event, payout.Requested)).account
    page = json.loads(await (await opened(it)).text(f"/accounts/{owner}.json"))
    sums: dict[str, int] = {}
    for row in page["rows"]:
        sums[row["account"]] = sums.get(row["account"], 0) + int(row["amount"])

    assert not page["next"]
    assert sums == {row["account"]: int(row["amount"]) for row in page["balances"]}
    assert any(sums.values())


async def test_what_is_owed_and_not_paid_says_why() -> None:
    it = working()
    accrued = next(str(name) for name, amount in it.world.balances.items() if ":2210.accrued." in name and amount)
    text = await (await opened(it)).text(f"/accounts/{accrued.rpartition('.')[2]}")

    assert "Why it is not paid yet" in text
    assert "is earned and not mature yet" in text


async def test_a_worker_s_page_lists_all_that_it_did() -> None:
    it = lived()
    leases = [e.event for e in it.events if isinstance(e.event, task.Leased)]
    worker = leases[0].worker
    page = json.loads(await (await opened(it)).text(f"/workers/{worker}.json"))
    listed = [(row["task"], row["fence"]) for row in page["rows"] if row["job"]]

    assert sorted(listed) == sorted((each.task, each.fence) for each in leases if each.worker == worker)
    assert page["worker"]["attempts"] == len(listed)


async def test_a_lease_says_why_its_worker_won() -> None:
    text = await (await opened(lived())).text("/market")

    assert re.search(r"the cheapest that might take it; the next would have cost <span class=\"amt\">[\d.]+", text)
    assert "Average bid" in text


async def test_a_payout_is_followed_to_the_end_of_its_batch() -> None:
    it = lived()
    final = next(e.event for e in it.events if isinstance(e.event, batch.Finalised))
    explorer = await opened(it)
    page = json.loads(await explorer.text(f"/payouts/{final.batch}.json"))
    one = await explorer.text(f"/payouts/{final.paid[0].payout}")

    assert sum(int(row["amount"]) for row in page["rows"] if row["outcome"] == "paid") == sum(each.amount for each in final.paid)
    assert final.tx_hash in one
    assert f"/payouts/{final.batch}" in one


async def test_the_pixels_of_a_closed_audit_are_shown_and_their_difference() -> None:
    it = lived()
    wrong = next(e.event for e in it.events if isinstance(e.event, audit.Closed) and e.event.result == "invalid")
    explorer = await opened(it)
    text = await explorer.text(f"/audits/{wrong.audit}")
    places = re.findall(rf"/pictures/{wrong.audit}/\d+/\d+/", text)
    pictures = [await explorer.get(f"{places[0]}{which}.png") for which in ("worker", "checker", "difference")]
    worker, checker, difference = (unpacked(each.content)[2] for each in pictures)

    assert worker != checker
    assert any(any(row[n] for n in range(0, len(row), 4)) for row in difference)
    assert (await explorer.get(f"{places[0]}other.png")).status_code == 404
    assert (await explorer.get(f"/pictures/{wrong.audit}/9/0/worker.png")).status_code == 404


async def test_an_audit_frames_on_its_frame_what_each_round_looked_at() -> None:
    it = lived()
    wrong = next(e.event for e in it.events if isinstance(e.event, audit.Closed) and e.event.result == "invalid" and e.event.job)
    rounds = [e.event for e in it.events if isinstance(e.event, audit.Opened | audit.Widened) and e.event.audit == wrong.audit]
    explorer = await opened(it)
    page = json.loads(await explorer.text(f"/audits/{wrong.audit}.json"))
    cells = page["place"]["cells"]
    spots = {cell["task"]: [(spot["round"], spot["region"]) for spot in cell["spots"]] for cell in cells}
    text = await explorer.text(f"/audits/{wrong.audit}")

    assert spots.pop(wrong.task) == [(n, region) for n, each in enumerate(rounds, 1) for region in each.regions]
    assert not any(spots.values())
    number = int(wrong.task.partition("/")[2])
    first = number - (number - 1) % 4
    assert [cell["number"] for cell in cells] == [*range(first, first + 4)]
    assert "Where on the frame" in text
    assert ">round 1</text>" in text


async def test_the_pieces_beside_an_audited_one_are_those_of_its_frame() -> None:
    it = lived()
    later = next(
        e.event for e in it.events if isinstance(e.event, audit.Opened) and e.event.job and int(e.event.task.partition("/")[2]) > 4
    )
    page = json.loads(await (await opened(it)).text(f"/audits/{later.audit}.json"))

    assert page["place"]["frame"] == 1
    assert [cell["number"] for cell in page["place"]["cells"]] == [5, 6, 7, 8]


async def test_an_audit_says_why_it_was_drawn() -> None:
    it = lived()
    opened_ = [e.event for e in it.events if isinstance(e.event, audit.Opened)]
    explorer = await opened(it)
    said = {each.cause: await explorer.text(f"/audits/{each.audit}") for each in opened_}

    assert "Every bench is looked at" in said["bench"]
    assert "newcomer" in said["lottery"] or "at stake" in said["lottery"]


async def test_the_pixels_of_an_open_audit_are_not_shown() -> None:
    it = working()
    opened_ = [e.event for e in it.events if isinstance(e.event, audit.Opened) and e.event.job]
    closed = {e.event.audit for e in it.events if isinstance(e.event, audit.Closed)}
    first = opened_[0]
    position = next(e.pos for e in it.events if e.event is first)
    explorer = await opened(it)
    then = await explorer.text(f"/audits/{first.audit}?as_of={position}")

    assert first.audit in closed
    assert "/pictures/" not in then
    assert "/pictures/" in await explorer.text(f"/audits/{first.audit}")


async def test_the_trial_balance_comes_to_zero() -> None:
    page = json.loads(await (await opened(lived())).text("/trail.json"))

    assert {each["asset"] for each in page["sums"]} >= {"usdc"}
    assert all(each["debits"] == each["credits"] > 0 == each["amount"] for each in page["sums"])
    assert page["root"] == lived().ledger.head.root


async def test_an_idle_worker_is_told_why_and_what_would_help() -> None:
    it, creator, workers = network.populated(signs=False)
    dear = max(workers.values(), key=lambda id: it.world.workers[id].classes[CLASS].price)
    for worker in workers.values():
        it.bid(worker, 300_000_000)
    it.open(it.submit(creator, 1))
    page = json.loads(await (await opened(it)).text(f"/workers/{dear}.json"))
    text = await (await opened(it)).text(f"/workers/{dear}")
    it.bid(dear, 150_000_000)
    served = json.loads(await (await opened(it)).text(f"/workers/{dear}.json"))

    assert [(each["why"], each["jobs"], each["pieces"]) for each in page["idle"]] == [("price", 1, 4)]
    assert "a lower bid gets them" in text
    assert "200.00" in text
    assert served["worker"]["leases"] == 1
    assert served["idle"] == []
    assert set(REMEDIES) >= obstacles()


async def test_the_last_24_hours_of_a_worker_are_its_time_at_work_over_its_time_online() -> None:
    it = lived()
    worker = next(e.event for e in it.events if isinstance(e.event, task.Leased)).worker
    page = json.loads(await (await opened(it)).text(f"/workers/{worker}.json"))
    later = json.loads(await (await opened(it, later_us=25 * 3_600_000_000)).text(f"/workers/{worker}.json"))
    recent, now_us = page["recent"], it.events[-1].at_us
    begun = dict[tuple[TaskId, int], int]()
    for e in it.events:
        if isinstance(e.event, task.Leased | bench.Opened) and e.event.worker == worker:
            begun[e.event.task, e.event.fence] = e.at_us
    ended = {
        (e.event.task, e.event.fence): e.at_us
        for e in it.events
        if isinstance(e.event, task.Ended | proof.Committed) and e.event.worker == worker
    }

    assert recent["work_us"] == sum(ended.get(each, now_us) - at_us for each, at_us in begun.items())
    assert 0 < recent["online_us"] <= now_us - it.events[0].at_us
    assert recent["share"] == utilisation([recent["work_us"]], [recent["online_us"]])
    assert recent["earned"] == int(page["worker"]["earned"])
    assert (later["recent"]["earned"], later["recent"]["work_us"]) == (0, 0)


async def test_the_cheapest_remedy_is_named_first_and_an_empty_market_says_so() -> None:
    it, creator, workers = network.populated(signs=False)
    dear = max(workers.values(), key=lambda id: it.world.workers[id].classes[CLASS].price)
    empty = await (await opened(it)).text(f"/workers/{dear}")
    for worker in workers.values():
        it.bid(worker, 300_000_000)
    it.open(it.submit(creator, 1))
    page = json.loads(await (await opened(it)).text(f"/workers/{dear}.json"))
    text = await (await opened(it)).text(f"/workers/{dear}")

    assert "Nothing waits: work comes as soon as somebody opens a job." in empty
    assert page["cheapest"] == "price"
    assert page["answer"].startswith("4 pieces wait in 1 job. They pay less than it asks")
    assert "lost on price" in text
    assert set(SHORT) == set(REMEDIES) >= set(CHEAPEST)
    mixed = [Reason(why, 1, 1, 1, REMEDIES[why]) for why in ("own_job", "memory", "price", "model")]
    assert [each and each.why for each in (cheapest(mixed), cheapest(mixed[:1]))] == ["price", None]


def obstacles() -> set[str]:
    """All that the ledger may have against a worker."""
    return set(re.findall(r'return "(\w+)"', inspect.getsource(match.obstacle)))


async def test_exports_that_a_page_links_are_as_of_its_position() -> None:
    it = lived()
    owner = next(e.event for e in it.events if isinstance(e.event, payout.Requested)).account
    for path, what, forms in (
        (f"/accounts/{owner}", f"statement.{{}}?as_of={{}}&account={owner}", export.forms_of("statement", owner)),
        ("/payouts", "payouts.{}?as_of={}", export.forms_of("payouts")),
        ("/trail", "journal.{}?as_of={}", export.forms_of("journal")),
        ("/trail?as_of=90", "journal.{}?as_of={}", export.forms_of("journal")),
    ):
        text = await (await opened(it)).text(path)
        position = re.search(r"This page <b class=\"m\">#(\d+)<", text)
        assert position is not None
        wanted = {f"/v1/exports/{what.format(form, position[1])}" for form in forms}

        assert wanted == {link for link in links(text) if link.startswith("/v1/exports/") and "bundle" not in link}
