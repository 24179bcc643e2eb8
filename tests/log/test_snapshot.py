"""Snapshots: what is thawed is what was frozen, in state, order and bytes, and goes on like what was never frozen."""

from random import Random

import pytest

from domain.ids import LogId
from domain.log import snapshot
from domain.log.ledger import Ledger
from domain.log.merkle import Head
from domain.log.snapshot import Unusable
from tests import network
from tests.deeds import Life
from tests.network import LOG

FOLD = "f" * 64


def lived(seed: int) -> list[bytes]:
    doing = Life(Random(seed), "standard" if seed % 2 else "demo")
    for _ in range(300):
        doing.step()
    return doing.network.records


def folded(records: list[bytes], ledger: Ledger | None = None) -> Ledger:
    ledger = ledger or Ledger(Head(LOG))
    for record in records:
        ledger.fold(record)
    return ledger


@pytest.mark.parametrize("seed", range(4))
def test_what_is_thawed_goes_on_like_what_was_never_frozen(seed: int) -> None:
    records = lived(seed)
    whole = folded(records)
    for cut in (1, len(records) // 3, len(records) // 2, len(records) - 1):
        frozen = snapshot.freeze(folded(records[:cut]), FOLD)
        ledger = snapshot.thaw(frozen, LOG, FOLD)

        assert snapshot.freeze(ledger, FOLD) == frozen
        assert folded(records[cut:], ledger) == whole
        assert snapshot.freeze(ledger, FOLD) == snapshot.freeze(whole, FOLD)


def test_the_ledger_that_decided_and_the_one_that_folded_freeze_to_the_same_bytes() -> None:
    it = network.life()

    assert snapshot.freeze(it.ledger, FOLD) == snapshot.freeze(folded(it.records), FOLD)


def test_the_header_tells_where_a_snapshot_stands() -> None:
    it = network.life()
    header = snapshot.read_header(snapshot.freeze(it.ledger, FOLD))

    assert (header.log, header.size, header.root, header.fold) == (LOG, it.ledger.head.size, it.ledger.head.root, FOLD)


@pytest.mark.parametrize(
    "damage",
    [
        lambda frozen: frozen[:-1],
        lambda frozen: frozen[:-200] + frozen[-200:].replace(b"0", b"1"),
        lambda frozen: frozen.replace(b'"size":', b'"size":1', 1),
        lambda frozen: frozen.replace(b'"gridledger_snapshot":1', b'"gridledger_snapshot":2'),
        lambda frozen: b"",
        lambda frozen: frozen.partition(b"\n")[0],
        lambda frozen: b"\xff" + frozen,
    ],
)
def test_a_damaged_snapshot_is_of_no_use(damage: object) -> None:
    frozen = snapshot.freeze(folded(lived(0)), FOLD)
    assert callable(damage)

    with pytest.raises(Unusable):
        snapshot.thaw(damage(frozen), LOG, FOLD)


def test_a_snapshot_of_another_log_or_fold_is_of_no_use() -> None:
    frozen = snapshot.freeze(folded(lived(0)), FOLD)
    for log, fold in ((LogId("b" * 32), FOLD), (LOG, "e" * 64)):
        with pytest.raises(Unusable):
            snapshot.thaw(frozen, log, fold)
