"""Writes the test vectors for verifiers in other languages, contracts/vectors: `python -m tests.vectors`. Everything in them is made by the
code as it is; that others come to the same is shown by tests/test_vectors.py."""

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from auditor.checks import signatures as eip712
from domain.ids import AccountId, Actor, LogId, WorkerId, command_id
from domain.log import merkle, receipts
from domain.log.block import Broken, Diverged, Void, accept, seal
from domain.log.merkle import Head
from domain.proof import lottery, proof, verdict
from domain.proof.lottery import Candidate
from domain.signing import Claim, typed_data
from domain.treasury import payout, stake
from domain.treasury.earnings import Distribute
from domain.units import Units, price, split
from domain.work import tiles
from tests.network import CHAIN_ID, LOG, TREASURY, key

FOLDER = Path(__file__).parent.parent / "contracts" / "vectors"
VALUE = "0x" + sha256(b"a block").hexdigest()
"""A beacon's."""
KEYS = ("017f22e2-79b0-7cc3-98c4-dc0c0c07398f", "01934b2e-5a00-7000-8000-000000000000")
LINES = [b'{"pos":1}', b"", b"{}", "ä".encode(), b'{"pos":5}', b"x" * 100, b"seven", b"8", b"9"]


def frontier(head: Head) -> list[str]:
    return [node.hex() for node in head.frontier]


def heads() -> Any:
    """The head after each line."""
    head = Head(LogId("a" * 32))
    rows: list[dict[str, Any]] = [{"line": None, "size": 0, "leaf": None, "frontier": [], "root": head.root}]
    for line in LINES:
        head = head.extend([line])
        leaf = merkle.leaf_hash(line).hex()
        rows.append({"line": line.decode(), "size": head.size, "leaf": leaf, "frontier": frontier(head), "root": head.root})
    return rows


def judged(head: Head, record: bytes) -> str:
    try:
        accept(head, record)
    except Void as void:
        return void.why
    except (Broken, Diverged) as stop:
        return type(stop).__name__.lower()
    return "block"


def records() -> Any:
    """Records as a reader meets them, each with the head that he has then."""
    empty = Head(LogId("a" * 32))
    first = seal(empty, LINES[:3])
    second = seal(first.after, LINES[3:5])
    closing = seal(second.after, LINES[5:6], "seal")
    reopening = seal(closing.after, LINES[6:7], "bind")
    rival = seal(first.after, [b"another"])
    cases = [
        ("the first block of a log", empty, first.record),
        ("the next", first.after, second.record),
        ("the first once more", first.after, first.record),
        ("an old one, much later", reopening.after, second.record),
        ("of another log", first.after, seal(Head(LogId("b" * 32), 3, first.after.frontier), LINES[3:5]).record),
        ("no header", first.after, second.record[1:]),
        ("a header with a space", first.after, second.record.replace(b":1,", b": 1,", 1)),
        ("a header of another version", first.after, second.record.replace(b'"gridledger":1', b'"gridledger":2', 1)),
        ("a size with a zero before it", first.after, second.record.replace(b'"size":3', b'"size":03', 1)),
        ("no bytes at all", first.after, b""),
        ("on the same size, another root", second.after, seal(rival.after.extend([b"more"]), [b"lines"]).record),
        ("ahead of the reader", first.after, closing.record),
        ("a seal", second.after, closing.record),
        ("a block on a sealed head", closing.after, seal(closing.after, LINES[6:7]).record),
        ("a bind on a sealed head", closing.after, reopening.record),
        ("a bind on an open head", second.after, seal(second.after, LINES[6:7], "bind").record),
        ("no line", first.after, second.record[: second.record.index(b"\n") + 1]),
        ("without its last line feed", first.after, second.record[:-1]),
        ("with a line changed", first.after, second.record.replace(b'"pos":5', b'"pos":6')),
        ("with a line dropped", first.after, second.record[: second.record.rindex(b"{")]),
        ("with a line more", first.after, second.record + b"{}\n"),
        ("with an empty line more", first.after, second.record + b"\n"),
        ("with another root after it", first.after, second.record.replace(second.after.root.encode(), b"0" * 64)),
        ("with another size after it", first.after, second.record.replace(b'"next_size":5', b'"next_size":6')),
    ]
    return [{"name": name} | judgement(head, record) for name, head, record in cases]


def judgement(head: Head, record: bytes) -> dict[str, Any]:
    what = judged(head, record)
    after = accept(head, record).after if what == "block" else head
    return {"head": told(head), "record": record.decode(), "verdict": what, "after": told(after)}


def told(head: Head) -> dict[str, Any]:
    return {"log": head.log, "size": head.size, "frontier": frontier(head), "root": head.root, "sealed": head.sealed}


def proofs() -> Any:
    """Of leaves in trees, and of trees in later ones; the last of each kind prove nothing."""
    hashes = [merkle.leaf_hash(line) for line in LINES]
    inclusions = [inclusion(hashes, size, index) for size, index in ((1, 0), (2, 1), (7, 6), (9, 8), (9, 0), (9, 5))]
    inclusions += [inclusions[3] | {"index": 7, "holds": False}, inclusions[4] | {"line": "{}", "holds": False}]
    later = [consistency(hashes, size, end) for size, end in ((1, 2), (2, 9), (3, 7), (6, 8), (8, 9), (9, 9))]
    later += [later[1] | {"root": later[2]["root"], "holds": False}, later[2] | {"later_root": later[3]["later_root"], "holds": False}]
    return {"inclusion": inclusions, "consistency": later}


def inclusion(hashes: list[bytes], size: int, index: int) -> dict[str, Any]:
    path = [node.hex() for node in merkle.inclusion(hashes[:size], index)]
    root = merkle.tree_hash(hashes[:size]).hex()
    return {"size": size, "root": root, "index": index, "line": LINES[index].decode(), "path": path, "holds": True}


def consistency(hashes: list[bytes], size: int, later: int) -> dict[str, Any]:
    nodes = [node.hex() for node in merkle.consistency(hashes[:later], size)]
    roots = [merkle.tree_hash(hashes[:end]).hex() for end in (size, later)]
    return {"size": size, "root": roots[0], "later_size": later, "later_root": roots[1], "proof": nodes, "holds": True}


def lots() -> Any:
    """What is drawn from a beacon."""
    tags = (lottery.LOTTERY, lottery.REGION, lottery.CHECKER, lottery.SECOND, lottery.BENCH)
    numbers = [
        {"tag": tag, "value": VALUE, "position": pos, "index": index, "u": str(lottery.number(tag, VALUE, pos, index))}
        for tag in tags
        for pos, index in ((1, 0), (42, 1), (2**53 - 1, 2**32 - 1))
    ]
    u = lottery.number(lottery.LOTTERY, VALUE, 42, 0)
    edge = u * lottery.MILLION // lottery.RANGE
    chances = [{"u": str(u), "p_ppm": p, "audited": lottery.is_audited(u, p)} for p in (0, edge, edge + 1, 100_000, 999_999, 1_000_000)]
    regions = []
    for pos, count, before in ((42, 4, []), (42, 4, [1, 2]), (43, 16, []), (44, 16, [0, 3, 9]), (45, 1, []), (46, 4, [0, 1, 2, 3])):
        drawn = lottery.draw_regions(VALUE, pos, len(before), count, before)
        regions.append(
            {
                "value": VALUE,
                "position": pos,
                "index": len(before),
                "tiles": count,
                "before": before,
                "drawn": drawn.picks,
                "next": drawn.used,
            }
        )
    return {"numbers": numbers, "chances": chances, "regions": regions, "checkers": [*checkers()], "benches": [*benches()]}


def checkers() -> Iterator[dict[str, Any]]:
    able = [
        Candidate(WorkerId(Actor(f"worker-{n}")), AccountId(Actor(f"account-{owner}")), amount)
        for n, owner, amount in ((9, 1, 2 * 10**6), (12, 2, 10**7), (100, 1, 2 * 10**6), (101, 3, 5 * 10**6))
    ]
    for pos, index, count in ((42, 0, 1), (43, 0, 1), (42, 1, 2), (44, 0, 9), (42, 0, 3)):
        drawn = lottery.draw_checkers(VALUE, pos, index, count, able)
        rows = [list(each) for each in able]
        yield {"value": VALUE, "position": pos, "index": index, "count": count, "able": rows, "drawn": drawn.picks, "next": drawn.used}


def benches() -> Iterator[dict[str, Any]]:
    for n in (9, 12):
        yield {"value": VALUE, "worker": f"worker-{n}", "seed": lottery.bench_seed(VALUE, WorkerId(Actor(f"worker-{n}")))}


def shares() -> Any:
    """Prices, and how they are shared; the first is DOMAIN.md's."""
    prices = [(120_000, 6_400), (180_000_000, 21_888), (1, 1), (0, 5), (10**12, 999_999), (3, 333_333)]
    weights = [870_000, 100_000, 30_000]
    parts = [
        (768, weights),
        (0, weights),
        (1, weights),
        (10, weights),
        (99, weights),
        (10**30, weights),
        (10, [1, 1, 1]),
        (11, [1, 1, 1]),
        (5, [0, 0]),
    ]
    return {
        "prices": [{"per_kwu": str(bid), "wu_milli": wu, "price": str(int(price(Units(bid), wu)))} for bid, wu in prices],
        "shares": [{"amount": str(n), "weights": by, "parts": [str(int(it)) for it in split(Units(n), by)]} for n, by in parts],
    }


def commands() -> Any:
    """Names of commands, digests of requests, times of keys, and what an answer is made of."""
    names = [
        ("account-14", KEYS[0]),
        ("worker-26", "commit/job-104/7/1"),
        ("house", "lease/job-104/7/1"),
        ("house", "genesis"),
        ("key-ab", KEYS[1]),
    ]
    requests = [("/v1/jobs/{job}/open", "/v1/jobs/job-104/open", '{"job":"job-104"}'), ("/v1/workers", "/v1/workers", "{ }")]
    return {
        "names": [{"actor": actor, "key": each, "cmd": command_id(actor, each)} for actor, each in names],  # type: ignore[arg-type]
        "bodies": [{"route": route, "path": path, "request": body, "body": digest(route, path, body)} for route, path, body in requests],
        "keys": [{"key": each, "made_us": receipts.uuid7_us(each)} for each in KEYS],
        "valid": {"before_us": receipts.KEY_AGE_US, "after_us": receipts.KEY_AHEAD_US},
    }


def digest(route: str, path: str, request: str) -> str:
    """As the API makes it of a request."""
    asked = f"{route}\0{path}\0{request}".encode()
    return receipts.Ask.keyed(Actor("account-14"), KEYS[0], Distribute(), asked).body


def signatures() -> Any:
    """Claims, their digests and signatures of a key that everybody has."""
    signer = key(1)
    rows = []
    for claim in claims():
        hashed = eip712.digest(LOG, CHAIN_ID, claim)
        document = typed_data(LOG, CHAIN_ID, claim)
        rows.append({"typed_data": document, "digest": hashed.hex(), "address": signer.address, "signature": signer.sign_typed(document)})
    return rows


def claims() -> list[Claim]:
    raw = proof.raw_root(("0" * 64, "1" * 64))
    return [
        payout.requesting("account-14", "usdc", "worker", "0x" + "9" * 40, Units(33_795), 1, ""),  # type: ignore[arg-type]
        stake.locking("account-14", "usdc", Units(5_000_000), "available", 1, ""),  # type: ignore[arg-type]
        proof.committing("job-104/7", 1, "worker-26", raw, "mitsuba-3.9.1", "account-14", ""),  # type: ignore[arg-type]
        verdict.sealing("audit-126", "worker-51", 1, "2" * 64, "account-14", ""),  # type: ignore[arg-type]
    ]


def batches() -> Any:
    """Signed bytes, and what they pay."""
    rows = []
    for nonce, items in (
        (0, [("payout-209", "0x" + "9" * 40, 33_795)]),
        (7, [("payout-1", "0x" + "8" * 40, 1), ("payout-22", "0x" + "7" * 40, 10**18)]),
    ):
        raw, tx = key(1).sign_payout_batch(TREASURY, nonce, items, chain_id=CHAIN_ID, fee_wei_max=10**9, tip_wei=1)
        paid = [{"payout": id, "to": to, "amount": str(amount)} for id, to, amount in items]
        rows.append(
            {
                "raw_tx": raw,
                "tx_hash": tx,
                "payer": key(1).address,
                "treasury": TREASURY,
                "chain_id": CHAIN_ID,
                "nonce": nonce,
                "pays": paid,
            }
        )
    return rows


def work() -> Any:
    """Hashes of what was rendered and judged."""
    metrics = (verdict.Metric(3, True, None, 0), verdict.Metric(7, False, 48_210, 1_250))
    facts = "audit-126", "worker-51", "invalid", metrics, ("a" * 64, "b" * 64), "0123456789abcdef" * 2
    spec: dict[str, Any] = {"engine": "mitsuba", "build": "mitsuba-3.9.1", "manifest_sha256": "c" * 64, "frames": 2, "size": [320, 180]}
    spec |= {"tiles": [8, 4], "group": 4, "samples": 64, "seed": 7}
    pixels = bytes(range(48)) * 4
    listed = [{"region": m.region, "equal": m.equal, "psnr_mdb": m.psnr_mdb, "differing_ppm": m.differing_ppm} for m in metrics]
    return {
        "seal": {
            "audit": facts[0],
            "checker": facts[1],
            "verdict": facts[2],
            "metrics": listed,
            "evidence": list(facts[4]),
            "nonce": facts[5],
            "seal": verdict.seal_of(*facts),
        },
        "raw": {"tiles": ["0" * 64, "1" * 64], "root": proof.raw_root(("0" * 64, "1" * 64))},
        "spec": spec | {"sha256": tiles.spec_sha256(**spec)},
        "region": {
            "pixels": pixels.hex(),
            "height": 4,
            "width": 4,
            "spec": "d" * 64,
            "sha256": sha256(tiles.pack(pixels, 4, 4, bytes.fromhex("d" * 64))).hexdigest(),
        },
        "seed": {"seed": 7, "frame": 1, "tile": 30, "drawn": tiles.seed(7, 1, 30)},
    }


VECTORS = {
    "heads": heads,
    "records": records,
    "proofs": proofs,
    "lottery": lots,
    "shares": shares,
    "commands": commands,
    "signatures": signatures,
    "batches": batches,
    "work": work,
}


def written(name: str) -> str:
    """The file's text."""
    return json.dumps(VECTORS[name](), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for each in VECTORS:
        (FOLDER / f"{each}.json").write_text(written(each), encoding="utf-8")
