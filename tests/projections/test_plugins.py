"""Projections of others."""

from collections.abc import Iterator
from importlib.metadata import EntryPoint

import pytest

from domain.event import Event, Recorded
from projections import catalog, plugins
from projections.row import Change, Projection


class Mine(Projection):
    name = "mine"
    rows = ()

    def fold(self, e: Recorded[Event]) -> Iterator[Change]:
        yield from ()


class Taken(Mine):
    name = "jobs"


class Odd(Mine):
    name = "no word"


class Failing(Mine):
    def __init__(self) -> None:
        raise RuntimeError("no")


def installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    found = [EntryPoint(name.lower(), f"{__name__}:{name}", plugins.GROUP) for name in names]
    monkeypatch.setattr(plugins, "entry_points", lambda group: found if group == plugins.GROUP else [])


def test_what_is_installed_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "Mine")

    assert [type(each) for each in plugins.load(catalog.ALL)] == [Mine]


@pytest.mark.parametrize("name", ["Taken", "Odd", "Failing", "pytest", "NoSuchThing"])
def test_what_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    installed(monkeypatch, name)

    with pytest.raises(plugins.BadPlugin, match=name.lower()):
        plugins.load(catalog.ALL)


def test_no_two_of_ours_have_one_name_or_one_table_twice() -> None:
    names = [each.name for each in catalog.ALL]
    tables = [(each.name, kind.table) for each in catalog.ALL for kind in each.rows]

    assert len(set(names)) == len(names)
    assert len(set(tables)) == len(tables)
    assert all(catalog.of(kind) is each for each in catalog.ALL for kind in each.rows)
