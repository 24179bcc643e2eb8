"""`gridledger export`: a file that is whole, or none."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import cast
from urllib.parse import parse_qs, urlsplit

import pytest
import typer
from typer.testing import CliRunner

from cli import exports
from cli.app import Root
from domain.log.answers import Problem, Unanswered
from exports import check

BODY = b"id,amount\n1-1,5.00\n#rows,1\n"
WHOLE = BODY + b"#sha256,%s\n" % sha256(BODY).hexdigest().encode()


@contextmanager
def answering(*answers: tuple[int, bytes, int]) -> Iterator[tuple[str, list[str]]]:
    """A server that gives (status, body, length that it promised), one after another, the last one again and again."""
    left, asked = list(answers), list[str]()

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            status, body, length = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(status)
            self.send_header("Content-Type", "application/problem+json" if status >= 400 else "text/csv")
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


async def fetched(server: str, file: Path) -> str:
    return await exports.fetched(server, "/v1/exports/journal.csv", file, "csv", {"as_of": "5"})


async def test_a_whole_file_is_there_with_its_hash(tmp_path: Path) -> None:
    file = tmp_path / "journal.csv"
    with answering((200, WHOLE, len(WHOLE))) as (server, asked):
        digest = await fetched(server, file)

    assert file.read_bytes() == WHOLE
    assert digest == sha256(BODY).hexdigest()
    assert asked == ["/v1/exports/journal.csv?as_of=5"]


@pytest.mark.parametrize("as_of", ["5", "2026-12-01", "2026-12-01T00:00:00+01:00"])
def test_a_position_or_a_time_is_asked_for_as_it_was_typed(as_of: str, tmp_path: Path) -> None:
    app = typer.Typer()
    exports.add(app, cast("Root", None))  # exports need nothing of a server of ours
    with answering((200, WHOLE, len(WHOLE))) as (server, asked):
        done = CliRunner().invoke(app, ["journal", "--as-of", as_of, "--out", str(tmp_path / "journal.csv"), "--server", server])

    assert done.exit_code == 0, done.output
    assert [parse_qs(urlsplit(each).query) for each in asked] == [{"as_of": [as_of]}]


async def test_a_server_that_broke_off_is_asked_again(tmp_path: Path) -> None:
    file = tmp_path / "journal.csv"
    with answering((200, WHOLE[:20], len(WHOLE)), (503, b"{}", 2), (200, WHOLE, len(WHOLE))) as (server, asked):
        await fetched(server, file)

    assert file.read_bytes() == WHOLE
    assert len(asked) == 3


@pytest.mark.parametrize("body", [BODY, WHOLE[:-1], WHOLE.replace(b"5.00", b"6.00"), b""])
async def test_of_what_is_not_whole_nothing_is_left(body: bytes, tmp_path: Path) -> None:
    with answering((200, body, len(body))) as (server, _), pytest.raises(check.Cut):
        await fetched(server, tmp_path / "journal.csv")

    assert list(tmp_path.iterdir()) == []


async def test_a_refusal_leaves_nothing(tmp_path: Path) -> None:
    problem = b'{"status":422,"code":"invalid","detail":"as_of: the log is not there yet.","retryable":false}'
    with answering((422, problem, len(problem))) as (server, _), pytest.raises(Problem, match="as_of"):
        await fetched(server, tmp_path / "journal.csv")

    assert list(tmp_path.iterdir()) == []


async def test_what_is_there_already_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "journal.csv"
    file.write_text("mine")
    with answering((200, WHOLE, len(WHOLE))) as (server, asked), pytest.raises(FileExistsError):
        await fetched(server, file)

    assert (file.read_text(), asked) == ("mine", [])


async def test_nobody_there_is_said(tmp_path: Path, free_port: int) -> None:
    with pytest.raises(Unanswered):
        await exports.fetched(f"http://127.0.0.1:{free_port}", "/v1/exports/journal.csv", tmp_path / "j.csv", "csv", {}, patience_s=0.1)

    assert list(tmp_path.iterdir()) == []
