"""One body of each command that could have been sent, and what reads were answered."""

import json
from pathlib import Path
from typing import Any

from domain.body import Body
from domain.house import override, rules
from domain.market import bid, worker
from domain.proof import proof, verdict
from domain.treasury import account, payout, stake
from domain.work import job, task

HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
ADDRESS = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8"
SIGNATURE = "0x" + "5a" * 64 + "1b"
BUILD, CLASS = "mitsuba-3.9.1", "mitsuba-3.9.1/cpu"
KEYS = [
    {"alg": "eip712", "key": ADDRESS, "purpose": "owner"},
    {"alg": "api", "key": HASH, "scopes": ["create", "payout"], "expires_us": 1_900_000_000_000_000},
]
TWO = {"approver": "account-4", "approval": SIGNATURE}

EXAMPLES: dict[type[Body], dict[str, Any]] = {
    account.Open: {"kind": "person", "roles": ["creator", "provider"]},
    account.Change: {"keys_added": KEYS, "payout_address": ADDRESS},
    account.Grant: {"account": "account-17", "roles": ["finance"], **TWO},
    stake.Lock: {"asset": "usdc", "amount": "5000000", "source": "available", "number": 1, "signature": SIGNATURE},
    stake.Unlock: {"asset": "usdc", "amount": "5000000", "number": 2, "signature": SIGNATURE},
    worker.Register: {"kind": "cpu", "slots": 1, "ram_mib": 16_384, "country": "CH", "classes": [CLASS]},
    worker.Change: {"mode": "draining"},
    worker.GoOnline: {"session": "5f2b9c0d11aa43e7"},
    worker.GoOffline: {},
    bid.Bid: {"class": CLASS, "price_per_kwu": "160000000", "number": 1, "signature": SIGNATURE},
    job.Submit: {
        "engine": "mitsuba",
        "manifest_sha256": HASH,
        "frames": 4,
        "size": [320, 180],
        "tiles": [4, 4],
        "group": 4,
        "samples": 64,
        "seed": 7,
        "limit_price": "200000000",
    },
    job.Open: {},
    job.Pause: {},
    job.Resume: {},
    job.Cancel: {},
    task.End: {"task": "job-100/4", "fence": 1, "outcome": "declined", "code": "busy"},
    proof.Commit: {
        "task": "job-100/4",
        "fence": 1,
        "raw": [HASH] * 4,
        "raw_bytes": 691_376,
        "seconds_us": 2_300_000,
        "build": BUILD,
        "device": "cpu",
        "signature": SIGNATURE,
    },
    verdict.Commit: {"audit": "audit-95", "round": 1, "seal": HASH, "signature": SIGNATURE},
    verdict.Reveal: {
        "audit": "audit-95",
        "verdict": "valid",
        "metrics": [{"region": 2, "equal": True, "psnr_mdb": None, "differing_ppm": 0}],
        "comparator": "psnr-1",
        "evidence_sha256": [HASH],
        "nonce": "00112233445566778899aabbccddeeff",
    },
    payout.Request: {"asset": "usdc", "kind": "worker", "to": ADDRESS, "amount": "1250000", "number": 1, "signature": SIGNATURE},
    payout.Cancel: {},
    payout.Approve: {},
    rules.Adopt: {"policy": "standard", "effective_us": 1_900_000_000_000_000, **TWO},
    rules.RegisterEngine: {
        "engine": "mitsuba",
        "build": BUILD,
        "classes": [CLASS],
        "bench_wu_milli": 1_500,
        "bench_tiles": 4,
        "wu_milli_per_msample": 760,
        **TWO,
    },
    override.Override: {"action": "freeze", "reason": "drill", "number": 1, **TWO},
    rules.ListAsset: {"asset": "usdc", "decimals": 6, "chain_id": 31_337, "contract": ADDRESS, "treasury": ADDRESS, **TWO},
}
"""What stands in the path is left out."""

QUERY = {
    "query": "query ($n: Int) { jobs(first: $n) { position nodes { job spent taskList(first: 3) { nodes { task } } } } }",
    "variables": {"n": 5},
}
ANSWERS: dict[str, dict[str, dict[str, Any]]] = json.loads((Path(__file__).parent / "answers.json").read_text())
"""What a server answered that has a scripted life behind it: operation -> media type -> what was asked, and the answer
(`python -m tests.answers`)."""
OPENED = ANSWERS["account.Open"]["application/json"]["value"]
"""What a command is answered: the log's lines, byte for byte."""
