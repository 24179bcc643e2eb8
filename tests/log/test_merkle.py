"""The tree is that of RFC 6962, and proofs prove what they say and nothing else. Vectors: the reference implementation of
Certificate Transparency (merkletree/merkle_tree_test.cc)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.ids import LogId
from domain.log import merkle
from domain.log.merkle import Head

LOG = LogId("a" * 32)
LEAVES = [
    bytes.fromhex(leaf) for leaf in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
HASHES = [merkle.leaf_hash(leaf) for leaf in LEAVES]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
A, B, C = (
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
)
D, E, F = (
    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
    "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
)


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_the_reference(size: int) -> None:
    assert Head(LOG).extend(LEAVES[:size]).root == ROOTS[size]
    assert merkle.tree_hash(HASHES[:size]).hex() == ROOTS[size]


@pytest.mark.parametrize(
    ("index", "size", "path"),
    [(0, 1, []), (0, 8, [A, B, C]), (5, 8, [D, E, ROOTS[4]]), (2, 3, [ROOTS[2]]), (1, 5, [ROOTS[1], B, D])],
)
def test_inclusion_proofs_are_those_of_the_reference(index: int, size: int, path: list[str]) -> None:
    assert [node.hex() for node in merkle.inclusion(HASHES[:size], index)] == path


@pytest.mark.parametrize(
    ("early", "late", "proof"),
    [(1, 1, []), (1, 8, [A, B, C]), (6, 8, [F, E, ROOTS[4]]), (2, 5, [B, D]), (0, 8, [])],
)
def test_consistency_proofs_are_those_of_the_reference(early: int, late: int, proof: list[str]) -> None:
    assert [node.hex() for node in merkle.consistency(HASHES[:late], early)] == proof


@given(st.lists(st.binary(max_size=3), max_size=40), st.data())
def test_a_head_does_not_depend_on_how_the_leaves_were_cut(leaves: list[bytes], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(leaves)))
    head = Head(LOG).extend(leaves[:cut]).extend(leaves[cut:])

    assert head == Head(LOG).extend(leaves)
    assert head.root == merkle.tree_hash([merkle.leaf_hash(leaf) for leaf in leaves]).hex()
    assert len(head.frontier) == len(leaves).bit_count()


@given(st.integers(1, 70), st.data())
def test_an_inclusion_proof_holds_for_its_leaf_and_place_only(size: int, data: st.DataObject) -> None:
    leaves = [b"%d" % n for n in range(size)]
    hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
    root, index = merkle.tree_hash(hashes).hex(), data.draw(st.integers(0, size - 1))
    path = merkle.inclusion(hashes, index)

    assert merkle.includes(root, size, index, leaves[index], path)
    assert not merkle.includes(root, size, index, b"other", path)
    assert not merkle.includes(ROOTS[0], size, index, leaves[index], path)
    assert not merkle.includes(root, size, index, leaves[index], [*path, path[0] if path else b""])
    assert not any(merkle.includes(root, size, other, leaves[index], path) for other in range(-1, size + 1) if other != index)
    if path:
        assert not merkle.includes(root, size, index, leaves[index], path[:-1])
        assert not merkle.includes(root, size, index, leaves[index], [b"\0" * 32, *path[1:]])


@given(st.integers(0, 70), st.data())
def test_a_consistency_proof_holds_for_its_two_trees_only(size: int, data: st.DataObject) -> None:
    hashes = [merkle.leaf_hash(b"%d" % n) for n in range(size)]
    early = data.draw(st.integers(0, size))
    roots = [merkle.tree_hash(hashes[:n]).hex() for n in range(size + 1)]
    other = merkle.tree_hash([*hashes[:-1], b"\0" * 32]).hex()
    proof = merkle.consistency(hashes, early)

    assert merkle.continues(early, roots[early], size, roots[size], proof)
    assert not merkle.continues(early, other, size, roots[size], proof)
    assert not merkle.continues(size + 1, roots[early], size, roots[size], proof)
    assert not merkle.continues(early, roots[early], size, roots[size], [*proof, b"\0" * 32])
    if early:
        assert not merkle.continues(early, roots[early], size, other, proof)
        assert not merkle.continues(early, roots[early], 4 * size, roots[size], proof), "a tree of more levels"
    if proof:
        assert not merkle.continues(early, roots[early], size, roots[size], proof[:-1])


def test_there_is_no_proof_of_what_is_not_in_the_tree() -> None:
    for index in (-1, 8):
        with pytest.raises(IndexError):
            merkle.inclusion(HASHES, index)
    with pytest.raises(IndexError):
        merkle.consistency(HASHES, 9)
