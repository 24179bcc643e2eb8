"""That the contract suite leaves out none of the library's cases, and changes none."""

import inspect
from types import ModuleType
from unittest import TestCase

import pytest
from eventsourcing.tests import application, persistence, projection

from tests.contracts import library

NOT_OURS = {persistence.RecorderTestCase, persistence.TranscoderTestCase}
"""What others of them share; and the cases of the transcoder, which is the library's."""


def shipped(*modules: ModuleType) -> set[type]:
    found = {each for module in modules for _, each in inspect.getmembers(module, inspect.isclass) if issubclass(each, TestCase)}
    return {each for each in found if each.__module__ in {module.__name__ for module in modules}} - NOT_OURS


OURS = [each for _, each in inspect.getmembers(library, inspect.isclass) if issubclass(each, library.Given) and issubclass(each, TestCase)]


def test_every_case_of_the_library_is_run() -> None:
    cases = shipped(application, persistence, projection)

    assert len(cases) == 12
    assert {each for each in cases if not any(issubclass(ours, each) for ours in OURS)} == set()


@pytest.mark.parametrize("ours", OURS)
def test_none_is_changed(ours: type) -> None:
    added = {name for name in vars(ours) if name.startswith("test")}

    assert added <= {"test_insert_subscribe"}
    assert not any(name in vars(parent) for name in added for parent in ours.__mro__[1:])
