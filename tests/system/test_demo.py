"""The main job, as people run it: real processes, a real chain, a real renderer; and what they can do with what it leaves."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from beancount import loader

from exports import export
from tests import second
from tests.system.test_stops import wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

GRIDLEDGER = [sys.executable, "-m", "gridledger"]
SMALL = ["--frames", "2", "--samples", "32", "--seed", "11"]
RUN_S_MAX = 300


def gridledger(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [*GRIDLEDGER, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=RUN_S_MAX, check=False, env={**os.environ, **environment})


def left_behind(mark: str, directory: str) -> list[str]:
    """Processes that carry the demo's mark in their environment, or its directory in their command line."""
    found = []
    for each in psutil.process_iter(["cmdline", "environ"]):
        words = " ".join(each.info["cmdline"] or ()) or each.name()
        if directory in words or (each.info["environ"] or {}).get("GRIDLEDGER_MARK") == mark:
            found.append(words)
    return found


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, Any], Path]]:
    """A demo that runs on after its end; when the tests are done with it, Ctrl-C ends it."""
    out, mark = tmp_path_factory.mktemp("demo"), secrets.token_hex(8)
    command = [*GRIDLEDGER, "demo", "--json", "--keep", "--open", "--out", str(out), *SMALL]
    with (out / "stderr").open("w") as errors:
        onlooker = f"{sys.executable} -m tests.system.onlooker %s {out / 'seen'} &"
        environment = {**os.environ, "GRIDLEDGER_MARK": mark, "BROWSER": onlooker}
        demo = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True, env=environment)
        assert demo.stdout is not None
        line = demo.stdout.readline()
        assert line, (out / "stderr").read_text()
        result: dict[str, Any] = json.loads(line)
        assert left_behind(mark, str(Path(result["people"]).parent)), "a check that sees nothing shows nothing"
        yield result, out
        demo.send_signal(signal.SIGINT)
        assert demo.wait(60) == 130
        demo.stdout.close()
    directory = Path(result["people"]).parent
    assert left_behind(mark, str(directory)) == []
    shutil.rmtree(directory, ignore_errors=True)


def test_a_whole_network_runs_and_everybody_gets_what_he_is_due(kept: tuple[dict[str, Any], Path]) -> None:
    result, out = kept

    assert result["outcome"] == "completed"
    assert result["tasks"] == 8
    assert result["cheat"]["tasks_rejected"] > 0
    assert result["cheat"]["paid"] == 0
    assert result["cheat"]["slashed"] > 0
    assert result["honest_convicted"] == []
    assert result["killed"]["releases"]
    assert not {"", result["killed"]["worker"]} & set(result["killed"]["finished"].values()), "somebody else finished what it left"
    assert all(release["to_fence"] == release["from_fence"] + 1 for release in result["killed"]["releases"])
    assert result["trial_balance"] == 0
    assert result["verify"]["exit"] == 0
    assert {each["status"] for each in result["verify"]["checks"]} == {"passed"}
    assert (out / "contact-sheet.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "animation.webp").read_bytes()[8:12] == b"WEBP"


def test_whoever_opened_the_jobs_page_saw_the_wall_fill_in_without_asking_again(kept: tuple[dict[str, Any], Path]) -> None:
    wait_for(lambda: '"state": "completed"' in (kept[1] / "seen").read_text())
    seen = [json.loads(line) for line in (kept[1] / "seen").read_text().splitlines()]
    accepted = [each["numbers"].get("accepted", 0) for each in seen]

    assert {urlsplit(each["url"]).path for each in seen} == {f"/jobs/{kept[0]['job']}"}
    assert accepted[0] < accepted[-1] == kept[0]["tasks"]
    assert len(set(accepted)) >= 3, "piece by piece"
    assert accepted == sorted(accepted)
    assert any(each["numbers"].get("overdue", 0) for each in seen), "so was what the killed worker left"
    assert all(each["loaded_once"] and not each["complaints"] for each in seen)


def test_the_money_table_adds_up_in_each_row_and_over_all(kept: tuple[dict[str, Any], Path]) -> None:
    rows = kept[0]["parties"]
    sums = {name: sum(row[name] for row in rows) for name in ("earned", "fee", "spent", "slashed", "paid_on_chain")}

    for row in rows:
        change = row["deposited"] + row["earned"] + row["fee"] - row["spent"] - row["slashed"] - row["paid_on_chain"]
        assert change == row["held"], row["role"]
    assert sums["earned"] + sums["fee"] == sums["spent"]
    assert sums["slashed"] == 0
    assert sums["paid_on_chain"] > 0


def test_a_flipped_byte_in_the_bundle_is_found_where_it_is(kept: tuple[dict[str, Any], Path], tmp_path: Path) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(kept[0]["bundle"], copy)
    mark = b'"type":"task.accepted.v1"'
    segment = next(file for file in sorted((copy / "log").iterdir()) if mark in file.read_bytes())
    text = bytearray(segment.read_bytes())
    at = text.index(mark) + 40
    text[at] ^= 1
    segment.write_bytes(text)

    done = gridledger("verify", str(copy), "--rpc", kept[0]["rpc"], "--json")
    findings = json.loads(done.stdout)["findings"]

    assert done.returncode == 1
    assert any(finding.get("file") == f"log/{segment.name}" for finding in findings)
    assert any(finding["check"] == "records" for finding in findings)


def test_a_second_verifier_in_another_language_comes_to_the_same(kept: tuple[dict[str, Any], Path]) -> None:
    bundle = Path(kept[0]["bundle"])
    found, manifest = second.verify(bundle), json.loads((bundle / "manifest.json").read_text())

    assert (found["size"], found["root"]) == (manifest["size"], manifest["root"])
    assert set(found["trial"].values()) == {"0"}
    assert found["draws"] > 10


def test_every_fraud_on_the_demos_bundle_is_caught(kept: tuple[dict[str, Any], Path]) -> None:
    done = gridledger("drill", kept[0]["bundle"], "--rpc", kept[0]["rpc"], "--seeds", "1", "--json")
    drilled = json.loads(done.stdout)

    assert done.returncode == 0, drilled
    assert drilled["tried"] == drilled["caught"] > 50


def test_without_the_chain_an_audit_is_incomplete_and_says_so(kept: tuple[dict[str, Any], Path]) -> None:
    done = gridledger("verify", kept[0]["bundle"], "--json")

    assert done.returncode == 2
    assert {each["status"] for each in json.loads(done.stdout)["checks"]} == {"passed", "skipped"}


def test_somebody_elses_scene_renders_through_submit(kept: tuple[dict[str, Any], Path], tmp_path: Path) -> None:
    from examples.marbles import make_scene

    result, scene = kept[0], tmp_path / "scene"
    make_scene.write(scene)
    frame = next(scene.glob("*.xml"))
    key = (Path(result["people"]) / "creator" / "api.key").read_text().strip()
    options = ["--size", "160x90", "--samples", "16", "--yes", "--out", str(tmp_path / "frames"), "--json"]

    done = gridledger("submit", str(frame), *options, GRIDLEDGER_SERVER=result["server"], GRIDLEDGER_API_KEY=key)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["status"] == "completed"
    assert (tmp_path / "frames" / "frame-000.png").read_bytes().startswith(b"\x89PNG")


def test_creators_and_owners_see_their_things_on_the_command_line(kept: tuple[dict[str, Any], Path], tmp_path: Path) -> None:
    result = kept[0]
    people, where = Path(result["people"]), {"GRIDLEDGER_SERVER": result["server"]}
    creator = where | {"GRIDLEDGER_API_KEY": (people / "creator" / "api.key").read_text().strip()}
    slow = where | {"GRIDLEDGER_API_KEY": (people / "slow" / "api.key").read_text().strip()}

    listed = json.loads(gridledger("job", "list", "--json", **where).stdout)["items"]
    shown = json.loads(gridledger("job", "show", result["job"], "--json", **where).stdout)
    worker = json.loads(gridledger("worker", "status", str(people / "fast" / "worker.toml"), "--json", **where).stdout)
    again = json.loads(gridledger("job", "download", result["job"], str(tmp_path), "--json", **creator).stdout)
    foreign = gridledger("job", "download", result["job"], str(tmp_path), **slow)
    cancelled = gridledger("job", "cancel", result["job"], **creator)
    opened = gridledger("job", "open", result["job"], **creator)
    explained = json.loads(gridledger("explain", result["cheat"]["worker"], "--bundle", result["bundle"], "--json").stdout)
    now = json.loads(gridledger("stream", result["job"], "--json", **where).stdout)
    then = json.loads(gridledger("stream", result["job"], "--version", "2", "--json", **where).stdout)

    assert now["version"] == len(now["events"]) > 2
    assert then == {"stream": result["job"], "version": 2, "events": now["events"][:2]}
    assert result["job"] in [row["job"] for row in listed]
    assert shown["status"] in {"closed", "archived"}
    assert worker["worker"].startswith("worker-")
    assert again["picture_sha256"] == result["picture_sha256"]
    assert (foreign.returncode, len(foreign.stderr.splitlines())) == (3, 1)
    assert (cancelled.returncode, len(cancelled.stderr.splitlines())) == (3, 1)
    assert (opened.returncode, len(opened.stderr.splitlines())) == (3, 1), "it was opened before"
    assert explained


def test_finance_gets_whole_files_that_its_own_tools_accept(kept: tuple[dict[str, Any], Path], tmp_path: Path) -> None:
    result, _ = kept
    where = ["--server", result["server"], "--json"]
    head = json.loads(gridledger("log", "head", *where).stdout)
    asked: list[tuple[str, str, tuple[str, ...]]] = [("journal", form, ()) for form in export.forms_of("journal")]
    asked += [("payouts", "csv", ()), ("statement", "xlsx", ("--account", creator_of(result)))]
    for what, form, more in asked:
        file = tmp_path / f"{what}.{form}"
        done = gridledger("export", what, "--format", form, "--out", str(file), "--as-of", str(head["size"]), *more, *where)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["bytes"] == file.stat().st_size > 0
    text = (tmp_path / "journal.csv").read_text()

    assert f"\n#head,{head['size']},{head['root']}\n" in text
    assert "\n#total,usdc,net,0.000000\n" in text
    assert ",paid,payout-" in (tmp_path / "payouts.csv").read_text()
    assert loader.load_file(str(tmp_path / "journal.beancount"))[1] == []
    assert subprocess.run(["hledger", "-f", str(tmp_path / "journal.hledger"), "check", "--strict"], check=False).returncode == 0
    assert gridledger("export", "journal", "--out", str(tmp_path / "journal.csv"), *where).returncode == 3, "it is there already"


def creator_of(result: dict[str, Any]) -> str:
    """Whose the jobs are."""
    jobs = json.loads(gridledger("job", "list", "--json", GRIDLEDGER_SERVER=result["server"]).stdout)["items"]
    return str(jobs[0]["creator"])


def test_a_scene_that_reaches_out_is_refused_and_nothing_changes(kept: tuple[dict[str, Any], Path], tmp_path: Path) -> None:
    scene = tmp_path / "evil.xml"
    scene.write_text('<scene version="3.0.0"><shape type="../../evil"/></scene>')
    result = kept[0]
    key = (Path(result["people"]) / "creator" / "api.key").read_text().strip()
    before = json.loads(gridledger("job", "list", "--json", GRIDLEDGER_SERVER=result["server"]).stdout)["items"]

    done = gridledger("submit", str(scene), "--yes", GRIDLEDGER_SERVER=result["server"], GRIDLEDGER_API_KEY=key)
    after = json.loads(gridledger("job", "list", "--json", GRIDLEDGER_SERVER=result["server"]).stdout)["items"]

    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1
    assert "../../evil" in done.stderr
    assert [row["job"] for row in after] == [row["job"] for row in before]


def test_the_same_seed_gives_the_same_picture_whatever_is_killed(kept: tuple[dict[str, Any], Path], tmp_path: Path) -> None:
    done = gridledger("demo", "--chaos", "--json", "--out", str(tmp_path), *SMALL)
    assert done.returncode == 0, done.stderr
    again = json.loads(done.stdout.splitlines()[-1])
    killed = again["chaos"]["killed"]

    assert again["picture_sha256"] == kept[0]["picture_sha256"]
    assert again["verify"]["exit"] == 0
    assert {"server", "PostgreSQL"} < {each["who"] for each in killed}
    assert any("payer" in each["what"] for each in killed)
    assert any(each["who"] in {"slow", "fast", "checker-1", "checker-2", "checker-3"} for each in killed)
    assert again["seconds"] < 180
