"""What somebody writes who has read docs/log-format.md and nothing else of ours: python stranger.py LOG-ID FILE."""

import json
import re
import sys
from collections import defaultdict
from hashlib import sha256
from pathlib import Path

HEADER = re.compile(
    rb'^\{"gridledger":1,"log":"([0-9a-f]{32})","size":(0|[1-9][0-9]{0,14}),"root":"([0-9a-f]{64})",'
    rb'"kind":"(block|seal|bind)","next_size":([1-9][0-9]{0,14}),"next_root":"([0-9a-f]{64})"\}\n',
    re.MULTILINE,
)


def root_of(frontier: list[bytes]) -> str:
    node = frontier[-1] if frontier else sha256(b"").digest()
    for left in reversed(frontier[:-1]):
        node = sha256(b"\x01" + left + node).digest()
    return node.hex()


def verify(log: str, data: bytes) -> dict[str, object]:
    frontier, size, sealed, at_us = list[bytes](), 0, False, 0
    balances, versions = defaultdict[str, int](int), defaultdict[str, int](int)
    begins = [found.start() for found in HEADER.finditer(data)]
    for start, end in zip(begins, [*begins[1:], len(data)], strict=True):
        record = data[start:end]
        its_log, its_size, its_root, kind, next_size, next_root = (part.decode() for part in HEADER.findall(record)[0])
        if its_log != log or int(its_size) < size:
            continue  # alien or stale
        assert (int(its_size), its_root) == (size, root_of(frontier)), f"diverged at {its_size}"
        if (kind == "bind") != sealed:
            continue  # alien
        _, *lines, rest = record.split(b"\n")
        within = lines and not rest and len(record) <= 900_000 and max(map(len, lines)) <= 60_000
        assert within, f"broken at {size}: limits"
        before_us, sealed = at_us, kind == "seal"
        for line in lines:
            node, full = sha256(b"\x00" + line).digest(), size
            while full & 1:
                node, full = sha256(b"\x01" + frontier.pop() + node).digest(), full >> 1
            frontier, size, event = [*frontier, node], size + 1, json.loads(line)
            versions[event["stream"]] += 1
            at_us = event["at_us"] if line is lines[0] else at_us
            assert (event["pos"], event["ver"]) == (size, versions[event["stream"]]), f"broken at {size}: order"
            assert event["at_us"] == at_us > before_us, f"broken at {size}: time"
            sums = defaultdict[str, int](int)
            for account, amount in event.get("entry", []):
                balances[account] += int(amount)
                sums[account.split(":")[0]] += int(amount)
            assert not any(sums.values()), f"broken at {size}: balance"
        assert (str(size), root_of(frontier)) == (next_size, next_root), f"broken at {size}: root"
    return {"size": size, "root": root_of(frontier), "balances": {name: n for name, n in sorted(balances.items()) if n}}


if __name__ == "__main__":
    print(json.dumps(verify(sys.argv[1], Path(sys.argv[2]).read_bytes())))
