"""What daemons in other processes ask of the leader: several commands in one request, each with its own outcome.

It is no part of what integrators are told of, and a process that faces the public does not have it (docs/roles.md). Who asks shows the
API key of a daemon's account, whose secret lies in the ledger's directory and nowhere else; what that account may ask for, each command
says itself when it is decided.
"""

import asyncio
import re

import msgspec
from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from api import bodies
from api.auth.keys import Authenticate
from api.parts import Parts
from api.problems import Malformed
from domain.errors import RoleMissing
from domain.ids import AccountId
from domain.log import asks
from domain.log.receipts import Ask
from domain.treasury.account import DAEMONS

BYTES_MAX = 2 * asks.ASKS_BYTES_MAX
CMD = re.compile("[0-9a-f]{32}")


def router(parts: Parts, authenticate: Authenticate) -> APIRouter:
    routes = APIRouter()

    async def post(request: Request) -> Response:
        caller = await authenticate(request)
        caller.require("office")
        account = caller.account
        if not set(DAEMONS).intersection(parts.reader.world.people[account].roles):
            raise RoleMissing(id=account, role="daemon")
        asked = read(await bodies.read(request, BYTES_MAX), account)
        found = await asyncio.gather(*(parts.submit(ask) for ask in asked), return_exceptions=True)
        return Response(asks.encode([asks.Outcome.of(each) for each in found]), media_type="application/json")

    routes.add_api_route(asks.PATH, post, methods=["POST"], operation_id="daemons.asks", include_in_schema=False)
    return routes


def read(body: bytes, account: AccountId) -> list[Ask]:
    """Raises `Malformed`."""
    try:
        carried = asks.read_asks(body)
        if not all(CMD.fullmatch(each.cmd) for each in carried):
            raise ValueError("a command's id is 32 hexadecimal digits")
        return [each.ask(account) for each in carried]
    except (msgspec.MsgspecError, ValidationError, ValueError, RecursionError):
        raise Malformed(reason="it is no list of daemons' commands") from None
