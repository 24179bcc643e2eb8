"""Several nodes as one: what all say is so, and one that differs or is silent makes everybody wait."""

from collections.abc import Callable

import pytest

from adapters.evm.quorum import Quorum
from domain.treasury import chain
from tests.daemons.chain_twin import ChainTwin
from tests.network import TREASURY, key

START_S = 1_800_000_000


def twins(count: int = 2) -> list[ChainTwin]:
    made = [ChainTwin(START_S) for _ in range(count)]
    for twin in made:
        twin.deposit("account-10", 500)
        twin.mine(5)
    return made


async def test_what_all_nodes_say_is_the_answer() -> None:
    one, two = twins()
    quorum = Quorum([one, two])
    assert [await quorum.chain_id(), await quorum.head(), await quorum.block(3)] == [31337, await one.head(), await one.block(3)]
    assert await quorum.deposits(0, 5) == await one.deposits(0, 5) != []
    assert [await quorum.held(5), await quorum.nonce(key(1).address, 5)] == [500, 0]
    assert [await quorum.receipt("0x" + "0" * 64), await quorum.payouts(0, 5), await quorum.anchors(0, 5)] == [None, [], []]
    assert await quorum.first_block_since(START_S + 2) == await one.first_block_since(START_S + 2)


async def test_the_head_is_the_newest_block_that_all_have() -> None:
    one, two = twins()
    two.mine(3)
    assert await Quorum([one, two]).head() == await one.head()


async def test_nodes_on_different_forks_have_no_head() -> None:
    one, two = twins()
    two.reorg(2)
    two.mine(2)
    with pytest.raises(chain.ChainSilent, match="differ about block 5"):
        await Quorum([one, two]).head()


@pytest.mark.parametrize("count", [2, 3])
async def test_one_silent_node_is_silence(count: int) -> None:
    made = twins(count)
    made[-1].silent = True
    for question in (Quorum(made).head(), Quorum(made).deposits(0, 5), Quorum(made).held(5), Quorum(made).fees()):
        with pytest.raises(chain.ChainSilent):
            await question


async def test_of_what_is_paid_for_gas_no_node_can_make_more_than_the_lowest_tip() -> None:
    one, two = twins()
    two.base_wei = 7 * one.base_wei
    assert await Quorum([one, two]).fees() == chain.Fees(two.base_wei, 10**9)


def pool(twin: ChainTwin) -> int:
    return len([tx for tx in twin.waiting if tx.items])


def spoiled(how: str) -> Callable[[ChainTwin], None]:
    return lambda twin: setattr(twin, how, True)


def signed() -> str:
    fees = {"chain_id": 31337, "fee_wei_max": 10**11, "tip_wei": 1}
    return key(99).sign_payout_batch(TREASURY, 0, [("payout-1", "0x" + "a" * 40, 1)], **fees)[0]


async def test_what_is_sent_goes_to_all_and_is_on_its_way_when_one_has_it() -> None:
    one, two = twins()
    assert await Quorum([one, two]).send(signed())
    assert [pool(one), pool(two)] == [1, 1]
    for how in ("silent", "loses_answers", "penniless"):
        one, two = twins()
        spoiled(how)(two)
        assert await Quorum([one, two]).send(signed())
        assert pool(one) == 1


async def test_it_is_refused_only_if_all_refuse_it_for_the_same_reason() -> None:
    one, two = twins()
    one.penniless = two.penniless = True
    with pytest.raises(chain.Unfunded):
        await Quorum([one, two]).send(signed())
    two.penniless, two.base_wei = False, 10**12
    with pytest.raises(chain.ChainSilent, match="the nodes differ"):
        await Quorum([one, two]).send(signed())
    two.silent = True
    with pytest.raises(chain.ChainSilent):
        await Quorum([one, two]).send(signed())


async def test_a_nonce_counts_as_used_only_if_all_say_so() -> None:
    one, two = twins()
    two.use_nonce(key(99).address, 0)
    two.mine()
    one.mine()
    quorum = Quorum([one, two])
    assert await quorum.send(signed())
    with pytest.raises(chain.ChainSilent, match="differ about the nonce"):
        await quorum.nonce(key(99).address, 6)
