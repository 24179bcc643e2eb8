"""What no drill can try without the keys of others: a worker and all checkers agree on pixels. The log, the chain and the evidence show
nothing; whoever has the scene and renders it again sees it at once."""

from pathlib import Path

import pytest

from auditor.bundle import Bundle
from auditor.checks.evidence import Regions
from auditor.verify import verify
from domain.parts import Task
from domain.proof import audit, comparator
from domain.work import tiles
from tests import network
from tests.auditor import forging
from tests.network import Network


class Agreed(Network):
    """Everybody who renders a task of a job renders the same rubbish."""

    def __init__(self, policy: str = "demo", *, signs: bool = True) -> None:
        super().__init__(policy, signs=signs)
        self.scene: dict[str, str] = {}
        """What the scene gives, by what was handed in instead."""

    def raw(self, it: Task, tile: int, *, honest: bool = True) -> str:
        told = super().raw(it, tile, honest=honest and not it.job)
        self.scene[told] = super().raw(it, tile)
        return told


@pytest.fixture
def agreed(monkeypatch: pytest.MonkeyPatch) -> Agreed:
    monkeypatch.setattr(network, "Network", Agreed)
    life = network.life()
    assert isinstance(life, Agreed)
    return life


def test_pixels_that_all_agreed_on_are_seen_by_who_renders_the_scene_and_by_nobody_else(agreed: Agreed, tmp_path: Path) -> None:
    path = forging.bundle(tmp_path / "b", of=agreed)
    results = {it.event.result for it in agreed.events if isinstance(it.event, audit.Closed)}

    assert results == {"valid"}
    assert verify(path, told=forging.facts(agreed)).exit == 0

    seen = again(agreed, path)
    assert seen != []
    assert {comparator.verdict(metrics) for metrics in seen} == {"invalid"}


def again(of: Agreed, path: Path) -> list[comparator.Metrics]:
    """Every region that a checker of the job handed in, beside the scene rendered again."""
    jobs = {it.event.audit for it in of.events if isinstance(it.event, audit.Opened) and it.event.job}
    regions, found = Regions(), list[comparator.Metrics]()
    with Bundle(path) as bundle:
        for it in of.events:
            for region in regions.take(it):
                data = bundle.evidence(region.checker, tiles.RAW_BYTES_MAX)
                if data and isinstance(it.event, audit.Closed) and it.event.audit in jobs:
                    found.append(comparator.compare(of.objects[of.scene[region.checker]], data))
    return found
