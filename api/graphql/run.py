"""Carrying out a plan: rows are taken as they are, a field at a time; what goes wrong in one field leaves the others alone."""

from collections.abc import Callable
from typing import Any

import structlog
from msgspec import UNSET

from api.graphql.plan import Step
from api.problems import SAID
from api.reads.views import NotReached
from domain.errors import Refused
from projections.past import Crowded, TooMuch
from projections.views import Unavailable, Views

Missing = Callable[[str, int, dict[str, Any]], None]
"""(id, position of the view, arguments): raises if the thing may only be late."""
Opened = Callable[[dict[str, Any]], Views]
logger = structlog.get_logger()


class Run:
    """One request."""

    def __init__(self, opened: Opened, missing: Missing, variables: Any) -> None:
        self._opened, self._missing, self._variables = opened, missing, variables
        self.errors = list[dict[str, Any]]()

    async def data(self, steps: list[Step]) -> dict[str, Any]:
        found = dict[str, Any]()
        for step in steps:
            if step.fetch is None:
                found[step.key] = step.type.name  # of what is no fetch a root has only its type's name
                continue
            try:
                given = step.given(self._variables)
                views = self._opened(given)
                thing = await step.fetch(self._missing, views, given)
            except Exception as reason:
                found[step.key] = None
                self._failed(reason, [step.key])
            else:
                found[step.key] = await self._value(step, thing, views, [step.key])
        return found

    async def _value(self, step: Step, thing: Any, views: Views, path: list[str | int]) -> Any:
        if thing is None or not step.plan:
            return thing
        if not step.deep:
            return [plain(step.plan, each) for each in thing] if step.several else plain(step.plan, thing)
        if step.several:
            return [await self._object(step.plan, each, views, [*path, n]) for n, each in enumerate(thing)]
        return await self._object(step.plan, thing, views, path)

    async def _object(self, steps: list[Step], thing: Any, views: Views, path: list[str | int]) -> dict[str, Any]:
        found = dict[str, Any]()
        for step in steps:
            place = [*path, step.key]
            if step.fetch is None:
                inside = getattr(thing, step.attribute, UNSET) if step.field else step.type.name
                found[step.key] = await self._value(step, None if inside is UNSET else inside, views, place)
                continue
            try:
                below = await step.fetch(thing, views, step.given(self._variables))
            except Exception as reason:
                found[step.key] = None
                self._failed(reason, place)
            else:
                found[step.key] = await self._value(step, below, views, place)
        return found

    def _failed(self, reason: Exception, path: list[str | int]) -> None:
        """The field is null, and the answer says why; of a fault of ours no more than that."""
        its = explained(reason)
        self.errors.append({"message": SAID.get(its["code"]) or str(reason), "path": path, "extensions": its})


def explained(reason: Exception) -> dict[str, Any]:
    """The stable code, and the facts of the matter."""
    match reason:
        case Refused():
            return {"code": reason.code, **reason.facts}
        case NotReached():
            return {"code": "not_reached", "position": reason.position, "min_pos": reason.min_pos}
        case Crowded():
            return {"code": "busy"}
        case TooMuch():
            return {"code": "too_far"}
        case Unavailable():
            return {"code": "unreachable"}
    logger.error("graphql field failed", why=type(reason).__name__, exc_info=reason)
    return {"code": "fault"}


def plain(steps: list[Step], thing: Any) -> dict[str, Any]:
    """An object with nothing below it that is fetched."""
    found = dict[str, Any]()
    for step in steps:
        if step.field is None:
            found[step.key] = step.type.name
            continue
        value = getattr(thing, step.attribute)
        if value is UNSET:
            value = None
        elif step.plan:
            value = [plain(step.plan, each) for each in value] if step.several else plain(step.plan, value)
        found[step.key] = value
    return found
