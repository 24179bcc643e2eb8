"""The demo's one pair of eyes: the public live feed, folded into the board as it comes, and a way to wait for what one hopes for."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

import msgspec

from adapters.client import Client
from demo.board import Board
from demo.screen import Screen
from domain.event import Event, Recorded
from domain.log import wire


class Disappointed(Exception):
    """What the demo waited for did not happen; the message says what."""


class Progress(msgspec.Struct):
    worker: str
    task: str
    fence: int
    tile: int
    tiles: int


class Feed:
    """Events in order, each once; `until` looks at the board after each."""

    def __init__(self, client: Client, board: Board, screen: Screen) -> None:
        self.client, self.board, self.screen = client, board, screen
        self.events: list[Recorded[Event]] = []
        self.watchers: list[Callable[[Progress], None]] = []
        self.listeners: list[Callable[[Recorded[Event]], None]] = []
        self._changed = asyncio.Condition()

    async def run(self) -> NoReturn:
        async for line in self.client.follow("/v1/live", after=0, progress="true"):
            if line.event == "progress":
                self._show(msgspec.json.decode(line.data, type=Progress))
                continue
            if line.position > len(self.events):
                recorded = wire.event(line.data)
                self.events.append(recorded)
                self.screen.say(self.board.take(recorded))
                for listener in self.listeners:
                    listener(recorded)
            async with self._changed:
                self._changed.notify_all()
        raise AssertionError("a feed never ends")

    def _show(self, seen: Progress) -> None:
        self.board.tile(seen.task, seen.tile, seen.tiles)
        self.screen.update()
        for watcher in self.watchers:
            watcher(seen)

    async def until(self, hoped: Callable[[], bool], what: str, within_s: float, done: Callable[[], int] = lambda: 0) -> None:
        """Raises `Disappointed` if it does not come about in that time since `done` last was another number."""

        def moved() -> bool:
            return hoped() or done() != before

        while not hoped():
            before = done()
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s), self._changed:
                    await self._changed.wait_for(moved)
                    continue
            raise Disappointed(f"{what} did not happen within {within_s:.0f} s (position {self.board.position})")
