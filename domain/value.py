"""The base of everything that is compared by its fields and never changed."""

from typing import dataclass_transform

from msgspec import Struct, field


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Value(Struct, frozen=True, gc=False):
    """A frozen struct. msgspec hands `frozen` down to subclasses; the decorator tells type checkers so."""
