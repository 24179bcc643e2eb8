"""Commands from outside take exactly what they say: every field of every command, found by walking the models."""

import json
import re
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

import pytest
from pydantic import TypeAdapter, ValidationError

from domain import body
from domain.log import wire
from domain.units import AMOUNT_MAX, Units


def models(of: type[body.Body] = body.Body) -> Iterator[type[body.Body]]:
    for model in of.__subclasses__():
        yield model
        yield from models(model)


DOMAIN = body.__name__.removesuffix("body")
"""In the checkout `domain.`, in the wheel below its one name."""
MODELS = sorted({model for model in models() if model.__module__.startswith(DOMAIN)}, key=lambda model: model.__module__ + model.__name__)
"""What is imported is listed: `wire` imports every trade."""


class Field(NamedTuple):
    model: type[body.Body]
    name: str
    adapter: TypeAdapter[Any]
    schema: dict[str, Any]

    @property
    def id(self) -> str:
        return f"{self.model.__module__.rpartition('.')[2]}.{self.model.__name__}.{self.name}"

    def takes(self, value: Any) -> bool:
        """As a Python value and as JSON alike."""
        answers = set()
        for validate, form in ((self.adapter.validate_python, value), (self.adapter.validate_json, json.dumps(value))):
            try:
                validate(form)
                answers.add(True)
            except ValidationError:
                answers.add(False)
        (answer,) = answers
        return answer


def is_model(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, body.Body)


def fields() -> Iterator[Field]:
    for model in MODELS:
        for name, info in model.model_fields.items():
            kind: Any = Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
            adapter: TypeAdapter[Any] = TypeAdapter(kind, config={"strict": True}) if not is_model(kind) else TypeAdapter(kind)
            schema = adapter.json_schema()
            options = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
            yield Field(model, name, adapter, options[0])


FIELDS = list(fields())
AMOUNTS = [each for each in FIELDS if each.schema.get("pattern") == f"^{body.DECIMAL.pattern}$"]
COUNTS = [each for each in FIELDS if each.schema.get("type") == "integer"]
PATTERNS = [each for each in FIELDS if each.schema.get("type") == "string" and each not in AMOUNTS and "pattern" in each.schema]

NO_AMOUNTS: tuple[Any, ...] = (
    12,
    12.0,
    True,
    False,
    "1e3",
    "012",
    " 12",
    "12 ",
    "+12",
    "-12",
    "0",
    "",
    "1.0",
    "1_000",
    "0x12",
    "١٢",
    [],
    {},
)
HUGE = (str(AMOUNT_MAX + 1), "9" * 31, "9" * 400)
NO_COUNTS: tuple[Any, ...] = ("12", "", 12.0, 12.5, True, False, "1e3", "012", " 12", -1, 10**30, -(10**30), [], {})


def names(found: list[Field]) -> list[str]:
    return [each.id for each in found]


def test_the_walk_finds_every_command() -> None:
    assert wire.TRADES
    assert len(MODELS) > 35
    assert len(AMOUNTS) >= 7
    assert len(COUNTS) >= 40
    assert {"bid.Bid.price_per_kwu", "stake.Lock.amount", "payout.Request.amount", "job.Submit.limit_price"} <= set(names(AMOUNTS))


@pytest.mark.parametrize("field", AMOUNTS, ids=names(AMOUNTS))
def test_an_amount_is_a_decimal_string_of_minor_units(field: Field) -> None:
    for good in ("12", "1", str(AMOUNT_MAX)):
        assert field.takes(good), good
    assert field.adapter.validate_python("12") == Units(12)
    assert type(field.adapter.validate_python("12")) is Units
    for bad in (*NO_AMOUNTS, *HUGE):
        assert not field.takes(bad), bad


@pytest.mark.parametrize("field", COUNTS, ids=names(COUNTS))
def test_a_count_is_an_integer_within_its_bounds(field: Field) -> None:
    low, high = field.schema["minimum"], field.schema["maximum"]
    assert high <= body.COUNT_MAX
    for good in (low, high):
        assert field.takes(good), good
    for bad in (*(each for each in NO_COUNTS if each != -1 or low > -1), low - 1, high + 1):
        assert not field.takes(bad), bad


@pytest.mark.parametrize("field", PATTERNS, ids=names(PATTERNS))
def test_a_name_begins_with_no_dot_or_slash_is_one_line_and_has_a_bound(field: Field) -> None:
    pattern = field.schema["pattern"]
    assert pattern.startswith("^")
    assert pattern.endswith("$")
    for bad in ("../x", "/x", "a\n", "\n", "x" * 10_000, "\x00", 5, None if field.takes(None) is False else 5):
        assert not field.takes(bad), bad


def test_every_string_from_outside_is_bounded() -> None:
    loose = [each.id for each in FIELDS if each.schema.get("type") == "string" and not {"pattern", "enum", "const"} & each.schema.keys()]

    assert loose == ["deposit.See.account"]
    assert [each.schema["maxLength"] for each in FIELDS if each.id in loose] == [100]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{model.__module__.rpartition('.')[2]}.{model.__name__}")
def test_a_command_takes_no_field_that_it_does_not_have(model: type[body.Body]) -> None:
    with pytest.raises(ValidationError) as caught:
        model.model_validate({"nonsense": 1})

    assert ("extra_forbidden", ("nonsense",)) in [(each["type"], each["loc"]) for each in caught.value.errors()]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{model.__module__.rpartition('.')[2]}.{model.__name__}")
def test_a_command_says_what_it_does(model: type[body.Body]) -> None:
    assert model.__doc__
    assert re.search(r"[.]$", model.__doc__.strip())
