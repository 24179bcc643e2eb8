"""A bug in a fold, in the real process: sequencer, follower, views, HTTP. Whoever finds it first must not be a creditor."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from adapters.views.books import Books
from domain.house import override
from domain.log import wire
from domain.signing import typed_data
from domain.work import job
from domain.world import World
from tests.api.house import DUMMY, House, people, problem, running, secret_of, submitted
from tests.network import CHAIN_ID, LOG
from worker_runtime.daemons import guard, loop

ADMIN, SECOND = list(people().network.world.people)[:2]
WAIT_S = 10.0


@asynccontextmanager
async def guarded(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    """A house with a guard in it that looks all the time."""
    monkeypatch.setattr(guard, "EVERY_S", 0.01)
    async with running(people()) as house:
        desk = loop.Desk("watch", house.follower, house.parts.submit, house.now_us)
        task = asyncio.create_task(guard.Guard(desk, Books(house.parts.views), house.store).run())
        try:
            yield house
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def until(house: House, *, frozen: bool) -> dict[str, Any]:
    async with asyncio.timeout(WAIT_S):
        while True:
            body: dict[str, Any] = (await house.get("", "/v1/overview")).json()
            if (body["frozen"] is not None) == frozen:
                return body
            await asyncio.sleep(0.01)


async def release(house: House) -> None:
    command = override.Override(action="release", reason="checked", number=house.world.overrides + 1, approver=SECOND, approval=DUMMY)
    approval = people().network.signers[SECOND].sign_typed(typed_data(LOG, CHAIN_ID, command.countersigned()))  # type: ignore[arg-type]
    body = wire.encode(command.model_copy(update={"approval": approval}).model_dump())
    answer = await house.post(secret_of(ADMIN), "/internal/v1/overrides", body)
    assert answer.status_code == 201, answer.text


async def opening(house: House, id: str) -> tuple[int, str]:
    answer = await house.post(secret_of(people().creator), f"/v1/jobs/{id}/open")
    return problem(answer) if answer.status_code >= 400 else (answer.status_code, "")


async def test_a_fold_that_errs_freezes_money_and_reads_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    right = job.Opened.apply

    def wrong(self: job.Opened, world: World) -> None:
        right(self, world)
        world.jobs[self.job].open_tasks += 1

    async with guarded(monkeypatch) as house:
        first, second, third = [await submitted(house) for _ in range(3)]
        monkeypatch.setattr(job.Opened, "apply", wrong)
        assert await opening(house, first) == (201, "")
        seen = (await until(house, frozen=True))["frozen"]
        refused = await house.post(secret_of(people().creator), f"/v1/jobs/{second}/open")
        reads = [await house.get("", path) for path in ("/v1/jobs", "/v1/balances", "/v1/events", f"/v1/jobs/{first}", "/metrics")]

        assert (problem(refused), refused.headers["retry-after"]) == ((503, "money_frozen"), "1")
        assert (seen["reason"], seen["number"], seen["position"] > 0) == ("invariants", 1, True)
        assert {answer.status_code for answer in reads} == {200}
        assert "gridledger_frozen 1.0" in reads[-1].text
        assert await house.store.exists(seen["evidence_sha256"])

        await release(house)
        await until(house, frozen=False)
        monkeypatch.setattr(job.Opened, "apply", right)
        assert await opening(house, second) == (201, ""), "what is known does not freeze again"
        await asyncio.sleep(0.2)
        monkeypatch.setattr(job.Opened, "apply", wrong)
        assert await opening(house, third) == (201, "")
        again = (await until(house, frozen=True))["frozen"]

        assert again["number"] == 3
