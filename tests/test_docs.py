"""What the pages tell people to type exists, what is marked to run runs, and links lead somewhere.

A fenced block below the line `<!-- runs -->` is run as it stands: `sh` in an empty folder with our commands on the path, `python`
as a program there.
"""

import logging
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from cli.app import create

pytestmark = pytest.mark.checkout

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("examples/**/*.md"))]
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

FENCE = re.compile(r"(?P<mark><!-- runs -->\n+)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def commands(page: str) -> Iterator[list[str]]:
    """Each command line that the page shows with the programs `make` or `gridledger`, as words."""
    lines = [line for fence in FENCE.finditer(page) if fence["language"] in {"sh", "console"} for line in fence["text"].splitlines()]
    lines += INLINE.findall(FENCE.sub("", page))
    for line in lines:
        for command in re.split(r"&&|\||;", line.removeprefix("$ ")):
            try:
                words = shlex.split(command, comments=True)
            except ValueError:
                continue
            if words[:1] in (["make"], ["gridledger"], [".venv/bin/gridledger"]):
                yield [Path(words[0]).name, *words[1:]]


def subcommand(words: list[str]) -> tuple[str, ...]:
    """The words that name what is to be done: before the first option, file, placeholder or ellipsis."""
    kept = []
    for word in words[1:]:
        if not re.fullmatch(r"[a-z]+", word):
            break
        kept.append(word)
    return tuple(kept[:2])


SHOWN = {page: list(commands(page.read_text())) for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_target_that_a_page_names_exists(page: Path) -> None:
    named = {word for words in SHOWN[page] if words[0] == "make" for word in subcommand(words)}

    assert named - TARGETS == set()


def test_the_readme_shows_the_two_commands() -> None:
    shown = [words[:2] for words in SHOWN[ROOT / "README.md"]]

    assert ["make", "demo"] in shown
    assert ["make", "test"] in shown


def test_every_command_that_a_page_names_exists(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(logging, "lastResort", None)
    program = create(import_module("gridledger"))

    def helps(names: tuple[str, ...]) -> str:
        """What the program says of the names as a command; empty if it has none of the kind."""
        monkeypatch.setattr(sys, "argv", ["gridledger", *names, "--help"])
        capsys.readouterr()
        try:
            program()
        except SystemExit:
            return ""
        return re.sub(r"\s+", " ", capsys.readouterr().out)

    def known(names: tuple[str, ...]) -> bool:
        """The last may be an argument."""
        return bool(helps(names)) or "COMMAND" not in (helps(names[:-1]) or "COMMAND").split("Options")[0]

    named = {subcommand(words) for page in PAGES for words in SHOWN[page] if words[0] == "gridledger"}

    assert {names for names in named if not known(names)} == set()
    assert len(named) > 30
    assert not known(("log", "burn", "it"))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_of_a_page_leads_to_a_file(page: Path) -> None:
    dead = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]

    assert dead == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_python_block_of_a_page_can_be_compiled(page: Path) -> None:
    for fence in FENCE.finditer(page.read_text()):
        if fence["language"] == "python":
            compile(fence["text"], str(page), "exec")


@pytest.mark.system
def test_what_is_marked_to_run_runs(tmp_path: Path) -> None:
    marked = [(page, fence) for page in PAGES for fence in FENCE.finditer(page.read_text()) if fence["mark"]]
    for number, (page, fence) in enumerate(marked):
        folder = tmp_path / str(number)
        folder.mkdir()
        shell = {"sh": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"]}[fence["language"]]
        done = subprocess.run(
            [*shell, fence["text"]],
            cwd=folder,
            env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

        assert done.returncode == 0, f"{name_of(page)}: {fence['text']}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("```sh\ngit clone x && make demo\n```", [["make", "demo"]]),
        ("```console\n$ gridledger job list --json | head\noutput\n```", [["gridledger", "job", "list", "--json"]]),
        ("say `make check` and `make` or `makers`", [["make", "check"], ["make"]]),
        ("```python\nmake = demo\n```", []),
        (
            '`.venv/bin/gridledger verify BUNDLE` `make demo ARGS="--keep x"`',
            [["gridledger", "verify", "BUNDLE"], ["make", "demo", "ARGS=--keep x"]],
        ),
    ],
)
def test_commands_are_found_where_they_are_shown(page: str, expected: list[list[str]]) -> None:
    assert sorted(commands(page)) == sorted(expected)


@pytest.mark.parametrize(
    ("line", "expected"),
    [("gridledger verify BUNDLE", ("verify",)), ("gridledger job show job-7", ("job", "show")), ("gridledger --help", ())],
)
def test_what_is_to_be_done_is_read_before_arguments(line: str, expected: tuple[str, ...]) -> None:
    assert subcommand(line.split()) == expected
