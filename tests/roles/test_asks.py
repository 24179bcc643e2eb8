"""What daemons in another process ask of the leader: decided there as if they were in it, and by nobody else's leave."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx2
import msgspec
import pytest

from adapters.remote import Leader, Remote, once
from api.app import create_app
from domain.accounts import USDC
from domain.body import Body
from domain.errors import NumberUsed, Refused, RoleMissing
from domain.house import override
from domain.ids import AccountId, Actor, BatchId, PayoutId
from domain.log import asks
from domain.log.log import Busy, OutcomeUnknown, Unreachable
from domain.log.receipts import Ask, Receipt
from domain.market import worker
from domain.proof import beacon
from domain.treasury import anchor, batch, deposit
from domain.treasury.account import DAEMONS
from domain.units import Units
from tests.api.house import House, people, problem, running, secret_of

HASH, TX, BATCH = f"{7:064x}", f"0x{7:064x}", BatchId("batch-9")
PAYOUTS = (PayoutId("payout-7"), PayoutId("payout-8"))
LEADER = "http://leader"
EXAMPLES: tuple[Body, ...] = (
    deposit.See(account="anything", asset=USDC, tx=TX, log_index=0, block=5, amount=Units(10**20)),
    deposit.Finalise(tx=TX, log_index=0, block=5),
    deposit.Orphan(tx=TX, log_index=0),
    batch.Sign(asset=USDC, payouts=PAYOUTS, nonce=0, raw_tx="0x" + "ab" * 2_000, tx_hash=TX),
    batch.Mine(batch=BATCH, tx_hash=TX, block=5, paid=PAYOUTS, failed=()),
    batch.Unmine(batch=BATCH, paid=PAYOUTS, failed=()),
    batch.Finalise(batch=BATCH, tx_hash=TX, block=5, gas=Units(21_000), paid=PAYOUTS, failed=()),
    anchor.Anchor(size=12, root=HASH, tx=TX, block=5),
    anchor.Reconcile(asset=USDC, block=5, balance="0"),
    beacon.Bring(grid_us=1_000_000, chain_id=31337, block_number=5, block_hash=TX),
    override.Override(action="freeze", reason="views", evidence_sha256=HASH, number=1),
    asks.Nothing(),
)


def secret_of_daemon(role: str) -> str:
    """As tests/network.py founds them."""
    return f"secret {3 + DAEMONS.index(role)}"


class There(httpx2.AsyncBaseTransport):
    """The leader's process; notes what it is asked, and may answer otherwise."""

    def __init__(self, app: Any) -> None:
        self._inner = httpx2.ASGITransport(app, raise_app_exceptions=False)
        self.asked = list[int]()
        self.says: tuple[int, bytes] | None = None
        self.fails: Exception | None = None
        self.hangs: asyncio.Event | None = None
        """Set when it was asked, and does not answer."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        body = b"".join([chunk async for chunk in request.stream])  # type: ignore[union-attr]
        self.asked.append(len(json.loads(body)))
        if self.fails:
            raise self.fails
        if self.hangs:
            self.hangs.set()
            await asyncio.Event().wait()
        again = httpx2.Request(request.method, request.url, headers=request.headers, content=body)
        if self.says:
            return httpx2.Response(self.says[0], content=once(self.says[1]))
        return await self._inner.handle_async_request(again)


class Both(NamedTuple):
    house: House
    there: There
    leader: Leader

    def remote(self, role: str) -> Remote:
        return Remote(self.leader, secret_of_daemon(role))

    def ask(self, role: str, subject: str, command: Body) -> Ask:
        account = self.house.network.daemon(role)
        return Ask.about(account, subject, command, account=account)


@asynccontextmanager
async def both(address: str = LEADER) -> AsyncIterator[Both]:
    async def found(_: float) -> str:
        return address

    async def stays(_: str) -> None:
        await asyncio.Event().wait()

    async with running(people()) as house:
        there = There(house.app)
        leader = Leader(found, stays, transport=there)
        try:
            yield Both(house, there, leader)
        finally:
            await leader.aclose()


def see(number: int) -> deposit.See:
    return deposit.See(account="nobody", asset=USDC, tx=f"0x{number:064x}", log_index=0, block=10**9, amount=Units(10**7))


async def post(app: Any, secret: str, body: bytes, **headers: str) -> httpx2.Response:
    given = {"Content-Type": "application/json", **({"Authorization": f"Bearer {secret}"} if secret else {}), **headers}
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app, raise_app_exceptions=False), base_url=LEADER) as http:
        return await http.post(asks.PATH, content=body, headers=given)


def test_every_command_arrives_as_it_was_sent() -> None:
    account = people().network.daemon("watch")
    arrived = [asks.read_asks(asks.encode([asks.Carried.of(sent)]))[0].ask(account) for sent in asked(account)]

    assert {type(each) for each in EXAMPLES} == set(asks.DAEMONS_MAY) == set(asks.kinds().values()), "one example of each"
    assert [msgspec.structs.replace(each, size=0) for each in arrived] == asked(account)


def asked(account: AccountId) -> list[Ask]:
    return [Ask.about(account, str(n), command, account=account) for n, command in enumerate(EXAMPLES)]


def test_nothing_else_is_carried() -> None:
    watch = people().network.daemon("watch")
    somebody = Ask.about(watch, "x", worker.Silence(worker=people().workers["fast"], session="0" * 8, last_seen_us=1), account=watch)
    signed = msgspec.structs.replace(asked(watch)[0], signer="0x" + "0" * 40)
    for each in (somebody, signed):
        with pytest.raises(ValueError, match="no command of a daemon"):
            asks.Carried.of(each)
    with pytest.raises(ValueError, match="no daemon asks for"):
        msgspec.structs.replace(asks.Carried.of(asked(watch)[0]), kind="worker.Silence").ask(watch)


async def test_what_a_daemon_asks_elsewhere_is_decided_as_in_the_leaders_process() -> None:
    async with both() as it:
        watch = it.remote("watch")
        ask = it.ask("watch", "deposit/7", see(7))
        first, again = await watch.submit(ask), await watch.submit(ask)
        (where,) = [await watch.submit(it.ask("watch", "where", asks.Nothing()))]
        beside = await it.house.submit(it.ask("watch", "deposit/7", see(7)))
        await it.house.follower.reached(first.position, 5.0)

        assert (first.count, again.count, where.count) == (1, 0, 0)
        assert b"deposit.seen.v1" in first.lines[0]
        assert again == beside == where
        assert first.lines == await lines(it.house, first)


async def lines(house: House, receipt: Receipt) -> tuple[bytes, ...]:
    """As the log has them."""
    items = house.follower.events(receipt.position - 1)
    found = tuple([(await anext(items))[1] for _ in range(receipt.count)])
    await items.aclose()
    return found


async def test_a_refusal_is_raised_as_in_the_leaders_process() -> None:
    async with both() as it:
        with pytest.raises(NumberUsed) as used:
            await it.remote("watch").submit(it.ask("watch", "freeze", override.Override(action="freeze", reason="views", number=9)))
        with pytest.raises(RoleMissing):
            await it.remote("payer").submit(it.ask("payer", "deposit/8", see(8)))

        assert used.value.facts == {"expected": 1, "number": 9}
        assert not it.house.world.deposits, "what one daemon may do, another may not"


async def test_what_is_asked_meanwhile_goes_together_and_each_hears_its_own() -> None:
    async with both() as it:
        watch, many = it.remote("watch"), 2 * asks.ASKS_MAX + 5
        wanted = [it.ask("watch", f"deposit/{n}", see(n)) for n in range(1, many)]
        leaving = asyncio.create_task(watch.submit(it.ask("watch", "deposit/999", see(999))))
        receipts = asyncio.gather(*(watch.submit(ask) for ask in wanted))
        await asyncio.sleep(0)
        leaving.cancel()
        found = await receipts

        assert len(it.there.asked) <= 4
        assert max(it.there.asked) == asks.ASKS_MAX
        assert [f'"0x{n:064x}"'.encode() in receipt.lines[0] for n, receipt in enumerate(found, 1)] == [True] * len(found)


async def test_who_is_stopped_while_he_asks_leaves_the_others_in_doubt_and_not_waiting() -> None:
    async with both() as it:
        watch, lost = it.remote("watch"), asyncio.Event()
        it.there.hangs = lost
        first, second = (asyncio.create_task(watch.submit(it.ask("watch", f"deposit/{n}", see(n)))) for n in (1, 2))
        await lost.wait()
        third = asyncio.create_task(watch.submit(it.ask("watch", "deposit/3", see(3))))
        await asyncio.sleep(0)
        it.there.hangs = None
        first.cancel()
        found = await asyncio.gather(first, second, third, return_exceptions=True)

        assert isinstance(found[0], asyncio.CancelledError)
        assert [type(each) for each in found[1:]] in ([Receipt, Receipt], [OutcomeUnknown, Receipt])


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((200, b"[]"), OutcomeUnknown),
        ((200, b"nonsense"), OutcomeUnknown),
        ((502, b"<html>"), OutcomeUnknown),
        ((500, b'{"code":"fault"}'), OutcomeUnknown),
        ((504, b'{"code":"outcome_unknown"}'), OutcomeUnknown),
        ((503, b'{"code":"busy"}'), Busy),
        ((503, b'{"code":"unreachable"}'), Unreachable),
        ((404, b'{"code":"path_unknown"}'), Refused),
        ((422, b'{"code":"a_newer_reason"}'), asks.RefusedThere),
        ((200, b'[{"code":"busy"}]'), Busy),
        ((200, b'[{"code":"a_newer_reason","facts":{"x":1}}]'), asks.RefusedThere),
    ],
)
async def test_whatever_the_leader_says_is_raised_as_what_it_means(answer: tuple[int, bytes], expected: type[Exception]) -> None:
    async with both() as it:
        it.there.says = answer
        with pytest.raises(expected):
            await it.remote("watch").submit(it.ask("watch", "where", asks.Nothing()))


@pytest.mark.parametrize(("failure", "expected"), [(httpx2.ConnectError, Busy), (httpx2.ReadTimeout, OutcomeUnknown)])
async def test_all_who_wait_hear_that_the_leader_is_gone(failure: type[Exception], expected: type[Exception]) -> None:
    async with both() as it:
        it.there.fails, watch = failure("so"), it.remote("watch")
        found = await asyncio.gather(*(watch.submit(it.ask("watch", f"{n}", see(n))) for n in range(1, 9)), return_exceptions=True)

        assert [type(each) for each in found] == [expected] * 8
    async with both("") as it:
        with pytest.raises(Busy):
            await it.remote("watch").submit(it.ask("watch", "where", asks.Nothing()))


NOTHING = asks.encode([asks.Carried.of(asked(AccountId(Actor("account-4")))[-1])])


@pytest.mark.parametrize(
    ("secret", "expected"),
    [
        ("", (401, "api_key_missing")),
        ("x" * 40, (401, "api_key_unknown")),
        (secret_of(people().creator), (403, "role_missing")),
        ("secret 1", (403, "role_missing")),
    ],
)
async def test_nobody_asks_as_a_daemon_who_has_not_a_daemons_key(secret: str, expected: tuple[int, str]) -> None:
    async with running(people()) as house:
        assert problem(await post(house.app, secret, NOTHING)) == expected
        assert (await post(house.app, secret_of_daemon("watch"), NOTHING)).status_code == 200


async def test_a_process_that_faces_the_public_has_no_such_path_and_nobody_hands_it_on() -> None:
    async with both() as it:
        beside = msgspec.structs.replace(it.house.parts, leads=lambda: False, leader=it.leader)
        public = await post(create_app(beside, daemons=False), secret_of_daemon("watch"), NOTHING)
        await post(create_app(beside), secret_of_daemon("watch"), NOTHING)

        assert problem(public) == (404, "path_unknown")
        assert it.there.asked == []
        assert asks.PATH not in json.dumps(it.house.app.openapi())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{}",
        b"[1]",
        b'[{"cmd":"x","kind":"asks.Nothing","command":{}}]',
        NOTHING.replace(b"asks.Nothing", b"task.Stop"),
        NOTHING.replace(b'"command":{', b'"command":{"more":1'),
        NOTHING.replace(b'"kind"', b'"actor":"account-1","kind"'),
        NOTHING.replace(b'"command":{}', b'"command":' + b"[" * 50_000 + b"]" * 50_000),
        b"[" + b",".join([NOTHING[1:-1]] * (asks.ASKS_MAX + 1)) + b"]",
    ],
)
async def test_what_is_no_list_of_daemons_commands_is_malformed(body: bytes) -> None:
    async with running(people()) as house:
        size = house.follower.head.size
        assert problem(await post(house.app, secret_of_daemon("watch"), body)) == (400, "malformed")
        assert problem(await post(house.app, secret_of_daemon("watch"), b" " * 2_000_000)) == (413, "too_large")
        assert house.follower.head.size == size
