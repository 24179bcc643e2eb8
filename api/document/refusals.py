"""One problem document of each code, as the application writes it: made of the refusal's own class and facts that it could have."""

import json
from string import Formatter
from typing import Any

from api import problems
from domain.errors import Refused
from domain.log.asks import refusals

FACTS: dict[str, str | int] = {
    "account": "usdc:2110.available.account-14",
    "address": "0x70997970c51812dc3a010c7d01b50e0d17dc79c8",
    "amount": "5000",
    "asset": "usdc",
    "at_us": 1_800_000_900_000_000,
    "audit": "audit-95",
    "available": "100",
    "cls": "mitsuba-3.9.1/cpu",
    "due_us": 1_800_000_000_500_000,
    "engine": "mitsuba",
    "expected": 4,
    "fence": 3,
    "field": "as_of",
    "form": "parquet",
    "given": 2,
    "happens": "payout.signed",
    "id": "job-100",
    "key_us": 1_800_000_000_000_000,
    "limit": "2000 open uploads",
    "maximum": 65_536,
    "minimum": "10000",
    "needed": "1121600",
    "number": 7,
    "package": "pyarrow",
    "purpose": "owner",
    "reason": "expected a count",
    "region": 2,
    "role": "finance",
    "rule": "shape",
    "scope": "payout",
    "seconds": 12,
    "size": 691_376,
    "status": "signed",
    "task": "job-100/4",
    "until_us": 1_800_086_400_000_000,
    "valid_until_us": 1_800_000_600_000_000,
    "what": "payout-307",
}
MORE: dict[str, dict[str, str | int]] = {
    "invalid": {"pointer": ""},
    "verdict_not_by_rule": {"expected": "valid"},
    "malformed": {"reason": "a name stands there twice"},
    "gate_failed": {"reason": "size"},
    "scene_refused": {"reason": "frame-0.xml: a shape of this kind is not known"},
    "upload_limit": {"limit": "open uploads"},
    "not_reached": {"position": 218, "min_pos": 1_219},
    "too_fine": {"maximum": 18, "asset": "wei"},
}
"""Of single codes: other facts, or such as the text does not tell."""


def example(code: str) -> dict[str, Any]:
    kind = next((each for each in refusals(Refused) if each.code == code), None)
    names = [name for _, name, _, _ in Formatter().parse(kind.__doc__ or "") if name] if kind else []
    facts = {name: FACTS[name] for name in names} | MORE.get(code, {})
    answer = problems.problem(code, str(kind(**facts)) if kind else "", facts)
    found: dict[str, Any] = json.loads(bytes(answer.body))
    return found
