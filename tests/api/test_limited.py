"""One address may ask so much and no more; nobody else is kept from asking by it, and no server by its people."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from api.parts import Limits
from api.traffic import limited
from api.traffic.limited import Limited

STRANGER, OTHER = "203.0.113.5", "203.0.113.6"


def scope(path: str = "/v1/jobs", client: str = STRANGER, **more: Any) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b"", "client": (client, 1)} | more


class Application:
    """Answers when it may."""

    def __init__(self) -> None:
        self.answers = asyncio.Event()
        self.answers.set()

    async def __call__(self, _: Any, __: Any, send: Any) -> None:
        await self.answers.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})


async def asked(app: Limited, *scopes: dict[str, Any]) -> list[int]:
    """The status of each, one after the other."""
    found = list[int]()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            found.append(message["status"])
            if message["status"] == 429:
                assert 1 <= int(dict(message["headers"])[b"retry-after"]) <= 60

    for each in scopes:
        await app(each, None, send)  # type: ignore[arg-type]
    return found


def statuses(*counts: tuple[int, int]) -> list[int]:
    return [status for status, count in counts for _ in range(count)]


async def test_an_address_that_asks_too_much_is_told_to_come_back_and_others_are_not() -> None:
    app = Limited(Application(), Limits(address_minute_max=5))

    assert await asked(app, *[scope()] * 7) == statuses((200, 5), (429, 2))
    assert await asked(app, scope(client=OTHER)) == [200]


async def test_what_costs_more_counts_more() -> None:
    app = Limited(Application(), Limits(address_minute_max=25))

    assert await asked(app, scope("/v1/search"), scope(query_string=b"as_of=7"), scope("/graphql"), *[scope()] * 6) == statuses(
        (200, 2), (429, 1), (200, 5), (429, 1)
    )


async def test_an_address_has_so_many_requests_open() -> None:
    application = Application()
    application.answers.clear()
    app = Limited(application, Limits(address_open_max=3))
    waiting = [asyncio.ensure_future(asked(app, scope())) for _ in range(3)]
    await asyncio.sleep(0)
    refused = await asked(app, scope())
    application.answers.set()

    assert refused == [429]
    assert await asyncio.gather(*waiting) == [[200]] * 3
    assert await asked(app, scope()) == [200]


@pytest.mark.parametrize(
    "free",
    [
        scope(client="127.0.0.1"),
        scope(client="::1"),
        scope(client="::ffff:127.0.0.1"),
        scope(client="socket"),
        scope() | {"client": None},
        scope("/readyz"),
        scope("/v1/jobs", method="POST", headers=[(b"gridledger-forwarded", b"1")]),
    ],
)
async def test_the_servers_own_machine_and_other_servers_are_not_counted(free: dict[str, Any]) -> None:
    assert await asked(Limited(Application(), Limits(address_minute_max=1)), *[free] * 3) == [200] * 3


async def test_who_says_that_a_read_was_handed_on_is_counted() -> None:
    claims = scope(headers=[(b"gridledger-forwarded", b"1")])

    assert await asked(Limited(Application(), Limits(address_minute_max=1)), claims, claims) == [200, 429]


def test_addresses_of_one_network_are_one() -> None:
    def names(addresses: Iterable[str]) -> set[str]:
        return {limited.whose(scope(client=each)) for each in addresses}

    assert len(names(["2001:db8::1", "2001:db8::ffff:2"])) == 1
    assert len(names(["2001:db8::1", "2001:db8:0:1::1", STRANGER, OTHER])) == 4
    assert names(["::ffff:203.0.113.5"]) == {STRANGER}
