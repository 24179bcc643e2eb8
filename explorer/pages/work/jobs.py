"""All jobs."""

from collections.abc import Sequence
from typing import ClassVar

from explorer.look import Look, encode
from explorer.model import Model, Table
from projections.explorer.jobs import Job
from projections.explorer.overview import NETWORK, Overview

FILTERS = ("status", "creator")
STATUSES = ("submitted", "quoted", "open", "paused", "closing", "closed", "archived")


class Jobs(Model):
    template: ClassVar[str] = "jobs.html"
    section: ClassVar[str] = "Jobs"
    rows: Sequence[Job]
    next: str | None
    network: Overview | None

    @property
    def title(self) -> str:
        return "Jobs"

    @property
    def records(self) -> Table:
        return Table(Job, self.rows)


async def model(look: Look) -> Jobs:
    found = await look.list(Job, FILTERS)
    return Jobs(found.rows, encode(found.next) if found.next else None, await look.get(Overview, NETWORK))
