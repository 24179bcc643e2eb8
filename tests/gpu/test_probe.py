"""What is said of a machine's devices."""

import hashlib
from types import SimpleNamespace

import pynvml
import pytest

from domain.market import worker
from worker_runtime.gpu import probe


def absent() -> None:
    raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A driver with two devices; the calls that end the session are noted."""
    noted: list[str] = []
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: noted.append("init"))
    monkeypatch.setattr(pynvml, "nvmlShutdown", lambda: noted.append("shutdown"))
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 2)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", lambda number: number)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetUUID", lambda handle: f"GPU-{handle}")
    monkeypatch.setattr(pynvml, "nvmlDeviceGetName", lambda handle: [b"NVIDIA A", "NVIDIA B"][handle])
    monkeypatch.setattr(pynvml, "nvmlDeviceGetMemoryInfo", lambda handle: SimpleNamespace(total=(handle + 1) << 34))
    return noted


def test_where_there_is_no_driver_there_is_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pynvml, "nvmlInit", absent)
    assert probe.devices() == []
    assert probe.summary([]) == "CPU only"


def test_devices_are_told_by_model_memory_and_a_hash(driver: list[str]) -> None:
    assert probe.devices() == [
        worker.Device(hashlib.sha256(b"GPU-0").hexdigest(), "NVIDIA A", 16_384),
        worker.Device(hashlib.sha256(b"GPU-1").hexdigest(), "NVIDIA B", 32_768),
    ]
    assert probe.summary(probe.devices()) == "NVIDIA A (16384 MiB), NVIDIA B (32768 MiB)"


def test_the_drivers_session_ends_even_when_a_device_fails(driver: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pynvml, "nvmlDeviceGetUUID", lambda handle: absent())
    with pytest.raises(pynvml.NVMLError):
        probe.devices()
    assert driver == ["init", "shutdown"]


@pytest.mark.system
def test_this_machine_can_be_asked() -> None:
    assert all(device.vram_mib > 0 and len(device.uuid_sha256) == 64 for device in probe.devices())
