"""Loaded by schemathesis: a key that the document allows is also of the house's time, so that the command behind it is decided."""

import os
import time
from itertools import count
from typing import Any

import schemathesis

from domain.log.receipts import UUID7
from tests.log.ledgers import uuid7

NUMBERS = count(1)


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case[Any], kwargs: dict[str, Any]) -> None:
    if case.headers and UUID7.fullmatch(str(case.headers.get("Idempotency-Key", ""))):
        now_us = time.monotonic_ns() // 1000 + int(os.environ["HOUSE_AHEAD_US"])
        case.headers["Idempotency-Key"] = uuid7(now_us, next(NUMBERS))
