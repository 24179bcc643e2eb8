"""Who may do what: every command without a key, with a key for something else, and for two persons; and silence, told as it is."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from api import commands
from api.commands import Route
from api.document import examples
from domain.errors import Duplicate
from domain.house import rules
from domain.log import wire
from domain.log.log import Busy, OutcomeUnknown, Unreachable
from domain.log.receipts import Ask, Receipt
from domain.signing import typed_data
from domain.treasury import account
from tests.api.house import DUMMY, House, people, problem, running, secret_of
from tests.network import CHAIN_ID, LOG

IDS = {"worker": people().workers["fast"], "job": "job-999999", "payout": "payout-999999"}
NEEDING = [route for route in commands.ROUTES if route.scope]
ADMIN, SECOND = list(people().network.world.people)[:2]


def path_of(route: Route) -> str:
    return route.path.format_map(IDS)


@pytest.mark.parametrize("route", NEEDING, ids=lambda route: commands.name(route.kind))
async def test_a_command_needs_a_key_with_its_scope(route: Route) -> None:
    narrow = secret_of(f"{people().creator} narrow")
    async with running(people()) as house:
        fields = examples.EXAMPLES[route.kind]
        nobody = await house.post("", path_of(route), fields)
        unknown = await house.post("0" * 40, path_of(route), fields)
        other = await house.post(narrow, path_of(route), fields)

        assert [problem(nobody), problem(unknown)] == [(401, "api_key_missing"), (401, "api_key_unknown")]
        assert nobody.headers["www-authenticate"] == "Bearer"
        if route.scope != "payout":
            assert (problem(other), other.json()["scope"]) == ((403, "scope_missing"), route.scope)


@pytest.mark.parametrize("route", [route for route in NEEDING if route.scope == "office"], ids=lambda route: commands.name(route.kind))
async def test_the_houses_business_is_for_officers(route: Route) -> None:
    async with running(people()) as house:
        answer = await house.post(secret_of(people().creator), path_of(route), examples.EXAMPLES[route.kind])

        assert problem(answer) == (403, "role_missing")


async def granted(house: House, by: str, signer: str) -> Any:
    command = account.Grant(account=people().creator, roles=("finance",), approver=SECOND, approval=DUMMY)
    claim = command.countersigned()
    signature = people().network.signers[signer].sign_typed(typed_data(LOG, CHAIN_ID, claim))  # type: ignore[index]
    fields = json.loads(wire.encode(command.model_dump())) | {"approval": signature}
    return await house.post(secret_of(by), "/internal/v1/grants", fields)


async def test_a_role_is_given_by_two_persons() -> None:
    async with running(people()) as house:
        alone = await granted(house, ADMIN, ADMIN)
        outside = await granted(house, ADMIN, people().creator)
        both = await granted(house, ADMIN, SECOND)

        assert [problem(alone), problem(outside)] == [(403, "approver_missing")] * 2
        assert both.json()["events"][0]["event"]["roles_added"] == ["finance"]


async def test_a_policy_is_adopted_by_two_persons() -> None:
    async with running(people()) as house:
        command = rules.Adopt(policy="standard", effective_us=house.now_us() + 10**9, approver=SECOND, approval=DUMMY)
        signature = people().network.signers[SECOND].sign_typed(typed_data(LOG, CHAIN_ID, command.countersigned()))
        fields = json.loads(wire.encode(command.model_dump())) | {"approval": signature}
        adopted = await house.post(secret_of(ADMIN), "/internal/v1/policies", fields)
        changed = await house.post(secret_of(ADMIN), "/internal/v1/policies", fields | {"effective_us": fields["effective_us"] + 1})

        assert adopted.json()["events"][0]["event"]["type"] == "policy.adopted.v1"
        assert problem(changed) == (403, "approver_missing")


Submit = Callable[[Ask], Awaitable[Receipt]]


def raising(reason: Exception) -> Submit:
    async def submit(_: Ask) -> Receipt:
        raise reason

    return submit


@pytest.mark.parametrize(
    ("reason", "expected", "later"),
    [
        (Busy(), (503, "busy"), "1"),
        (Unreachable(), (503, "unreachable"), "1"),
        (OutcomeUnknown(), (504, "outcome_unknown"), None),
        (Duplicate(what="it"), (409, "duplicate"), None),
    ],
    ids=repr,
)
async def test_silence_is_told_as_what_it_is(reason: Exception, expected: tuple[int, str], later: str | None) -> None:
    async with running(people()) as house:
        house.submit = raising(reason)
        answer = await house.post(secret_of(people().creator), "/v1/me/account", {})

        assert (problem(answer), answer.headers.get("retry-after")) == (expected, later)
        assert answer.json()["retryable"] is (expected[0] > 500)


async def test_an_older_receipts_lines_are_read_from_the_log() -> None:
    async with running(people()) as house:

        async def done(_: Ask) -> Receipt:
            return Receipt(5, 3)

        house.submit = done
        answer = await house.post(secret_of(people().creator), "/v1/me/account", {})
        lines = [wire.encode(each) for each in people().network.events[4:7]]

        assert (answer.status_code, answer.content) == (201, b'{"position":5,"events":[%b]}' % b",".join(lines))
