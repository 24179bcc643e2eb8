"""For whoever runs the process."""

from fastapi import APIRouter, Request, Response

from api.parts import Parts
from api.reads.standing import Standing
from domain.log import wire
from domain.value import Value


class Projected(Value):
    projection: str
    position: int
    behind: int
    """Events of the log that it has not folded yet."""


class Status(Value):
    """What this process is, and where it stands."""

    role: str
    ready: bool
    leads: bool
    head: int
    """Events in the log, as this process has folded it."""
    at_us: int
    """Ledger time of the last block."""
    views: str
    """`reached`, or `away`: then positions are the last that were seen."""
    projections: list[Projected]


def router(parts: Parts, standing: Standing) -> APIRouter:
    routes = APIRouter()

    async def livez(_: Request) -> Response:
        """The process answers."""
        return Response(b'{"status":"live"}', media_type="application/json")

    async def readyz(_: Request) -> Response:
        """The process does its work: commands are decided here or handed on, the log is followed."""
        if not parts.ready():
            return Response(b'{"status":"not ready"}', 503, {"Retry-After": "1"}, "application/json")
        return Response(b'{"status":"ready"}', media_type="application/json")

    async def status(_: Request) -> Response:
        """The role of this process, and how far each projection is behind the log."""
        await standing.look()
        rows = [Projected(name, position, standing.behind[name]) for name, position in sorted(standing.positions.items())]
        reader, views = parts.reader, "away" if standing.away else "reached"
        found = Status(parts.role, parts.ready(), parts.leads(), reader.head.size, reader.at_us, views, rows)
        return Response(wire.encode(found), media_type="application/json")

    routes.add_api_route("/livez", livez, methods=["GET"], operation_id="ops.livez")
    routes.add_api_route("/readyz", readyz, methods=["GET"], operation_id="ops.readyz")
    routes.add_api_route("/v1/status", status, methods=["GET"], operation_id="ops.status")
    return routes
