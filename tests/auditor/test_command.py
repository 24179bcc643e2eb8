"""`gridledger verify` as people and programs call it: its options, its status, what it writes."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.auditor import forging

pytestmark = pytest.mark.system


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "gridledger", "verify", *arguments]


def gridledger(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(command(*arguments), capture_output=True, text=True, env=environment, timeout=60, check=False)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return forging.bundle(tmp_path_factory.mktemp("bundles") / "b")


def test_heads_that_hold_leave_only_the_chain_to_be_asked(bundle: Path) -> None:
    head = forging.life().ledger.head
    done = gridledger(
        str(bundle),
        "--head",
        f"{head.size}:{head.root}",
        "--head",
        f"0:{'e3b0c44298fc1c149afbf4c8996fb924'}27ae41e4649b934ca495991b7852b855",
    )

    assert (done.returncode, done.stderr) == (2, "")
    assert f"--head {head.size}:{head.root}" in done.stdout


@pytest.mark.parametrize("head", [f"100:{'0' * 64}", f"999999:{'0' * 64}"], ids=["another root", "a longer log"])
def test_a_head_that_does_not_hold_is_a_finding(bundle: Path, head: str) -> None:
    done = gridledger(str(bundle), "--head", head, "--json")
    report = json.loads(done.stdout)

    assert (done.returncode, report["exit"], report["found"]) == (1, 1, 1)
    assert [it["check"] for it in report["findings"]] == ["heads"]
    assert done.stderr == ""


def test_no_head_is_recommended_beside_what_refutes_it(bundle: Path, tmp_path: Path) -> None:
    kept = tmp_path / "report.md"
    done = gridledger(str(bundle), "--head", f"100:{'0' * 64}", "--report", str(kept))

    assert done.returncode == 1
    assert "to note for the next time" not in (done.stdout + kept.read_text()).lower()


@pytest.mark.parametrize("head", ["100", "100:abc", f"-1:{'0' * 64}", f"1:{'G' * 64}", f"1:{'0' * 64}:2", ""])
def test_a_head_that_is_none_is_one_line_and_bad_input(bundle: Path, head: str) -> None:
    done = gridledger(str(bundle), f"--head={head}")

    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (3, "", 1)
    assert done.stderr.startswith("gridledger: ")


@pytest.mark.parametrize("jobs", ["0", "-1", "many"])
def test_a_number_of_processes_that_is_none_is_one_line_and_bad_input(bundle: Path, jobs: str) -> None:
    done = gridledger(str(bundle), f"--jobs={jobs}")

    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (3, "", 1)


def test_a_report_is_kept_as_markdown(tmp_path: Path, bundle: Path) -> None:
    done = gridledger(str(bundle), "--head", f"100:{'0' * 64}", "--report", str(tmp_path / "audit.md"))
    text = (tmp_path / "audit.md").read_text()

    assert done.returncode == 1
    assert text.startswith("# Audit\n")
    assert "| records | passed |" in text
    assert "* **heads**, position 100" in text


def test_a_finding_says_how_to_look_at_it_again(tmp_path: Path) -> None:
    def change(blocks: forging.Blocks) -> None:
        forging.find(blocks, "task.accepted")["event"]["shares"]["worker"] = "1"

    path = forging.bundle(tmp_path / "b", records=forging.forged(change))
    findings = json.loads(gridledger(str(path), "--json").stdout)["findings"]
    it = next(it for it in findings if it["check"] == "shares")
    looked = subprocess.run(it["look"], shell=True, cwd=path, capture_output=True, check=True).stdout

    assert json.loads(looked)["pos"] == it["position"]


@pytest.mark.parametrize("more", [(), ("--json",)], ids=["for people", "for programs"])
def test_how_far_it_is_is_shown_on_a_terminal_only(bundle: Path, more: tuple[str, ...]) -> None:
    """And never beside JSON."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm"}
    done = subprocess.run(command(str(bundle), *more), stdout=subprocess.PIPE, stderr=theirs, env=environment, timeout=60, check=False)
    os.write(theirs, b"end")
    seen = os.read(ours, 1 << 16)
    os.close(ours)
    os.close(theirs)

    assert done.returncode == 2
    assert (b"events" in seen) == (not more)
