"""The payouts' export has all money that left or was on its way out at a position, whatever became of it later."""

import csv
import io
from functools import cache

import pytest

from domain import accounts
from domain.accounts import USDC
from domain.ids import PayoutId
from domain.log.ledger import Ledger
from domain.log.merkle import Head, Mark
from domain.treasury import batch, payout
from exports import export, lines
from exports.export import Export
from exports.payouts import ENDED
from projections.views import Views
from tests import network as lives_of
from tests.exports.made import whole
from tests.network import CHAIN_ID, LOG, TREASURY, Network
from tests.projections.lives import folded, network

WAITING = ("requested", "approved", "signed", "mined")


@cache
def troubled() -> Network:
    """Of four payouts one is taken back; two are signed, mined, thrown off the chain, signed again and final, one of them in vain; the
    last one waits."""
    it, creator, _ = lives_of.populated()
    back, *sent, _ = [it.request(creator, "customer", 20_000 + n) for n in range(4)]
    it.do(creator, payout.Cancel(payout=back), keyed=True)
    it.sign_batch(sent)
    made, watch = next(iter(it.world.batches.values())), it.daemon("watch")
    it.do(watch, batch.Mine(batch=made.id, tx_hash=made.tx_hash, block=it.world.final_block + 1, paid=tuple(sent), failed=()))
    it.do(watch, batch.Unmine(batch=made.id, paid=tuple(sent), failed=()))
    again(it, made.id, sent)
    it.land(failing=sent[:1])
    return it


def again(it: Network, id: str, sent: list[PayoutId]) -> None:
    """Sign the batch with a higher fee."""
    payer, nonce = it.signers[it.daemon("payer")], it.world.nonce
    items = [(each, it.world.payouts[each].to, int(it.world.payouts[each].amount)) for each in sent]
    raw, tx = payer.sign_payout_batch(TREASURY, nonce, items, chain_id=CHAIN_ID, fee_wei_max=2 * 10**9, tip_wei=2)
    command = batch.Sign.model_validate({"asset": USDC, "payouts": tuple(sent), "nonce": nonce, "raw_tx": raw, "tx_hash": tx, "batch": id})
    it.do(it.daemon("payer"), command)


async def rows(it: Network, views: Views, size: int, account: str = "") -> list[dict[str, str]]:
    asked = Export("payouts", "csv", Mark(LOG, size, "0" * 64, sealed=False), account)
    text = (await whole(export.stream(asked, views, lines.decimals(it.world)))).decode()
    return list(csv.DictReader(io.StringIO("".join(line for line in text.splitlines(keepends=True) if line[0] != "#"))))


LIVES = pytest.mark.parametrize("it", [troubled(), network(1), lives_of.life()], ids=["troubled", "by chance", "a life"])


@LIVES
async def test_at_each_position_it_has_what_the_ledger_then_owed(it: Network) -> None:
    views, ledger, seen = await folded(it.records), Ledger(Head(LOG)), set[str]()
    for record in it.records:
        ledger.fold(record)
        found = [row for row in await rows(it, views, ledger.head.size) if row["status"] != "final"]
        live = ledger.world.payouts.values()

        assert [(row["payout"], row["status"], row["batch"], int(row["amount"].replace(".", ""))) for row in found] == [
            (each.id, each.status, each.batch, each.amount) for each in live
        ]
        assert {row["transaction"] for row in found if row["batch"]} <= {each.tx_hash for each in ledger.world.batches.values()}
        assert {row["block"] for row in found if row["status"] == "mined"} <= {str(each.block) for each in ledger.world.batches.values()}
        assert {row["block"] for row in found if row["status"] != "mined"} <= {""}
        seen |= {row["status"] for row in found}
    assert {"requested", "signed", "mined"} <= seen


@pytest.mark.system
@LIVES
async def test_it_is_the_same_whatever_came_later(it: Network) -> None:
    whole_view, size = await folded(it.records), 0
    somebody = next(e.event for e in it.events if isinstance(e.event, payout.Requested)).account
    for n, record in enumerate(it.records, 1):
        size = len(record.split(b"\n")[1:-1]) + size
        if n % 7 and b'"batch.' not in record and b'"payout.' not in record:
            continue
        then = await folded(it.records[:n])
        for account in ("", somebody):
            assert await rows(it, then, size, account) == await rows(it, whole_view, size, account)


async def test_what_waits_and_what_is_mined_are_the_balances_of_money_on_its_way() -> None:
    it = troubled()
    views, ledger = await folded(it.records), Ledger(Head(LOG))
    for record in it.records:
        ledger.fold(record)
        owed = sum(int(amount) for name, amount in ledger.world.balances.items() if ":2230.inflight." in name)
        owed += int(ledger.world.balances.get(accounts.outbound(USDC), 0))
        found = [row for row in await rows(it, views, ledger.head.size) if row["status"] in WAITING]
        assert sum(int(row["amount"].replace(".", "")) for row in found) == -owed
    assert set(ENDED).isdisjoint(WAITING)
