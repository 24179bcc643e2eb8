"""EIP-712: our digest is eth_account's, and a signature has one form and one signer."""

from typing import Any

import coincurve
import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from hypothesis import given
from hypothesis import strategies as st

from adapters import signer
from adapters.evm import typed
from domain import ids, signing

LOG = ids.LogId("5f" * 16)
KEY = signer.Signer(bytes(31) + b"\x07")


def bid(price: int = 180, worker: str = "worker-12") -> dict[str, Any]:
    fields = (("worker", worker), ("class", "mitsuba-3.9.1/cpu"), ("price_per_kwu", price))
    claim = signing.Claim("Bid", fields, ids.account_id(7), "agent", "")
    return signing.typed_data(LOG, 31337, claim)


ATOMS: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text(),
    "bytes": st.binary(max_size=80),
    "bool": st.booleans(),
    "address": st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex()),
    "bytes32": st.binary(min_size=32, max_size=32),
    "bytes4": st.binary(min_size=4, max_size=4).map(lambda raw: "0x" + raw.hex()),
    "uint256": st.integers(0, 2**256 - 1),
    "uint8": st.integers(0, 255),
    "int256": st.integers(-(2**255), 2**255 - 1),
    "int16": st.integers(-(2**15), 2**15 - 1),
}


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Structs in structs, arrays of anything, some of the five fields of a domain."""

    def fields(kinds: dict[str, st.SearchStrategy[Any]]) -> tuple[list[dict[str, str]], dict[str, Any]]:
        chosen = draw(st.lists(st.sampled_from(sorted(kinds)), min_size=1, max_size=5))
        listed, values = [], {}
        for n, kind in enumerate(chosen):
            suffix, size = draw(st.sampled_from([("", None), ("[]", None), ("[2]", 2)]))
            values[f"f{n}"] = draw(kinds[kind] if not suffix else st.lists(kinds[kind], min_size=size or 0, max_size=size or 3))
            listed.append({"name": f"f{n}", "type": kind + suffix})
        return listed, values

    leaf, leaf_value = fields(ATOMS)
    node, node_value = fields(ATOMS | {"Leaf": st.just(leaf_value)})
    root, message = fields(ATOMS | {"Leaf": st.just(leaf_value), "Node": st.just(node_value)})
    domain = {"name": draw(st.text()), "version": "1", "chainId": draw(ATOMS["uint256"])}
    domain |= draw(st.sampled_from([{}, {"salt": "0x" + "ab" * 32}, {"verifyingContract": "0x" + "cd" * 20}]))
    used = {field["type"].partition("[")[0] for field in root} | {"Root"}
    used |= {field["type"].partition("[")[0] for field in node} if "Node" in used else set()
    types = {name: kinds for name, kinds in (("Leaf", leaf), ("Node", node), ("Root", root)) if name in used}
    return {"types": types, "primaryType": "Root", "domain": domain, "message": message}


@given(documents())
def test_digest_is_that_of_eth_account(document: dict[str, Any]) -> None:
    theirs = encode_typed_data(document["domain"], document["types"], document["message"])
    assert typed.digest(document) == typed.keccak(b"\x19" + theirs.version + theirs.header + theirs.body)


def test_claim_of_the_domain_is_signed_as_eth_account_signs_it() -> None:
    theirs = Account.sign_typed_data(bytes(31) + b"\x07", full_message=bid())
    assert KEY.sign_typed(bid()) == "0x" + theirs.signature.hex()


def test_signature_names_its_signer() -> None:
    assert signer.recover_typed(bid(), KEY.sign_typed(bid())) == KEY.address


def test_changed_message_names_somebody_else() -> None:
    signature = KEY.sign_typed(bid(180))
    others = [bid(181), bid(worker="worker-13"), bid() | {"domain": bid()["domain"] | {"chainId": 1}}]
    assert KEY.address not in [signer.recover_typed(other, signature) for other in others]


def test_the_other_signature_of_the_same_key_is_refused() -> None:
    raw = bytes.fromhex(KEY.sign_typed(bid())[2:])
    high = (typed.SECP256K1_N - int.from_bytes(raw[32:64], "big")).to_bytes(32, "big")
    twin = "0x" + (raw[:32] + high + bytes([55 - raw[64]])).hex()
    # It is a signature of that key by the curve, or the refusal would prove nothing.
    loose = coincurve.PublicKey.from_signature_and_message(raw[:32] + high + bytes([28 - raw[64]]), typed.digest(bid()), hasher=None)
    assert typed.address_of(loose) == KEY.address
    with pytest.raises(ValueError, match="canonical"):
        signer.recover_typed(bid(), twin)


@pytest.mark.parametrize(
    "change",
    [
        lambda good: "",
        lambda good: "0x",
        lambda good: good[:-2],
        lambda good: good + "00",
        lambda good: good[2:],
        lambda good: good.replace("0x", "0X"),
        lambda good: "0x" + good[2:].upper(),
        lambda good: good[:-2] + "00",
        lambda good: good[:-2] + "1d",
        lambda good: "0x" + "zz" * 65,
        lambda good: "0x" + "00" * 64 + "1b",
        lambda good: "0x" + "00" * 32 + good[66:],
        lambda good: "0x" + "ff" * 32 + good[66:],
        lambda good: good[:66] + "00" * 32 + good[-2:],
    ],
)
def test_signature_in_any_other_form_is_refused(change: Any) -> None:
    with pytest.raises(ValueError, match="signature"):
        signer.recover_typed(bid(), change(KEY.sign_typed(bid())))


def test_point_that_is_not_on_the_curve_is_refused() -> None:
    # x = 5 has no y on secp256k1.
    with pytest.raises(ValueError, match="no key"):
        signer.recover_typed(bid(), "0x" + f"{5:064x}" + f"{1:064x}" + "1b")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("uint256", -1),
        ("uint256", 2**256),
        ("uint256", True),
        ("uint256", 1.0),
        ("uint256", "01"),
        ("uint256", "0x1"),
        ("uint7", 1),
        ("int8", 128),
        ("bool", 1),
        ("bool", "false"),
        ("string", 5),
        ("string", None),
        ("string", "\ud800"),
        ("bytes", "abc"),
        ("bytes4", "0x0102"),
        ("bytes33", "0x" + "01" * 33),
        ("address", "0x" + "01" * 19),
        ("string[]", "ab"),
        ("string[2]", ["a"]),
        ("Unknown", {}),
    ],
)
def test_value_that_is_not_of_its_type_has_no_digest(kind: str, value: object) -> None:
    types = {"T": [{"name": "a", "type": kind}]}
    document = {"types": types, "primaryType": "T", "domain": {"name": "x"}, "message": {"a": value}}
    with pytest.raises(ValueError):
        typed.digest(document)


@pytest.mark.parametrize(
    "change",
    [
        {"message": {}},
        {"message": {"a": "1", "b": "2"}},
        {"message": None},
        {"primaryType": "U"},
        {"domain": {"name": "x", "colour": "red"}},
        {"types": {"T": [{"name": "a", "type": "string"}], "EIP712Domain": []}},
    ],
)
def test_document_that_does_not_fit_itself_has_no_digest(change: dict[str, Any]) -> None:
    good = {"types": {"T": [{"name": "a", "type": "string"}]}, "primaryType": "T", "domain": {"name": "x"}, "message": {"a": "1"}}
    assert len(typed.digest(good)) == 32
    with pytest.raises(ValueError):
        typed.digest(good | change)
    for part in good:
        with pytest.raises(ValueError, match=part):
            typed.digest({name: value for name, value in good.items() if name != part})
