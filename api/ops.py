"""For whoever runs the process."""

from fastapi import APIRouter, Request, Response

from api.parts import Parts


def router(parts: Parts) -> APIRouter:
    routes = APIRouter()

    async def livez(_: Request) -> Response:
        """The process answers."""
        return Response(b'{"status":"live"}', media_type="application/json")

    async def readyz(_: Request) -> Response:
        """Commands are decided and the log is followed."""
        if not parts.ready():
            return Response(b'{"status":"not ready"}', 503, {"Retry-After": "1"}, "application/json")
        return Response(b'{"status":"ready"}', media_type="application/json")

    routes.add_api_route("/livez", livez, methods=["GET"], operation_id="ops.livez")
    routes.add_api_route("/readyz", readyz, methods=["GET"], operation_id="ops.readyz")
    return routes
