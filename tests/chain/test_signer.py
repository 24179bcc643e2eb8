"""Keys in files, and transactions: the bytes say what was to be signed, and nothing else passes for a batch."""

import stat
from pathlib import Path
from typing import Any

import pytest
import rlp
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters import signer
from adapters.evm import transaction, typed
from domain.treasury import chain

SECRET = bytes(31) + b"\x07"
KEY = signer.Signer(SECRET)
TREASURY = "0x" + "c0" * 20
FEES: dict[str, int] = {"chain_id": 31337, "fee_wei_max": 3 * 10**9, "tip_wei": 10**9}
ADDRESSES = st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex())
ITEMS = st.lists(
    st.tuples(st.integers(0, 2**63).map(lambda pos: f"payout-{pos}"), ADDRESSES, st.integers(0, 2**256 - 1)), min_size=1, max_size=8
)


def batch(**changes: Any) -> str:
    """Signed bytes of one payout, with some field of the transaction or its call changed before signing."""
    call = transaction.pay(TREASURY, [chain.BatchItem("payout-307", TREASURY, 5)], 300_000)
    call = transaction.Call(call.to, changes.get("data", lambda data: data)(call.data), call.gas, changes.get("value_wei", 0))
    return KEY.sign_call(call, transaction.Terms(31337, 4, 3 * 10**9, 10**9)).raw


def test_key_in_a_new_file_is_for_its_owner_alone_and_comes_back(tmp_path: Path) -> None:
    made = signer.create(tmp_path / "key")
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert [signer.load(tmp_path / "key").address, signer.load_or_create(tmp_path / "key").address] == [made.address] * 2


def test_no_key_is_overwritten(tmp_path: Path) -> None:
    made = signer.create(tmp_path / "key")
    with pytest.raises(FileExistsError):
        signer.create(tmp_path / "key")
    assert signer.load(tmp_path / "key").address == made.address


def test_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    signer.create(tmp_path / "key")
    (tmp_path / "key").chmod(0o640)
    with pytest.raises(PermissionError, match="chmod 600"):
        signer.load(tmp_path / "key")


@pytest.mark.parametrize("text", ["", "5", "ab" * 31, "ab" * 33, "zz" * 32, "00" * 32, "ff" * 32])
def test_text_that_is_no_key_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError) as refusal:
        signer.parse(text)
    assert not text or text not in str(refusal.value)


def test_key_does_not_show_in_its_repr() -> None:
    assert SECRET.hex() not in repr(KEY)
    assert KEY.address in repr(KEY)


def test_address_is_that_of_eth_account() -> None:
    assert KEY.address == Account.from_key(SECRET).address.lower()


@given(ITEMS, st.integers(0, 2**32), st.integers(0, 10**12), st.integers(0, 10**12))
def test_batch_says_what_was_signed(items: list[tuple[str, str, int]], nonce: int, fee_wei_max: int, tip_wei: int) -> None:
    fees = {"chain_id": 31337, "fee_wei_max": fee_wei_max, "tip_wei": tip_wei, "gas": 123_456}
    raw, tx = KEY.sign_payout_batch(TREASURY, nonce, items, **fees)
    expected = tuple(chain.BatchItem(*item) for item in items)
    assert signer.decode_batch(raw) == chain.SignedBatch(tx, 31337, TREASURY, KEY.address, nonce, fee_wei_max, tip_wei, 123_456, expected)


@settings(max_examples=15, deadline=None)
@given(ITEMS, st.integers(0, 2**32))
def test_bytes_are_those_of_eth_account(items: list[tuple[str, str, int]], nonce: int) -> None:
    raw, tx = KEY.sign_payout_batch(TREASURY, nonce, items, **FEES, gas=500_000)
    data = transaction.pay(TREASURY, [chain.BatchItem(*item) for item in items], 0).data
    fields = {"type": 2, "chainId": 31337, "nonce": nonce, "to": bytes.fromhex(TREASURY[2:]), "gas": 500_000, "value": 0, "data": data}
    theirs = Account.sign_transaction(fields | {"maxFeePerGas": 3 * 10**9, "maxPriorityFeePerGas": 10**9}, SECRET)
    assert (raw, tx) == ("0x" + theirs.raw_transaction.hex(), "0x" + theirs.hash.hex())


@pytest.mark.parametrize("count", [0, 101])
def test_batch_has_one_to_a_hundred_payouts(count: int) -> None:
    with pytest.raises(ValueError, match="1 to 100"):
        KEY.sign_payout_batch(TREASURY, 0, [("payout-1", TREASURY, 1)] * count, **FEES)


def test_any_flipped_bit_of_a_batch_is_refused_or_says_something_else() -> None:
    raw = bytes.fromhex(batch()[2:])
    good = signer.decode_batch("0x" + raw.hex())
    for bit in range(0, len(raw) * 8, 7):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            said = signer.decode_batch("0x" + flipped.hex())
        except ValueError:
            continue
        assert (said.payer, said.tx) != (good.payer, good.tx)
        assert said.tx != good.tx


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "0x",
        "0xzz",
        "0x02",
        "0x02c0",
        "0x01" + batch()[4:],
        batch() + "00",
        batch()[:-2],
        batch(value_wei=1),
        batch(data=lambda data: data[:-1]),
        batch(data=lambda data: data + bytes(32)),
        batch(data=lambda data: b"\0\0\0\0" + data[4:]),
        batch(data=lambda data: data[:4]),
        batch(data=lambda data: b""),
        "0x02" + rlp.encode([b""] * 12).hex(),
        "0x02" + rlp.encode([[]] * 12).hex(),
    ],
)
def test_bytes_that_are_no_canonical_batch_are_refused(raw: str) -> None:
    with pytest.raises(ValueError):
        signer.decode_batch(raw)


def test_payout_ids_go_into_a_word_and_come_back() -> None:
    assert chain.to_bytes32("payout-307") == b"payout-307" + bytes(22)
    assert [chain.from_bytes32(chain.to_bytes32(text)) for text in ("payout-307", "a" * 32)] == ["payout-307", "a" * 32]


@pytest.mark.parametrize("word", [bytes(32), b"\0a" + bytes(30), b"\xff" * 32, b"a\nb" + bytes(29), b"a\0b" + bytes(29)])
def test_word_that_is_no_text_comes_back_in_hex(word: bytes) -> None:
    assert chain.from_bytes32(word) == "0x" + word.hex()


@pytest.mark.parametrize("text", ["", "a" * 33, "päyout-1", "a\n", "a\0"])
def test_text_that_is_no_word_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        chain.to_bytes32(text)


def test_keccak_is_not_sha3() -> None:
    assert typed.keccak(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
