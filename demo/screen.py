"""The demo's screen: a checklist of the parts, the frames filling in, and what happens; plain lines where there is no terminal."""

import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from demo.board import Board, usdc
from demo.money import Party, totals

CELLS = {
    "ready": ("·", "dim"),
    "leased": ("▒", "cyan"),
    "committed": ("▓", "yellow"),
    "accepted": ("█", "green"),
    "matured": ("█", "green"),
    "rejected": ("✗", "bold red"),
    "dead": ("✗", "red"),
    "cancelled": ("-", "dim"),
}
LINES = 9
REFRESHES_PER_SECOND = 8


class Screen:
    """Used as a context; `part`, `say` and `update` may be called at any time in it."""

    def __init__(self, board: Board, console: Console, *, quiet: bool = False) -> None:
        self.board, self.console, self.quiet = board, console, quiet
        self.parts: dict[str, str] = {}
        self.recent: deque[str] = deque(maxlen=LINES)
        self.began = time.monotonic()
        self._live = Live(console=console, refresh_per_second=REFRESHES_PER_SECOND, transient=True) if self._is_live else None

    @property
    def _is_live(self) -> bool:
        return self.console.is_terminal and not self.quiet

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """The picture gives way to plain lines."""
        if self._live:
            self._live.stop()
            self._live = None

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def part(self, name: str, fact: str = "") -> None:
        """A part starts (no fact), or runs."""
        self.parts[name] = fact
        if fact and not self._live:
            self._line(f"✓ {name}: {fact}")
        self.update()

    def say(self, lines: Iterable[str], *, loud: bool = False) -> None:
        for line in lines:
            self.recent.append(f"{self.seconds:5.1f} s  {line}")
            if not self._live:
                self._line(line, "bold" if loud else "")
        self.update()

    def update(self) -> None:
        if self._live:
            self._live.update(self._picture())

    def _line(self, text: str, style: str = "") -> None:
        if not self.quiet:
            self.console.print(Text(f"{self.seconds:5.1f} s  {text}", style))

    def _picture(self) -> Group:
        board = self.board
        marks = [
            Text.assemble((" ✓ " if fact else " … ", "green" if fact else "yellow"), name, (f"  {fact}", "dim"))
            for name, fact in self.parts.items()
        ]
        bar = ProgressBar(total=max(1, len(board.tasks)), completed=board.accepted, width=44)
        head = Text(f"\n {board.status}   {board.accepted}/{len(board.tasks)} tasks   position {board.position}   {self.seconds:.0f} s")
        frames = [self._frame(number, cells) for number, cells in enumerate(board.cells())]
        said = [Text(f" {line}", "bold red" if "WRONG" in line or "slashed" in line or "KILL" in line else "") for line in self.recent]
        return Group(*marks, head, Padding(bar, (0, 0, 0, 1)), *frames, Text(), *said)

    def _frame(self, number: int, cells: Sequence[tuple[str, str]]) -> Text:
        row = Text(f" frame {number:<3} ")
        for name, status in cells:
            glyph, style = CELLS.get(status, ("?", ""))
            done, of = self.board.progress.get(name, (0, 1))
            row.append(glyph * 4, style)
            row.append(f" {done}/{of} " if status == "leased" and done else "     ", "dim")
        return row


def money_table(parties: Sequence[Party], names: dict[str, str]) -> Table:
    table = Table(title="Who put in, spent, earned and got what (USDC)", title_justify="left", title_style="bold")
    table.add_column("party")
    columns = ("deposited", "spent", "earned", "slashed", "fee", "paid_on_chain", "held")
    for column in columns:
        table.add_column(column.replace("_", " "), justify="right")
    for party in parties:
        label = party.role if party.account.startswith("usdc:") else f"{names.get(party.account, party.role)}"
        table.add_row(label, *(amount(getattr(party, column)) for column in columns))
    table.add_section()
    sums = totals(parties)
    table.add_row("Σ", *(amount(sums[column]) for column in columns), style="bold")
    return table


def amount(units: int) -> str:
    return usdc(units).removesuffix(" USDC") if units else "·"
