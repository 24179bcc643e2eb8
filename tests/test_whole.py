"""Addresses and settings that one process writes while others look."""

import threading
from pathlib import Path

from adapters.files import whole

TEXTS = [f"http://127.0.0.1:{port}\n" * 400 for port in range(400)]


def test_whoever_reads_sees_all_of_a_file(tmp_path: Path) -> None:
    file, seen, done = tmp_path / "server.url", set[str](), threading.Event()
    whole.write(file, TEXTS[0])

    def look() -> None:
        while not done.is_set():
            seen.add(file.read_text())

    reader = threading.Thread(target=look)
    reader.start()
    for text in TEXTS:
        whole.write(file, text)
    done.set()
    reader.join()

    assert seen <= set(TEXTS)
    assert len(seen) > 1, "it looked meanwhile"
    assert [each.name for each in tmp_path.iterdir()] == ["server.url"]


def test_a_secret_is_never_open_to_others(tmp_path: Path) -> None:
    whole.write(tmp_path / "database.url", "postgresql://", 0o600)

    assert (tmp_path / "database.url").stat().st_mode & 0o777 == 0o600
