"""What a chain does to those who rely on it: it forgets, doubts, repeats, stalls; and what a node says that is not so."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.chain import EvmChain
from adapters.evm import anvil, transaction
from adapters.evm.node import Node
from domain.treasury import chain
from tests.fix_chain import TOOLS, Rigs

system = pytest.mark.system
ALICE, BOB = "0x" + "a" * 40, "0x" + "b" * 40


def as_port(evm: EvmChain) -> chain.Chain:
    """The type checker's proof that the adapter is what the daemons ask for."""
    return evm


@system
async def test_reorg_changes_the_hashes_and_takes_the_deposit_out_of_its_block(rigs: Rigs) -> None:
    async with rigs() as rig:
        await rig.mine()
        kept = await rig.chain.head()
        receipt = await rig.creator.deposit(rig.treasury, rig.token, "account-10", 500, mint=True)
        await rig.mine(2)
        head = await rig.chain.head()
        await rig.node.call("anvil_reorg", head.number - kept.number, [])
        after = await rig.chain.block(receipt.block)
        assert (await rig.chain.block(kept.number)) == kept
        assert after is not None
        assert after.hash != receipt.block_hash
        assert await rig.chain.deposits(0, head.number) == []
        assert [await rig.chain.held(head.number), await rig.chain.receipt(receipt.tx)] == [0, None]


@system
async def test_same_bytes_again_change_nothing_waiting_or_mined(rigs: Rigs) -> None:
    async with rigs() as rig:
        await rig.creator.deposit(rig.treasury, rig.token, "account-10", 500, mint=True)
        raw, tx = await rig.batch(("payout-1", ALICE, 100))
        await rig.node.call("evm_setAutomine", False)
        assert [await rig.chain.send(raw) for _ in range(2)] == [tx, tx]
        assert [await rig.chain.receipt(tx), await rig.chain.knows(tx)] == [None, True]
        await rig.mine()
        assert await rig.chain.send(raw) == tx
        await rig.mine()
        head = await rig.chain.head()
        assert await rig.chain.balance(rig.token, ALICE, head.number) == 100
        assert [log.tx for log in await rig.chain.payouts(0, head.number)] == [tx]
        assert await rig.chain.nonce(rig.payer.address, head.number) == 1


@system
async def test_dropped_transaction_goes_through_by_the_same_bytes(rigs: Rigs) -> None:
    async with rigs() as rig:
        await rig.creator.deposit(rig.treasury, rig.token, "account-10", 500, mint=True)
        raw, tx = await rig.batch(("payout-1", ALICE, 100))
        await rig.node.call("evm_setAutomine", False)
        await rig.chain.send(raw)
        await rig.node.call("anvil_dropTransaction", tx)
        await rig.mine()
        assert [await rig.chain.receipt(tx), await rig.chain.knows(tx)] == [None, False]
        await rig.chain.send(raw)
        await rig.mine()
        receipt = await rig.chain.receipt(tx)
        assert receipt is not None
        assert receipt.ok


@system
async def test_reorged_batch_goes_through_by_the_same_bytes_once(rigs: Rigs) -> None:
    async with rigs() as rig:
        await rig.creator.deposit(rig.treasury, rig.token, "account-10", 500, mint=True)
        await rig.mine()
        raw, tx = await rig.batch(("payout-1", ALICE, 100))
        before = await rig.sent(raw)
        await rig.node.call("anvil_reorg", 1, [])
        assert await rig.chain.receipt(tx) is None
        after = await rig.sent(raw)
        assert after.block_hash != before.block_hash
        assert await rig.chain.balance(rig.token, ALICE, after.block) == 100


@system
async def test_nonce_that_another_transaction_used_is_refused(rigs: Rigs) -> None:
    async with rigs() as rig:
        await rig.pay(("payout-1", ALICE, 100))
        other, _ = await rig.batch(("payout-2", BOB, 100), nonce=0)
        with pytest.raises(chain.NonceUsed):
            await rig.chain.send(other)


@system
async def test_stuck_batch_is_replaced_only_by_one_that_pays_more(rigs: Rigs) -> None:
    async with rigs() as rig:
        await rig.creator.deposit(rig.treasury, rig.token, "account-10", 500, mint=True)
        await rig.node.call("evm_setAutomine", False)
        first, stuck = await rig.batch(("payout-1", ALICE, 100), nonce=0)
        less, _ = await rig.batch(("payout-1", ALICE, 100), nonce=0, tip_wei=10**9 - 1)
        more, tx = await rig.batch(("payout-1", ALICE, 100), nonce=0, tip_wei=10**10)
        await rig.chain.send(first)
        with pytest.raises(chain.Underpriced):
            await rig.chain.send(less)
        assert await rig.chain.send(more) == tx
        await rig.mine()
        receipts = [await rig.chain.receipt(stuck), await rig.chain.receipt(tx)]
        assert [receipt is not None and receipt.ok for receipt in receipts] == [False, True]


@system
async def test_payer_without_ether_is_unfunded_and_a_low_fee_is_underpriced(rigs: Rigs) -> None:
    async with rigs() as rig:
        low = {"chain_id": anvil.CHAIN_ID, "fee_wei_max": 1, "tip_wei": 1}
        raw, _ = rig.payer.sign_payout_batch(rig.treasury, 0, [("payout-1", ALICE, 1)], **low)
        with pytest.raises(chain.Underpriced):
            await rig.chain.send(raw)
        raw, _ = await rig.batch(("payout-1", ALICE, 1))
        await rig.node.fund(rig.payer.address, 0)
        with pytest.raises(chain.Unfunded):
            await rig.chain.send(raw)


@system
async def test_bytes_for_another_chain_are_refused(rigs: Rigs) -> None:
    async with rigs() as rig:
        raw, _ = rig.payer.sign_payout_batch(rig.treasury, 0, [("payout-1", ALICE, 1)], chain_id=1, fee_wei_max=10**11, tip_wei=1)
        with pytest.raises(chain.ChainRefused):
            await rig.chain.send(raw)


@system
async def test_gas_is_what_the_payer_lost(rigs: Rigs) -> None:
    async with rigs() as rig:
        receipt = await rig.pay(("payout-1", ALICE, 1))
        left = int(await rig.node.call("eth_getBalance", rig.payer.address, "latest"), 16)
        assert receipt.gas_wei == anvil.ETHER_WEI - left


@system
async def test_first_block_since_a_time_is_found_between_uneven_blocks(rigs: Rigs) -> None:
    async with rigs() as rig:
        for gap_s in (1, 1, 30, 1, 7, 2, 2, 60, 1, 1, 5):
            await rig.node.call("evm_increaseTime", gap_s)
            await rig.mine()
        head = await rig.chain.head()
        blocks = [block for number in range(head.number + 1) if (block := await rig.chain.block(number))]
        for moment_s in range(blocks[0].timestamp_s - 1, head.timestamp_s + 2):
            expected = next((block for block in blocks if block.timestamp_s >= moment_s), None)
            assert await rig.chain.first_block_since(moment_s) == expected


@system
async def test_what_is_beyond_the_head_is_none_or_refused(rigs: Rigs) -> None:
    async with rigs() as rig:
        assert await rig.chain.block(10_000) is None
        with pytest.raises(chain.ChainRefused):
            await rig.chain.held(10_000)


@system
async def test_deposit_for_what_is_no_text_is_seen_as_the_word(rigs: Rigs) -> None:
    async with rigs() as rig:
        await rig.creator.run(transaction.mint(rig.token, rig.creator.address, 5), transaction.approve(rig.token, rig.treasury, 5))
        data = transaction.encode("deposit(bytes32,uint256)", b"\xff" * 32, 5)
        [receipt] = await rig.creator.run(transaction.Call(rig.treasury, data, 150_000))
        assert [log.account for log in await rig.chain.deposits(receipt.block, receipt.block)] == ["0x" + "ff" * 32]


@system
async def test_blocks_follow_the_wall_clock(tmp_path: Path) -> None:
    async with anvil.running(anvil.find(TOOLS), tmp_path) as own, contextlib.aclosing(Node(own.url)) as node:
        began = await node.head()
        await asyncio.sleep(2.5)
        head = await node.head()
        assert abs(head.timestamp_s - time.time()) <= 2
        assert 1 <= head.number - began.number <= 4


async def test_node_that_is_gone_is_silent() -> None:
    async with nobody() as gone:
        for question in (gone.head(), gone.send("0x02c0"), gone.receipt("0x" + "0" * 64)):
            with pytest.raises(chain.ChainSilent):
                await question


@contextlib.asynccontextmanager
async def nobody() -> AsyncIterator[EvmChain]:
    """A chain at a port where nobody listens."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    async with contextlib.aclosing(EvmChain(f"http://127.0.0.1:{port}", ALICE, BOB)) as evm:
        yield evm


@contextlib.asynccontextmanager
async def saying(body: bytes, status: int = 200) -> AsyncIterator[EvmChain]:
    """A chain whose node answers everything with the same bytes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        size = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
        await reader.readexactly(size)
        writer.write(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % (status, len(body)) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, contextlib.aclosing(EvmChain(f"http://127.0.0.1:{port}", ALICE, BOB, timeout_s=2)) as evm:
        yield evm


def refusal(code: int, message: str) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": message}}).encode()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 200),
        (b"<html>busy</html>", 502),
        (b"null", 200),
        (b"[]", 200),
        (b'{"result": "0xzz"}', 200),
        (b'{"result": "-0x5"}', 200),
        (b'{"result": {"number": 7}}', 200),
        (b'{"result": null}', 200),
        (refusal(-32603, "internal error"), 200),
        (refusal(-32005, "rate limit"), 429),
        (refusal(-32000, "something new under the sun"), 200),
    ],
)
async def test_answer_that_settles_nothing_about_a_sent_transaction_is_silence(body: bytes, status: int) -> None:
    async with saying(body, status) as evm:
        with pytest.raises(chain.ChainSilent):
            await evm.send("0x02c0")


@pytest.mark.parametrize("words", ["already known", "transaction already imported", "known transaction: 0xabc"])
async def test_node_that_has_the_bytes_already_is_no_failure(words: str) -> None:
    async with saying(refusal(-32000, words)) as evm:
        assert len(await evm.send("0x02c0")) == 66


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("replacement transaction underpriced", chain.Underpriced),
        ("max fee per gas less than block base fee: address 0xab", chain.Underpriced),
        ("insufficient funds for gas * price + value", chain.Unfunded),
        ("Insufficient funds for gas * price + value", chain.Unfunded),
        ("intrinsic gas too low", chain.ChainRefused),
    ],
)
async def test_words_of_refusal_are_known(words: str, kind: type[chain.ChainRefused]) -> None:
    async with saying(refusal(-32000, words)) as evm:
        with pytest.raises(chain.ChainRefused) as refused:
            await evm.send("0x02c0")
        assert type(refused.value) is kind


async def test_logs_of_another_kind_than_asked_for_are_silence() -> None:
    log = {"address": "0x" + "2" * 40, "topics": ["0x" + "1" * 64] * 3, "data": "0x" + "0" * 64, "logIndex": "0x0"}
    log |= {"blockNumber": "0x1", "blockHash": "0x2", "transactionHash": "0x3"}
    async with saying(json.dumps({"result": [log]}).encode()) as evm:
        for question in (evm.deposits(0, 1), evm.payouts(0, 1), evm.anchors(0, 1)):
            with pytest.raises(chain.ChainSilent, match="not asked for"):
                await question


@pytest.mark.parametrize("words", ["-0x1", "0x", "1_0", "0x" + "f" * 65, " 0x1", ""])
async def test_what_is_no_number_is_silence(words: str) -> None:
    async with saying(json.dumps({"result": words}).encode()) as evm:
        with pytest.raises(chain.ChainSilent, match="not a quantity"):
            await evm.chain_id()


async def test_key_that_the_node_does_not_like_is_a_refusal() -> None:
    async with saying(b"no", 401) as evm:
        with pytest.raises(chain.ChainRefused, match="401"):
            await evm.head()
