"""The program around the command line."""

import gc
from collections.abc import Callable

import pytest

import gridledger


def test_the_program_looks_for_cycles_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    before, during = gc.get_threshold(), list[tuple[int, int, int]]()

    def command_line(_: object) -> Callable[[], None]:
        return lambda: during.append(gc.get_threshold())

    monkeypatch.setattr("cli.app.create", command_line)
    monkeypatch.setattr(gridledger, "_leave", lambda _: None)
    try:
        gridledger.main()
    finally:
        gc.set_threshold(*before)

    assert during == [gridledger.COLLECT]
