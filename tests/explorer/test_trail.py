"""The audit trail: what can be wrong and whether it is, and two heads compared by a reader's own browser."""

import json

import pytest

from api.proofs.tree import Tree
from domain.treasury import anchor
from domain.units import Units
from explorer.pages.record import trail
from projections.explorer.house import Checkpoint, Override, Reconciliation
from tests.explorer.fresh import opened
from tests.explorer.served import browser, served
from tests.explorer.test_pages import lived
from tests.network import Network

SIZES = (*range(1, 18), 31, 33)


async def test_the_trail_says_what_can_be_wrong_and_that_it_is_not() -> None:
    it = lived()
    page = json.loads(await (await opened(it)).text("/trail.json"))
    checks = {each["name"]: each for each in page["checks"]}
    anchors = [e for e in it.events if isinstance(e.event, anchor.Anchored)]

    assert set(checks) == {"Trial balance", "Treasury", "On the chain", "Guard"}
    assert "rejected" not in {each["state"] for each in checks.values()}
    assert checks["Trial balance"]["state"] == "accepted"
    assert checks["On the chain"]["state"] == ("accepted" if anchors else "waiting")
    assert page["rows"] == [] or page["rows"][0]["size"] <= page["size"]


async def test_a_ledger_without_money_or_chain_says_that_nobody_can_tell_yet() -> None:
    text = await (await opened(Network())).text("/trail")

    assert text.count("not known") == 3
    assert "data-consistent" not in text


def test_what_is_wrong_is_said_to_be_wrong() -> None:
    off = trail.balanced([trail.Sum("usdc", 5, 4, 1)])
    apart = trail.reconciled([Reconciliation(9, block=3, breaks=Units(7))])
    frozen = trail.running([Override(12, action="freeze", reason="views differ")])
    freed = trail.running([Override(13, action="release", reason="looked at")])

    assert [off.state, apart.state, frozen.state, freed.state] == ["rejected", "rejected", "rejected", "accepted"]
    assert (apart.position, frozen.position) == (9, 12)
    assert "views differ" in frozen.said
    assert trail.anchored([Checkpoint(20, size=18)], 25).said.endswith("7 came since")


@pytest.mark.system
@pytest.mark.timeout(120)
def test_a_browser_finds_out_whether_a_later_tree_begins_with_an_earlier_one(free_port: int) -> None:
    tree = Tree()
    for n in range(max(SIZES)):
        tree.add(b"%d" % n)
    pairs = [(first, second) for second in SIZES for first in SIZES if first < second]
    asked = [[first, second, tree.root(first).hex(), [node.hex() for node in tree.consistency(first, second)]] for first, second in pairs]
    with served(free_port) as it, browser() as chromium:
        page = chromium.new_page(base_url=it.url)
        page.goto("/trail")
        found = page.evaluate("asked => Promise.all(asked.map((each) => rootsOf(...each)))", asked)
        cut = page.evaluate("asked => rootsOf(...asked).catch((reason) => reason.message)", [5, 9, "", []])

    assert found == [[tree.root(first).hex(), tree.root(second).hex()] for first, second in pairs]
    assert cut == "the path is too short"
