"""Which graphics processors this machine has, by the driver's own library (NVML)."""

from hashlib import sha256
from typing import Any

from domain.market import worker


def devices() -> list[worker.Device]:
    """One entry per NVIDIA device, in the driver's order; none where there is no driver, which is what "CPU only" means.

    The device's UUID leaves the machine only as a SHA-256: it tells two devices apart and names neither.
    """
    import pynvml  # noqa: PLC0415 - an agent goes online meanwhile

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        return [_device(pynvml, pynvml.nvmlDeviceGetHandleByIndex(number)) for number in range(pynvml.nvmlDeviceGetCount())]
    finally:
        pynvml.nvmlShutdown()


def _device(pynvml: Any, handle: object) -> worker.Device:
    return worker.Device(
        uuid_sha256=sha256(_text(pynvml.nvmlDeviceGetUUID(handle)).encode()).hexdigest(),
        model=_text(pynvml.nvmlDeviceGetName(handle)),
        vram_mib=int(pynvml.nvmlDeviceGetMemoryInfo(handle).total) >> 20,
    )


def _text(value: str | bytes) -> str:
    """Older drivers' bindings answer with bytes."""
    return value.decode() if isinstance(value, bytes) else str(value)


def summary(found: list[worker.Device]) -> str:
    """One line for people."""
    return ", ".join(f"{device.model} ({device.vram_mib} MiB)" for device in found) or "CPU only"
