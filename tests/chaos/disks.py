"""A broker's disk without room. Where this machine lets us mount, each broker has a small disk in memory of its own, in a mount namespace
that nobody else sees; where it does not, its files are limited to the size that they have, which a broker sees as a disk that fails."""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from adapters.kafka.brokers import Cluster
from tests.faults.full import MIB, disk, filled

DISK_BYTES = 160 * MIB
APART = "GRIDLEDGER_CHAOS_DISKS"
SMALL_DISK, LIMIT = "a disk in memory", "a limit on its files (nothing can be mounted here)"
NOTICED_S_MAX = 5.0


def set_apart() -> str:
    """Goes on as another program image in a mount namespace, if there may be one. Returns what disks are made of."""
    if kind := os.environ.get(APART):
        return kind
    for prefix in (["unshare", "-m"], ["unshare", "-Urm"]):
        with tempfile.TemporaryDirectory() as folder, suppress(OSError):
            tried = [*prefix, "mount", "-t", "tmpfs", "-o", "size=65536", "tmpfs", folder]
            if subprocess.run(tried, capture_output=True, check=False).returncode == 0:
                os.environ[APART] = SMALL_DISK
                os.execvp(prefix[0], [*prefix, sys.executable, *sys.orig_argv[1:]])
    os.environ[APART] = LIMIT
    return LIMIT


@contextmanager
def prepared(directory: Path, brokers: int) -> Iterator[None]:
    """Disks for the brokers of a cluster that is not there yet; taken away again at the end."""
    directory.mkdir(parents=True)
    places = [directory / f"broker-{number}" for number in range(1, brokers + 1) if os.environ[APART] == SMALL_DISK]
    for place in places:
        disk(place, DISK_BYTES)
    try:
        yield
    finally:
        for place in places:
            subprocess.run(["umount", "-l", str(place)], check=True)


def fill(cluster: Cluster, number: int) -> bool:
    """No room for this broker until it has noticed, or for some seconds; returns whether it did, and went down by itself."""
    child = cluster.running[number]
    if os.environ[APART] == SMALL_DISK:
        with filled(cluster.directory / f"broker-{number}"):
            return _goes_down(child)
    resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    if not (noticed := _goes_down(child)):
        resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return noticed


def _goes_down(child: subprocess.Popen[bytes]) -> bool:
    until = time.monotonic() + NOTICED_S_MAX
    while child.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    return child.poll() is not None
