"""Audits: all of them, and one with the draw that caused it, who checked what, and the pixels that decided."""

from collections.abc import Sequence
from typing import ClassVar

from domain.value import Value
from explorer.look import Look, encode
from explorer.model import Model
from projections.explorer.audits import Audit, Round, Verdict
from projections.explorer.events import Line
from projections.explorer.house import Beacon
from projections.explorer.overview import NETWORK, Overview

FILTERS = ("result", "status", "cause", "job", "task", "worker")


class Audits(Model):
    template: ClassVar[str] = "audits.html"
    section: ClassVar[str] = "Audits"
    rows: Sequence[Audit]
    next: str | None
    network: Overview | None

    @property
    def title(self) -> str:
        return "Audits"

    @property
    def records(self) -> Sequence[Audit]:
        return self.rows


async def audits(look: Look) -> Audits:
    found = await look.list(Audit, FILTERS)
    return Audits(found.rows, encode(found.next) if found.next else None, await look.get(Overview, NETWORK))


class Compared(Value):
    """One region as the worker and a checker rendered it."""

    round: int
    region: int
    """Tile of the piece, from 0."""
    checkers: list[str]
    path: str
    """Of its pictures, without `worker.png`, `checker.png`, `difference.png`."""
    psnr: str
    """In dB; empty: the bytes are equal."""
    differing: str
    """Percent of the pixels."""


class Page(Model):
    template: ClassVar[str] = "audit.html"
    section: ClassVar[str] = "Audits"
    audit: Audit
    beacon: Beacon | None
    rounds: Sequence[Round]
    verdicts: Sequence[Verdict]
    compared: list[Compared]
    chance: float
    drawn: float
    """u as a number from 0 to 1: it is audited where that is below the chance."""
    lines: Sequence[Line]

    @property
    def title(self) -> str:
        return self.audit.audit

    @property
    def about(self) -> str:
        return self.audit.audit

    @property
    def records(self) -> Sequence[Verdict]:
        return self.verdicts


async def audit(look: Look) -> Page:
    row = await look.need(Audit, look.path["audit"])
    own = {"audit": row.audit}
    rounds = (await look.page(Round, own, newest=False)).rows
    verdicts = (await look.page(Verdict, own, newest=False)).rows
    return Page(
        row,
        await look.get(Beacon, row.beacon) if row.beacon else None,
        rounds,
        verdicts,
        compared(row, rounds, verdicts) if row.status == "closed" else [],
        (row.p_ppm or 0) / 1_000_000,
        int(row.u or "0") / 2**64,
        (await look.page(Line, {"stream": row.audit})).rows,
    )


def compared(row: Audit, rounds: Sequence[Round], verdicts: Sequence[Verdict]) -> list[Compared]:
    """Of each region that was drawn, by the first checker who said what he saw."""
    found = []
    for its in rounds:
        said = [each for each in verdicts if each.round == its.round and each.metrics]
        for place, region in enumerate(its.regions or ()):
            if said and place < len(said[0].metrics or ()):
                metric = (said[0].metrics or ())[place]
                psnr = "" if metric.psnr_mdb is None else f"{metric.psnr_mdb / 1_000:.1f}"
                who = [each.checker for each in said]
                path = f"/pictures/{row.audit}/{its.round}/{place}/"
                found.append(Compared(its.round, region, who, path, psnr, f"{metric.differing_ppm / 10_000:.1f}"))
    return found
