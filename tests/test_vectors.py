"""The test vectors are what the code makes, and what somebody else computes who has only docs/log-format.md."""

import ast
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data

from auditor.checks import batches
from tests import outsider, stranger, vectors
from tests.auditor import test_lives
from tests.drill import lives
from tests.stranger import HEADER

pytestmark = pytest.mark.checkout


def read(name: str) -> Any:
    return json.loads((vectors.FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def bytes_of(listed: Sequence[str]) -> list[bytes]:
    return [bytes.fromhex(each) for each in listed]


@pytest.mark.parametrize("name", vectors.VECTORS)
def test_the_vectors_are_what_the_code_makes(name: str) -> None:
    assert (vectors.FOLDER / f"{name}.json").read_text(encoding="utf-8") == vectors.written(name), "python -m tests.vectors"


def test_there_are_no_others() -> None:
    assert {file.name for file in vectors.FOLDER.iterdir()} == {f"{name}.json" for name in vectors.VECTORS}


def test_the_outsider_knows_nothing_of_ours() -> None:
    tree = ast.parse(Path(outsider.__file__).read_text(encoding="utf-8"))
    imported = {str(node.module).partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}

    assert imported <= sys.stdlib_module_names


def test_an_outsider_finds_the_heads() -> None:
    rows = read("heads")
    lines = [row["line"].encode() for row in rows[1:]]

    for size, row in enumerate(rows):
        assert row["root"] == outsider.tree(lines[:size]).hex() == stranger.root_of(outsider.perfect(lines[:size]))
        assert row["frontier"] == [node.hex() for node in outsider.perfect(lines[:size])]
        assert size == 0 or row["leaf"] == outsider.tree(lines[size - 1 : size]).hex()


def verdict(head: dict[str, Any], record: bytes) -> str:
    """By the table of section 4, row by row."""
    found = HEADER.match(record)
    if not found or found[1].decode() != head["log"]:
        return "alien"
    if int(found[2]) < head["size"]:
        return "stale"
    if (int(found[2]), found[3].decode()) != (head["size"], head["root"]):
        return "diverged"
    if (found[4] == b"bind") != head["sealed"]:
        return "alien"
    _, *lines, rest = record.split(b"\n")
    frontier, size = bytes_of(head["frontier"]), head["size"]
    for line in lines:
        node, full = outsider.hashed(b"\0" + line), size
        while full % 2:
            node, full = outsider.hashed(b"\1" + frontier.pop() + node), full // 2
        frontier.append(node)
        size += 1
    whole = lines and not rest and (size, stranger.root_of(frontier)) == (int(found[5]), found[6].decode())
    return "block" if whole else "broken"


def test_an_outsider_judges_the_records_alike() -> None:
    rows = read("records")

    assert {row["name"]: verdict(row["head"], row["record"].encode()) for row in rows} == {row["name"]: row["verdict"] for row in rows}
    assert {row["verdict"] for row in rows} == {"block", "stale", "alien", "diverged", "broken"}


def test_an_outsider_finds_that_the_proofs_hold_and_that_others_do_not() -> None:
    rows = read("proofs")
    for row in rows["inclusion"]:
        leaf = outsider.tree([row["line"].encode()])
        root = outsider.inclusion_root(bytes_of(row["path"]), row["index"], row["size"], leaf)
        assert (root.hex() == row["root"]) is row["holds"]
    for row in rows["consistency"]:
        roots = outsider.consistency_roots(bytes_of(row["proof"]), row["size"], row["later_size"], bytes.fromhex(row["root"]))
        assert (tuple(root.hex() for root in roots) == (row["root"], row["later_root"])) is row["holds"]


def test_an_outsider_draws_the_same() -> None:
    rows = read("lottery")
    for row in rows["numbers"]:
        assert str(outsider.u64(row["tag"], row["value"], row["position"], row["index"])) == row["u"]
    for row in rows["chances"]:
        assert (int(row["u"]) * 10**6 < row["p_ppm"] * 2**64) is row["audited"]
    for row in rows["regions"]:
        drawn = outsider.regions(row["value"], row["position"], row["index"], row["tiles"], row["before"])
        assert drawn == (row["drawn"], row["next"])
    for row in rows["checkers"]:
        drawn_ = outsider.checkers(row["value"], row["position"], row["index"], row["count"], [tuple(each) for each in row["able"]])
        assert drawn_ == (row["drawn"], row["next"])
    for row in rows["benches"]:
        assert outsider.u64("gl/bench/1", row["value"], int(row["worker"].split("-")[1]), 0) // 2**32 == row["seed"]


def test_an_outsider_shares_alike() -> None:
    rows = read("shares")
    for row in rows["prices"]:
        assert str((int(row["per_kwu"]) * row["wu_milli"] + 999_999) // 10**6) == row["price"]
    for row in rows["shares"]:
        assert list(map(str, outsider.shared(int(row["amount"]), row["weights"]))) == row["parts"]

    assert (rows["prices"][0]["price"], rows["shares"][0]["parts"]) == ("768", ["668", "77", "23"])


def test_an_outsider_names_commands_alike() -> None:
    rows = read("commands")

    assert [outsider.command(row["actor"], row["key"]) for row in rows["names"]] == [row["cmd"] for row in rows["names"]]
    for row in rows["bodies"]:
        assert outsider.hashed("\0".join(row[name] for name in ("route", "path", "request")).encode())[:16].hex() == row["body"]
    assert [outsider.key_us(row["key"]) for row in rows["keys"]] == [row["made_us"] for row in rows["keys"]]


def test_eth_account_finds_the_signers() -> None:
    for row in read("signatures"):
        message = encode_typed_data(full_message=row["typed_data"])

        assert outsider_digest(message) == row["digest"]
        assert Account.recover_message(message, signature=row["signature"]).lower() == row["address"]


def outsider_digest(message: Any) -> str:
    from eth_utils.crypto import keccak

    return keccak(b"\x19" + message.version + message.header + message.body).hex()


def test_the_page_tells_what_is_signed() -> None:
    page = (vectors.FOLDER.parent.parent / "docs" / "log-format.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| (`\w+`(?:, `\w+`)*) \| (owner|agent) \|$", page, re.MULTILINE)
    told = {(kind, tuple(re.findall(r"\w+", members)), key) for kinds, members, key in rows for kind in re.findall(r"\w+", kinds)}
    claims = [claim for network in (lives.life(), test_lives.ruled("standard")) for it in network.events for claim in it.event.claims()]
    signed = {(claim.kind, tuple(name for name, _ in claim.fields), claim.purpose) for claim in claims}

    assert signed <= told
    assert {kind for kind, _, _ in told - signed} == {"StakeUnlock"}


def test_the_auditor_reads_the_batches_that_the_payer_wrote() -> None:
    for row in read("batches"):
        said = batches.read(row["raw_tx"])
        pays = [{"payout": it.payout, "to": it.to, "amount": str(it.amount)} for it in said.items]

        assert (said.tx, said.sender, said.to, said.chain_id, said.nonce, said.value) == (
            row["tx_hash"],
            row["payer"],
            row["treasury"],
            row["chain_id"],
            row["nonce"],
            0,
        )
        assert pays == row["pays"]


def test_an_outsider_hashes_work_alike() -> None:
    row = read("work")
    region = row["region"]

    assert outsider.seal(row["seal"]) == row["seal"]["seal"]
    assert outsider.hashed("\n".join(row["raw"]["tiles"]).encode()).hex() == row["raw"]["root"]
    assert outsider.spec(row["spec"]) == row["spec"]["sha256"]
    assert (
        outsider.region(bytes.fromhex(region["pixels"]), region["height"], region["width"], bytes.fromhex(region["spec"]))
        == region["sha256"]
    )
    seed = outsider.hashed(b"gl/seed/1/%d/%d/%d" % (row["seed"]["seed"], row["seed"]["frame"], row["seed"]["tile"]))
    assert int.from_bytes(seed[:4], "little") == row["seed"]["drawn"]
