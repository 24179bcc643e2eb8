"""Projections of others: any installed distribution may bring some, under the entry point group `gridledger.projections`. Each entry is
a `Projection` class without parameters; its tables are made when the server starts, and filled from the log's first event on."""

import re
from collections.abc import Sequence
from importlib.metadata import entry_points

from projections.row import Projection

GROUP = "gridledger.projections"
NAME = re.compile("[a-z][a-z0-9_]{0,39}")


class BadPlugin(Exception):
    """An installed plug-in cannot be used; the message says which, and why."""


def load(besides: Sequence[Projection] = ()) -> tuple[Projection, ...]:
    """What is installed, in the order of names. Raises `BadPlugin` for what is no projection, or takes a name that is taken."""
    found = list[Projection]()
    for entry in sorted(entry_points(group=GROUP), key=lambda each: each.name):
        try:
            projection = entry.load()()
        except Exception as failure:
            raise BadPlugin(f"{entry.name} ({entry.value}): {type(failure).__name__}: {failure}") from failure
        if not isinstance(projection, Projection):
            raise BadPlugin(f"{entry.name} ({entry.value}) is no Projection")
        if not NAME.fullmatch(projection.name):
            raise BadPlugin(f"{entry.name} ({entry.value}): a name is a word in lower case")
        if projection.name in {each.name for each in (*besides, *found)}:
            raise BadPlugin(f"{entry.name} ({entry.value}): there is a projection {projection.name} already")
        found.append(projection)
    return tuple(found)
