"""Amounts explained: every line of every entry as a tree that adds up where it says so, and goes down to the events; statements and the
course of what an account is owed."""

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from domain.market import bid
from domain.treasury import payout
from explorer.drawing import charts
from explorer.words import linked
from tests.explorer.fresh import opened
from tests.explorer.test_pages import job_of, lived, working


def nodes(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield tree
    for child in tree["children"]:
        yield from nodes(child)


async def test_every_line_of_every_entry_is_explained_and_adds_up_where_it_says_so() -> None:
    it = lived()
    explorer, adding = await opened(it), set[str]()
    for recorded in it.events:
        for number, (_, amount) in enumerate(recorded.entry, 1):
            page = json.loads(await explorer.text(f"/explain/{recorded.pos}-{number}.json"))
            assert page["tree"]["amount"] == abs(amount)
            for node in nodes(page["tree"]):
                assert all(0 < position <= recorded.pos for position in node["positions"]), node
                if node["adds_up"]:
                    assert sum(child["amount"] for child in node["children"]) == node["amount"], node
                    adding.add(recorded.event.verb())

    assert {"payout.requested", "earnings.matured", "task.accepted", "pool.distributed"} <= adding


async def test_a_payout_goes_down_to_the_bid_the_work_the_share_and_the_verdict() -> None:
    it = lived()
    asked = next(e for e in it.events if isinstance(e.event, payout.Requested) and e.event.kind == "worker")
    text = await (await opened(it)).text(f"/explain/{asked.pos}-1")
    tree = json.loads(await (await opened(it)).text(f"/explain/{asked.pos}-1.json"))["tree"]
    bids = {e.pos for e in it.events if isinstance(e.event, bid.Set)}
    said = [node["text"] for node in nodes(tree)]

    assert any("the bid of" in each for each in said)
    assert any(each.startswith("the work of a piece") for each in said)
    assert any("share by the policy" in each for each in said)
    assert any("rendered again by checkers" in each or "did not draw it" in each for each in said)
    assert bids & {position for node in nodes(tree) for position in node["positions"]}
    assert 'class="tree"' in text


async def test_a_tree_opens_below_its_row_of_the_statement() -> None:
    it = lived()
    asked = next(e for e in it.events if isinstance(e.event, payout.Requested))
    assert isinstance(asked.event, payout.Requested)
    explorer, address = await opened(it), f"/accounts/{asked.event.account}"
    shut, wrong = await explorer.text(address), await explorer.text(f"{address}?explain=no-such")
    posting = re.search(rf"explain=({asked.pos}-\d+)#", shut)
    assert posting is not None
    page = await explorer.text(f"{address}?explain={posting[1]}")

    assert 'class="tree"' not in shut + wrong
    assert re.search(rf'id="s{posting[1]}" class="open".*?<tr class="tell">.*?class="tree"', page, re.DOTALL)


@pytest.mark.parametrize("posting", ["1", "x-y", "999999-1", "1-99", "1-", "-1", "1-1-1"])
async def test_what_is_no_posting_is_not_there(posting: str) -> None:
    assert (await (await opened(lived())).get(f"/explain/{posting}")).status_code == 404


async def test_each_row_of_a_statement_sums_to_the_change_of_what_is_owed() -> None:
    it = lived()
    asked = next(e.event for e in it.events if isinstance(e.event, payout.Requested))
    page = json.loads(await (await opened(it)).text(f"/accounts/{asked.account}.json"))
    moves = page["moves"]

    assert moves[0]["owed"] == -sum(int(row["amount"]) for row in page["balances"])
    for newer, older in pairwise(moves):
        assert newer["owed"] - older["owed"] == sum(newer["changes"].values())
    assert moves[-1]["owed"] == sum(moves[-1]["changes"].values())


async def test_the_course_of_an_account_ends_at_what_it_is_owed_whether_by_lines_or_by_days(monkeypatch: pytest.MonkeyPatch) -> None:
    it = working()
    owner = next(str(name) for name, amount in it.world.balances.items() if ":2210.accrued." in name and amount).rpartition(".")[2]
    for lines in (200, 1):
        monkeypatch.setattr("explorer.pages.money.accounts.LINES", lines)
        page = json.loads(await (await opened(it)).text(f"/accounts/{owner}.json"))
        course, owed = page["course"], -sum(int(row["amount"]) for row in page["balances"])
        end = float(re.findall(r"V([\d.]+)", course["owed"])[-1])

        assert course["by_days"] == (lines == 1)
        assert end == pytest.approx(charts.HEIGHT - charts.TOP * owed / course["top"], abs=0.01)
        assert course["peak"] >= page["unpaid"] > 0


async def test_what_is_accrued_says_when_the_next_of_it_matures() -> None:
    it = working()
    owner = next(str(name) for name, amount in it.world.balances.items() if ":2210.accrued." in name and amount).rpartition(".")[2]
    page = json.loads(await (await opened(it)).text(f"/accounts/{owner}.json"))
    accrued = next(each for each in page["owed"] if each["code"] == "2210.accrued")
    first = next(share for share in it.world.shares.values() if share.owner == owner)

    assert accrued["when"].startswith(first.task)
    assert accrued["when_us"] > 0
    assert job_of(it) in accrued["when"]


def test_ids_in_a_sentence_are_links_and_everything_else_is_text() -> None:
    assert linked("<b> of job-1/2") == '&lt;b&gt; of <a class="m" href="/jobs/job-1/2">job-1/2</a>'
    assert linked("x-ray-1 of nobody-7") == "x-ray-1 of nobody-7"
