"""Payouts: the stages of all money on its way out, and the steps of one batch, each with its event."""

import json

from domain.event import Event
from domain.proof import beacon
from domain.treasury import anchor, batch, payout
from tests.explorer.fresh import opened
from tests.explorer.test_pages import lived, working


def sent() -> tuple[batch.Signed, dict[str, int]]:
    """A batch that became final, and where its events are."""
    it = lived()
    final = next(e.event for e in it.events if isinstance(e.event, batch.Finalised))
    signed = next(e.event for e in it.events if isinstance(e.event, batch.Signed) and e.event.batch == final.batch)
    return signed, {e.event.verb(): e.pos for e in it.events if e.stream == signed.batch}


def seen(event: Event) -> int:
    """The block of the chain that it names; zero: none."""
    match event:
        case beacon.Drawn(block_number=block) | anchor.Anchored(block=block) | anchor.Reconciled(block=block):
            return block
    return 0


async def test_a_batch_shows_each_step_with_its_event() -> None:
    signed, at = sent()
    page = json.loads(await (await opened(lived())).text(f"/payouts/{signed.batch}.json"))
    steps = {step["name"]: step for step in page["steps"]}

    assert list(steps)[-5:] == ["Requested", "Signed", "Sent", "Mined", "Final"]
    assert "Matured" in steps
    assert (steps["Signed"]["positions"], steps["Mined"]["positions"], steps["Final"]["positions"]) == (
        [at["batch.signed"]],
        [at["batch.mined"]],
        [at["batch.finalised"]],
    )
    times = [step["at_us"] for step in page["steps"]]
    assert times == sorted(times)
    assert times[0] > 0
    assert page["confirmations"] >= 1


async def test_what_a_batch_still_waits_for_is_said() -> None:
    signed, at = sent()
    explorer = await opened(lived())
    early = json.loads(await explorer.text(f"/payouts/{signed.batch}.json?as_of={at['batch.signed']}"))
    mined = json.loads(await explorer.text(f"/payouts/{signed.batch}.json?as_of={at['batch.mined']}"))
    text = await explorer.text(f"/payouts/{signed.batch}?as_of={at['batch.mined']}")

    assert [step["name"] for step in early["steps"] if not step["at_us"]] == ["Sent", "Mined", "Final"]
    known = [seen(e.event) for e in lived().events if e.pos <= at["batch.mined"]]
    block = next(e.event.block for e in lived().events if isinstance(e.event, batch.Mined) and e.event.batch == signed.batch)
    assert mined["confirmations"] == max(block, *known) - block + 1
    assert early["confirmations"] is None
    assert [step["name"] for step in mined["steps"] if not step["at_us"]] == ["Final"]
    assert f"of {mined['finality']} block" in mined["steps"][-1]["note"]
    assert "waits for" in text


async def test_a_payout_that_nobody_signed_yet_waits_for_a_batch() -> None:
    it = lived()
    asked = next(e for e in it.events if isinstance(e.event, payout.Requested))
    explorer = await opened(it)
    page = json.loads(await explorer.text(f"/payouts/{asked.stream}.json?as_of={asked.pos}"))

    assert [step["name"] for step in page["steps"] if not step["at_us"]] == ["Signed", "Sent", "Mined", "Final"]
    assert page["explained"]["adds_up"]
    assert "waits for the next batch" in await explorer.text(f"/payouts/{asked.stream}?as_of={asked.pos}")


async def test_the_stages_are_the_codes_of_the_trial_balance() -> None:
    for it in (working(), lived()):
        explorer = await opened(it)
        stages = {each["name"]: each["amount"] for each in json.loads(await explorer.text("/payouts.json"))["stages"]}
        trial = {
            row["code"]: -int(row["amount"]) for row in json.loads(await explorer.text("/trail.json"))["trial"] if row["asset"] == "usdc"
        }

        assert stages["Earned"] == trial.get("2210.accrued", 0)
        assert stages["Payable"] == trial.get("2220.payable", 0) + trial.get("2250.checker-payable", 0)
        assert stages["On its way"] == trial.get("2230.inflight", 0)
    assert stages["Paid"] == sum(item.amount for e in lived().events if isinstance(e.event, batch.Finalised) for item in e.event.paid)
