"""Evidence: what checkers rendered is compared again by whoever has it, and nobody is believed."""

from pathlib import Path

import pytest

from auditor.report import Finding
from auditor.verify import verify
from domain.ids import AuditId, WorkerId
from domain.parts import Task
from domain.proof import verdict
from tests import network
from tests.auditor import forging
from tests.network import Network


class Lazy(Network):
    """Its checkers call everything equal and never look; the seals hold."""

    def verdict(self, id: AuditId, checker: WorkerId, number: int) -> verdict.Reveal:
        said = super().verdict(id, checker, number)
        metrics = tuple(it.model_copy(update={"equal": True, "psnr_mdb": None, "differing_ppm": 0}) for it in said.metrics)
        return said.model_copy(update={"metrics": metrics, "verdict": "valid"})


class Agreed(Network):
    """Everybody renders something else than the job says, and the same."""

    def raw(self, it: Task, tile: int, *, honest: bool = True) -> str:
        if not it.job:
            return super().raw(it, tile, honest=honest)
        of = self.world.jobs[it.job]
        of.spec_sha256, asked = "ab" * 32, of.spec_sha256
        digest = super().raw(it, tile, honest=honest)
        of.spec_sha256 = asked
        return digest


def findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of: type[Network]) -> tuple[Finding, ...]:
    monkeypatch.setattr(network, "Network", of)
    return verify(forging.bundle(tmp_path / "b", of=network.life())).findings


def test_checkers_who_did_not_look_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = findings(tmp_path, monkeypatch, Lazy)

    assert {it.check for it in found} == {"evidence"}
    assert all(it.message.startswith("the metrics of region") for it in found)


def test_worker_and_checker_who_agreed_on_another_picture_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = findings(tmp_path, monkeypatch, Agreed)

    assert {it.check for it in found} == {"evidence"}
    assert all(it.message.endswith("is of another specification") for it in found)


def test_a_region_that_was_changed_is_found(tmp_path: Path) -> None:
    path = forging.bundle(tmp_path / "b")
    for region in (path / "evidence").iterdir():
        region.write_bytes(region.read_bytes()[:-1])

    assert {it.check for it in verify(path).findings} == {"evidence", "files"}
