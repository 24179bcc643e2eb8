"""The Merkle tree over all events, kept so that a proof costs few hashes: of every perfect subtree its hash, 64 bytes an event in all.

The hashes are those of domain/log/merkle.py; this is the same tree with a memory.
"""

from domain.log.merkle import EMPTY, join, leaf_hash

HASH_BYTES = 32


class Tree:
    def __init__(self) -> None:
        self._levels = [bytearray()]
        """Level n holds the perfect subtrees of 2^n leaves, from the left."""
        self.size = 0

    def add(self, leaf: bytes) -> None:
        node, level, place = leaf_hash(leaf), 0, self.size
        while True:
            if level == len(self._levels):
                self._levels.append(bytearray())
            self._levels[level] += node
            if not place & 1:
                break
            node, level, place = join(self.node(level, place - 1), node), level + 1, place >> 1
        self.size += 1

    def root(self, size: int) -> bytes:
        """The tree hash over the first `size` leaves."""
        return self._hash(0, size) if size else EMPTY

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """The audit path of leaf `index` (from 0) among the first `size` (RFC 6962 §2.1.1), the lowest sibling first."""
        path, start, stop = list[bytes](), 0, size
        while stop - start > 1:
            middle = start + left(stop - start)
            if index < middle:
                path.append(self._hash(middle, stop))
                stop = middle
            else:
                path.append(self._hash(start, middle))
                start = middle
        return path[::-1]

    def consistency(self, first: int, second: int) -> list[bytes]:
        """That the tree of `second` leaves begins with that of `first` (RFC 6962 §2.1.2)."""
        if first == 0:
            return []
        proof, start, stop, known = list[bytes](), 0, second, True
        while first != stop:
            middle = start + left(stop - start)
            if first <= middle:
                proof.append(self._hash(middle, stop))
                stop = middle
            else:
                proof.append(self._hash(start, middle))
                start, known = middle, False
        return (proof if known else [*proof, self._hash(start, stop)])[::-1]

    def _hash(self, start: int, stop: int) -> bytes:
        """Over leaves [start, stop), where start is a multiple of the largest power of two up to their number."""
        count = stop - start
        level = count.bit_length() - 1
        if count == 1 << level:
            return self.node(level, start >> level)
        middle = start + (1 << level)
        return join(self._hash(start, middle), self._hash(middle, stop))

    def leaves(self, start: int, stop: int) -> bytes:
        """The hashes of the leaves [start, stop), from 0, which are there."""
        return bytes(self._levels[0][start * HASH_BYTES : stop * HASH_BYTES])

    def node(self, level: int, place: int) -> bytes:
        """The hash of a perfect subtree: of leaves [place * 2^level, (place + 1) * 2^level), which are there."""
        return bytes(self._levels[level][place * HASH_BYTES : (place + 1) * HASH_BYTES])


def left(size: int) -> int:
    """The leaves of the left subtree: the largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1
