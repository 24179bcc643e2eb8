"""The Merkle tree over all events of a log, as RFC 6962 §2.1 defines it: a leaf is an event line, the tree grows to the right.

`Head` is what a reader keeps: with the roots of the perfect subtrees (the frontier) an append costs one or two hashes, however long
the log is. Proofs need the hashes of all leaves; they show that an event is in the tree of a given root, and that a later root
keeps everything that an earlier one had.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import sha256

from domain.ids import LogId
from domain.value import Value


class Mark(Value):
    """A head as headers name it: enough to tell what counts next, not enough to verify it."""

    log: LogId
    size: int
    root: str
    sealed: bool


class Head(Value):
    """All that a reader has to remember."""

    log: LogId
    size: int = 0
    """Number of events."""
    frontier: tuple[bytes, ...] = ()
    """Roots of the perfect subtrees, the largest first: one for each bit that is set in `size`."""
    sealed: bool = False
    """The last block was a seal: only a bind may follow."""

    @property
    def root(self) -> str:
        """The tree hash over all leaves, in hex."""
        return _root(self.frontier)

    @property
    def mark(self) -> Mark:
        return Mark(self.log, self.size, self.root, self.sealed)

    def extend(self, leaves: Iterable[bytes], *, seals: bool = False) -> "Head":
        """The head after these leaves (not their hashes)."""
        size, frontier = self.size, list(self.frontier)
        for leaf in leaves:
            node, full = leaf_hash(leaf), size
            while full & 1:
                node, full = join(frontier.pop(), node), full >> 1
            frontier.append(node)
            size += 1
        return Head(self.log, size, tuple(frontier), seals)


EMPTY = sha256(b"").digest()
"""The tree hash over nothing."""


def leaf_hash(leaf: bytes) -> bytes:
    return sha256(b"\x00" + leaf).digest()


def join(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def tree_hash(hashes: Sequence[bytes]) -> bytes:
    """Of the leaves with these hashes (MTH of RFC 6962 §2.1)."""
    if not hashes:
        return EMPTY
    return _subtree(hashes, 0, len(hashes))


def inclusion(hashes: Sequence[bytes], index: int) -> list[bytes]:
    """The audit path of leaf `index` (from 0) in the tree over `hashes` (PATH of RFC 6962 §2.1.1), the lowest sibling first.
    Raises IndexError if there is no such leaf."""
    if not 0 <= index < len(hashes):
        raise IndexError(index)
    path, start, stop = list[bytes](), 0, len(hashes)
    while stop - start > 1:
        middle = start + _left(stop - start)
        if index < middle:
            path.append(_subtree(hashes, middle, stop))
            stop = middle
        else:
            path.append(_subtree(hashes, start, middle))
            start = middle
    return path[::-1]


def consistency(hashes: Sequence[bytes], size: int) -> list[bytes]:
    """That the tree over `hashes` continues the tree over its first `size` leaves (PROOF of RFC 6962 §2.1.2). Empty for the whole
    tree and for none of it. Raises IndexError if the tree was never of that size."""
    if not 0 <= size <= len(hashes):
        raise IndexError(size)
    if size == 0:
        return []
    proof, start, stop, known = list[bytes](), 0, len(hashes), True
    while size != stop:
        middle = start + _left(stop - start)
        if size <= middle:
            proof.append(_subtree(hashes, middle, stop))
            stop = middle
        else:
            proof.append(_subtree(hashes, start, middle))
            start, known = middle, False
    if not known:
        proof.append(_subtree(hashes, start, stop))
    return proof[::-1]


def includes(root: str, size: int, index: int, leaf: bytes, path: Sequence[bytes]) -> bool:
    """Whether `path` shows that `leaf` (the line, not its hash) is at `index` (from 0) in the tree of that size and root
    (RFC 9162 §2.1.3.2)."""
    if not 0 <= index < size:
        return False
    node, place, last = leaf_hash(leaf), index, size - 1
    for sibling in path:
        if last == 0:
            return False
        if place & 1 or place == last:
            node = join(sibling, node)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            node = join(node, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and node.hex() == root


def continues(size: int, root: str, later_size: int, later_root: str, proof: Sequence[bytes]) -> bool:
    """Whether `proof` shows that the later tree begins with the earlier one (RFC 9162 §2.1.4.2)."""
    if not 0 <= size <= later_size:
        return False
    if size == 0:
        return not proof and root == EMPTY.hex()
    if size == later_size:
        return not proof and root == later_root
    nodes = [bytes.fromhex(root), *proof] if size & (size - 1) == 0 else list(proof)
    if not nodes:
        return False
    place, last = size - 1, later_size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    early = late = nodes[0]
    for node in nodes[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            early, late = join(node, early), join(node, late)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            late = join(late, node)
        place, last = place >> 1, last >> 1
    return last == 0 and (early.hex(), late.hex()) == (root, later_root)


@lru_cache(8)
def _root(frontier: tuple[bytes, ...]) -> str:
    """Remembered for a few heads: of the newest one it is asked again and again."""
    if not frontier:
        return EMPTY.hex()
    *left, node = frontier
    for subtree in reversed(left):
        node = join(subtree, node)
    return node.hex()


def _left(size: int) -> int:
    """The leaves of the left subtree: the largest power of two below `size`."""
    return int(1 << (size - 1).bit_length() - 1)


def _subtree(hashes: Sequence[bytes], start: int, stop: int) -> bytes:
    if stop - start == 1:
        return hashes[start]
    middle = start + _left(stop - start)
    return join(_subtree(hashes, start, middle), _subtree(hashes, middle, stop))
