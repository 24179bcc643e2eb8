"""The doctor tries what it tells, and every missing thing comes with its fix."""

import sys
from pathlib import Path

import pytest

from adapters import doctor, postgres_server
from adapters.doctor import Part
from adapters.evm import anvil
from adapters.kafka import brokers

TOOLS = Path(__file__).parent.parent / ".tools"


def sound() -> None:
    return None


def no_gpus() -> list[str]:
    return []


def by_name(parts: list[Part]) -> dict[str, Part]:
    return {part.name: part for part in parts}


@pytest.mark.system
def test_a_machine_that_was_set_up_is_healthy(tmp_path: Path) -> None:
    parts = doctor.examine(tmp_path, TOOLS, sound, no_gpus)

    assert [part for part in parts if part.state == "missing"] == []
    assert doctor.healthy(parts)
    assert by_name(parts)["mitsuba"].found == "3.9.1"
    assert by_name(parts)["anvil"].found.startswith(f"anvil Version: {anvil.VERSION}")


def test_what_is_missing_is_said_with_its_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object) -> str:
        raise postgres_server.Unavailable

    def nowhere(tools: Path) -> Path:
        raise anvil.Unavailable(str(tools))

    monkeypatch.setattr(postgres_server, "installed", absent)
    monkeypatch.setattr(anvil, "find", nowhere)
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    monkeypatch.setattr(sys, "version_info", (3, 10, 9))
    monkeypatch.setattr(doctor, "DISK_MIB_MIN", 1 << 60)
    parts = doctor.examine(tmp_path, TOOLS, lambda: "bwrap is not installed", no_gpus)
    missing = {part.name for part in parts if part.state == "missing"}

    assert missing == {"python", "postgresql", "anvil", "mitsuba", "vyper", "disk"}
    assert not doctor.healthy(parts)
    assert all(part.fix and part.found for part in parts if part.state != "ok")


def test_one_may_do_without_a_sandbox_and_is_told_what_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    part = by_name(doctor.examine(tmp_path, TOOLS, lambda: "bwrap is not installed", no_gpus))["sandbox"]

    assert part.state == "without"
    assert part.found == "bwrap is not installed; a worker renders only what its own operator submits"


def test_the_disk_is_looked_at_where_the_data_will_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    part = by_name(doctor.examine(tmp_path / "not" / "yet", TOOLS, sound, no_gpus))["disk"]

    assert part.found.endswith(f" MiB free at {tmp_path}")


@pytest.mark.parametrize(("models", "state", "found"), [(["H200", "L4"], "ok", "H200, L4"), ([], "without", "CPU only: ")])
def test_graphics_processors_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, models: list[str], state: str, found: str) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    part = by_name(doctor.examine(tmp_path, TOOLS, sound, lambda: models))["gpu"]

    assert part.state == state
    assert part.found.startswith(found)


@pytest.mark.system
def test_what_kafka_lacks_is_said_with_its_fix_and_one_may_do_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brokers, "java", nothing_there)
    jars = by_name(doctor.examine(tmp_path, tmp_path, sound, no_gpus))["kafka"]
    (tmp_path / "kafka" / "lib").mkdir(parents=True)
    (tmp_path / "kafka" / "lib" / f"kafka_2.13-{brokers.VERSION}.jar").touch()
    java = by_name(doctor.examine(tmp_path, tmp_path, sound, no_gpus))["kafka"]

    assert (jars.state, jars.fix) == ("without", "make kafka")
    assert (java.state, java.fix) == ("without", "make kafka, or set JAVA_HOME")
    assert str(brokers.JAVA_MIN) in java.found


def nothing_there(_: Path) -> Path:
    raise brokers.Unavailable(f"there is no Java {brokers.JAVA_MIN} or newer: make kafka, or set JAVA_HOME")


@pytest.mark.system
def test_a_cluster_that_is_to_be_used_has_to_answer(tmp_path: Path, kafka: str, free_port: int) -> None:
    there = by_name(doctor.examine(tmp_path, TOOLS, sound, no_gpus, kafka))
    nobody = by_name(doctor.examine(tmp_path, TOOLS, sound, no_gpus, f"127.0.0.1:{free_port}"))["cluster"]

    assert (there["kafka"].state, there["cluster"].state) == ("ok", "ok")
    assert kafka in there["cluster"].found
    assert (nobody.state, "GRIDLEDGER_KAFKA_BOOTSTRAP" in nobody.fix) == ("missing", True)
