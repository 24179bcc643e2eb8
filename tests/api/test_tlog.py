"""The log as a transparency log: notes are signed, tiles give the root that the note names, and leaves are the lines of the log."""

import base64
from hashlib import sha256
from pathlib import Path

import pytest
from Crypto.Signature import eddsa

from adapters.files import notary
from adapters.files.notary import Notary
from api.proofs import tiles
from domain.ids import LogId
from domain.log import merkle
from tests.api.house import House, people, problem, running


def opened(note: str, verifier: str) -> tuple[str, int, bytes]:
    """Origin, size and root of a note, as C2SP signed-note has it checked. Raises `ValueError` for a wrong signature."""
    name, id, key = verifier.split("+", 2)
    text, _, signatures = note.partition("\n\n")
    mark, signer, signature = signatures.removesuffix("\n").split(" ")
    raw, public = base64.b64decode(signature), base64.b64decode(key)
    assert (mark, signer, raw[:4].hex(), public[0]) == ("\N{EM DASH}", name, id, 1)
    assert sha256(f"{name}\n".encode() + public).hexdigest()[:8] == id
    eddsa.new(eddsa.import_public_key(public[1:]), "rfc8032").verify(f"{text}\n".encode(), raw[4:])
    origin, size, root = text.split("\n")
    return origin, int(size), base64.b64decode(root)


async def tile(house: House, path: str) -> bytes:
    answer = await house.get("", f"/v1/tlog/tile/{path}")
    assert answer.status_code == 200, answer.text
    assert "immutable" in answer.headers["cache-control"]
    return answer.content


def unbundled(content: bytes) -> list[bytes]:
    found = []
    while content:
        length = int.from_bytes(content[:2])
        found.append(content[2 : 2 + length])
        content = content[2 + length :]
    return found


async def test_whoever_has_the_tiles_has_the_tree_of_the_signed_head() -> None:
    async with running(people()) as house:
        verifier = (await house.get("", "/v1/tlog/key")).text.strip()
        origin, size, root = opened((await house.get("", "/v1/tlog/checkpoint")).text, verifier)
        paths = [f"{n:03}" if (n + 1) * 256 <= size else f"{n:03}.p/{size % 256}" for n in range(-(-size // 256))]
        hashes = b"".join([await tile(house, f"0/{path}") for path in paths])
        leaves = [leaf for path in paths for leaf in unbundled(await tile(house, f"entries/{path}"))]

        assert origin == f"gridledger/{house.follower.head.log}"
        assert [hashes[n : n + 32] for n in range(0, len(hashes), 32)] == [merkle.leaf_hash(leaf) for leaf in leaves]
        assert merkle.tree_hash([merkle.leaf_hash(leaf) for leaf in leaves]) == root
        assert leaves[6] == (await house.get("", "/v1/events/7")).content
        if size > 256:
            assert (await tile(house, "1/000.p/1")) == merkle.tree_hash([merkle.leaf_hash(leaf) for leaf in leaves[:256]])


NO_TILES = (
    "0/001x",
    "0/9",
    "0/x000/000",
    "0/900",
    "7/000",
    "0/000.p/256",
    "0/000.p/0",
    "0/x000",
    "entries/x001/000",
    "0/../0/000",
    "0/٠٠٠",
)


async def test_what_is_no_tile_is_not_found() -> None:
    async with running(people()) as house:
        answers = [await house.get("", f"/v1/tlog/tile/{path}") for path in NO_TILES]

        assert [problem(each) for each in answers] == [(404, "not_found")] * len(NO_TILES)


def test_a_place_is_written_in_threes() -> None:
    assert [tiles.numbered(n) for n in (0, 7, 999, 1_000, 1_234_067)] == ["000", "007", "999", "x001/000", "x001/x234/067"]


def test_a_changed_note_is_found() -> None:
    signer = Notary(LogId("ab"), bytes(range(32)))
    note = signer.checkpoint(7, "00" * 32)

    assert opened(note, signer.verifier) == ("gridledger/ab", 7, bytes(32))
    with pytest.raises(ValueError, match="signature"):
        opened(note.replace("\n7\n", "\n8\n"), signer.verifier)
    with pytest.raises(ValueError, match="seed"):
        Notary(LogId("ab"), b"short")


def test_the_key_stays_the_same_and_is_its_owners_alone(tmp_path: Path) -> None:
    first, again = (notary.load_or_create(LogId("ab"), tmp_path / "seed") for _ in range(2))

    assert first.verifier == again.verifier
    assert (tmp_path / "seed").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["seed"]


def test_the_signature_is_that_of_rfc_8032() -> None:
    """§7.1, test 1: the empty message."""
    secret = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    signer = Notary(LogId("ab"), secret)

    assert (
        base64.b64decode(signer.verifier.split("+", 2)[2])[1:].hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    )
