"""Change any one field of any event, give it its entry and seal the log again: it is found at its position, unless it is somebody's word
that nobody can check. The list of those is all there is, and each of them is in the root that the chain has."""

import contextlib
import copy
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from auditor import bundle as bundles
from auditor.bundle import BadBundle
from auditor.explain import Unknown, explain
from auditor.report import Report
from auditor.verify import verify
from domain.log.block import Broken
from tests.auditor import forging
from tests.auditor.forging import Blocks

pytestmark = pytest.mark.system

SAID = {
    "account.opened": {"identity_commitment", "keys", "roles"},
    "account.changed": {"keys_added", "payout_address"},
    "asset.listed": {"asset", "chain_id", "contract", "decimals", "treasury"},
    "batch.mined": {"block"},
    "deposit.seen": {"amount", "block", "log_index", "tx"},
    "engine.registered": {"bench_tiles", "bench_wu_milli", "build", "classes", "engine", "wu_milli_per_msample"},
    "job.submitted": {"constraints", "limit_price"},
    "ledger.bound": {"home"},
    "ledger.opened": {"policy"},
    "policy.adopted": {"parameters"},
    "proof.committed": {"device", "raw_bytes", "seconds_us"},
    "verdict.revealed": {"comparator"},
    "worker.registered": {"ram_mib", "slots"},
}
"""What people, daemons and the first block say of themselves: it cannot be wrong where it stands. Most of it is contradicted by what
follows from it, or by the chain."""


def other(value: Any) -> Any:
    """Another value of the same shape; None where there is none."""
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case None:
            return "5"
        case str():
            return str(int(value) + 1) if value.isdigit() else value[:-1] + ("0" if value[-1:] != "0" else "1")
        case list():
            return value[:-1] if len(value) > 1 else [other(each) for each in value] or None
        case _:
            name = next(iter(value))
            return {**value, name: other(value[name])}


def changed() -> Iterator[tuple[str, str, int, Blocks]]:
    """(event, field, position, log) for each field of the first event of each kind."""
    true, seen = forging.opened(forging.life().records), set[tuple[str, str]]()
    for n, block in enumerate(true):
        for m, line in enumerate(block):
            kind = line["event"]["type"].removesuffix(".v1")
            for name in [name for name in line["event"] if name != "type" and (kind, name) not in seen]:
                seen.add((kind, name))
                blocks = copy.deepcopy(true)
                event = blocks[n][m]["event"]
                event[name] = other(event[name])
                if event[name] is not None:
                    with contextlib.suppress(Broken):
                        forging.booked(blocks[n][m])
                    yield kind, name, line["pos"], blocks


def test_every_field_of_every_event_is_checked_or_known_to_be_free(tmp_path: Path) -> None:
    free = dict[str, set[str]]()
    unnoticed = list[tuple[str, str]]()
    for number, (kind, name, position, blocks) in enumerate(changed()):
        report = verify(forging.bundle(tmp_path / f"{number}", records=forging.sealed(blocks)))
        if position not in {it.position for it in report.findings}:
            free.setdefault(kind, set()).add(name)
        if report.exit != 1:
            unnoticed.append((kind, name))

    assert {kind: names - SAID.get(kind, set()) for kind, names in free.items() if names - SAID.get(kind, set())} == {}
    assert unnoticed == []


def ruined(chance: Random) -> Blocks:
    """The life with one or two things put, dropped, doubled or swapped at random."""
    blocks = forging.opened(forging.life().records)
    values = [value for block in blocks for line in block for value in line["event"].values()]
    for _ in range(chance.randint(1, 2)):
        at = chance.randrange(1, len(blocks) - 1)
        match chance.randrange(6):
            case 0:
                del blocks[at]
            case 1:
                blocks.insert(at, copy.deepcopy(chance.choice(blocks)))
            case 2:
                blocks[at - 1], blocks[at] = blocks[at], blocks[at - 1]
            case _:
                line = chance.choice(blocks[at])
                field = chance.choice([*line["event"]])
                line["event"][field] = chance.choice(
                    [chance.choice(values), 0, -1, "", [], {}, None, True, 1.5, 10**20, "-5", "worker-999"]
                )
    if chance.randrange(2):
        forging.renumber(blocks)
    return blocks


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_in_a_bundle_the_auditor_ends_with_a_report(tmp_path: Path, seed: int) -> None:
    chance = Random(seed)
    reports = list[Report]()
    for number in range(60):
        path = tmp_path / f"{number}"
        bundles.write(path, forging.sealed(ruined(chance)), forging.life().objects, forging.facts(forging.life()))
        reports.append(verify(path))
        try:
            explain(path, "account-32")
        except (BadBundle, Unknown):
            continue

    assert {report.exit for report in reports} <= {1, 2}
    assert sum(report.exit == 1 for report in reports) > 50
