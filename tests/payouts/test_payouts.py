"""A thousand payouts over a real node in a storm: one payment for each, none missing, and the ledger equal to the chain."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from adapters import succession
from domain.treasury import batch
from tests.daemons.live import live, running
from tests.fix_chain import Rigs
from tests.payouts.judge import judge
from tests.payouts.run import payouts

pytestmark = pytest.mark.system

COUNT, SEED = 1_000, 4
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _keep_the_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(succession, "settle_memory", lambda: None)


@pytest.mark.timeout(400)
async def test_a_thousand_payouts_are_each_paid_once_whatever_goes_wrong(tmp_path: Path) -> None:
    report = await payouts(tmp_path / "chain", tmp_path / "contracts", COUNT, 120, SEED)
    assert report.findings == []
    assert report.payouts == COUNT
    assert min(report.failed, report.reorgs, report.kills, report.doubles, report.drops, sum(report.rpc.values())) > 0


def test_the_command_says_what_it_did_as_json() -> None:
    command = [sys.executable, "-m", "tests.payouts", "--count", "5", "--seconds", "5", "--seed", "3", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    report = json.loads(done.stdout)
    assert (done.returncode, report["payouts"], report["findings"]) == (0, 5, [])


async def test_the_judge_sees_a_payment_that_the_log_does_not_know_and_one_that_is_missing(rigs: Rigs) -> None:
    """Negative control: money that leaves the treasury past the ledger, and a payout that nobody carries out."""
    async with rigs() as rig, live(rig) as it, running(it, "watch"):
        someone = await it.person()
        await it.deposit(someone, 20_000_000)
        await it.until(lambda: it.available(someone) == 20_000_000)
        await it.request(someone, 1_000_000)
        findings = list[str]()
        await judge(it, [someone], [(someone, 1_000_000)], findings)
        [payout] = it.world.payouts
        assert f"{payout} was neither paid nor given back" in findings
        await rig.pay((payout, it.keys[someone].address, 1_000_000), ("payout-9999", it.keys[someone].address, 1))
        findings.clear()
        await judge(it, [someone], [(someone, 1_000_000)], findings)
        assert f"{payout} is paid on the chain or in the log, and not in the other" in findings
        assert any(finding.startswith("the treasury is") for finding in findings)
        assert not any(isinstance(each.event, batch.Signed) for each in await it.events())
