"""`/graphql`: reads of every kind of thing, several at once. No mutations: commands have one way in."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api import bodies
from api.reads.query import Query
from api.reads.views import NotReached, Past, Several
from domain.log import wire
from projections.views import Views

if TYPE_CHECKING:
    from api.graphql.plan import Documents

QUERY_MAX = 16_384
MEDIA_TYPE = "application/graphql-response+json"


class Asked(BaseModel):
    """A query, with what its variables are, and which of its operations is meant."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", populate_by_name=True)

    query: Annotated[str, Field(min_length=1, max_length=QUERY_MAX)]
    variables: dict[str, Any] | None = None
    operation: Annotated[str | None, Field(alias="operationName", max_length=200)] = None
    extensions: dict[str, Any] | None = None
    """Passed over."""


class Graph:
    def __init__(self, past: Past) -> None:
        self._past = past
        self._loading = asyncio.Lock()
        self._documents: Documents | None = None

    async def query(self, request: Request) -> Response:
        """Read several things at once, by GraphQL. Errors of fields stand in the answer, each with its `code`."""
        from api.graphql.plan import Refusal  # noqa: PLC0415 - a server starts sooner without

        asked = Asked.model_validate(bodies.fields(await bodies.read(request)))
        try:
            found = await self._answer(await self._known(), asked)
        except Refusal as reason:
            errors = [{**error.formatted, "extensions": {"code": "invalid"}} for error in reason.errors]
            return self._said(request, {"errors": errors}, 400)
        return self._said(request, found, 200)

    async def schema(self, _: Request) -> Response:
        """The types, as GraphQL writes them."""
        text = (await self._known()).schema.as_str()
        return Response(text + "\n", headers={"Cache-Control": "no-cache"}, media_type="text/plain; charset=utf-8")

    async def _answer(self, documents: "Documents", asked: Asked) -> dict[str, Any]:
        from api.graphql.run import Run  # noqa: PLC0415

        query = documents.read(asked.query)
        operation = query.operation(asked.operation)
        variables = query.variables(operation, asked.variables or {})
        steps = query.plan(operation, variables)
        run = Run(self._opened, self._missing, variables)
        found: dict[str, Any] = {"data": query.introspection(operation, asked.variables or {}) | await run.data(steps)}
        return found | ({"errors": run.errors} if run.errors else {})

    def _said(self, request: Request, body: dict[str, Any], status: int) -> Response:
        media_type = MEDIA_TYPE if MEDIA_TYPE in request.headers.get("accept", "") else "application/json"
        return Response(wire.encode(body), status, {"Cache-Control": "no-store"}, media_type)

    async def _known(self) -> "Documents":
        """The schema, made when somebody asks first, beside what else the process does."""
        async with self._loading:
            if self._documents is None:
                self._documents = await asyncio.to_thread(made)
            return self._documents

    def _opened(self, given: dict[str, Any]) -> Views:
        return Several(self._past, asked_for(given))

    def _missing(self, id: str, position: int, given: dict[str, Any]) -> None:
        if isinstance(late := self._past.missing(id, position, asked_for(given)), NotReached):
            raise late


def asked_for(given: dict[str, Any]) -> Query:
    return Query({}, 1, None, False, given.get("min_pos", 0), given.get("as_of"))


def made() -> "Documents":
    from api.graphql import plan, schema  # noqa: PLC0415

    return plan.Documents(*schema.build())


def router(past: Past) -> APIRouter:
    routes, graph = APIRouter(), Graph(past)
    routes.add_api_route("/graphql", graph.query, methods=["POST"], operation_id="graphql.query")
    routes.add_api_route("/graphql", graph.schema, methods=["GET"], operation_id="graphql.schema")
    return routes
