"""Commands over HTTP: the answer is the log's lines, a retry gets the same bytes, and nobody acts for somebody else."""

import asyncio
from contextlib import aclosing
from typing import Any

from api.app import create_app
from domain.ids import TaskId
from domain.log.block import accept
from domain.log.merkle import Head
from domain.market import bid
from domain.treasury import payout, stake
from domain.units import Units
from tests.api.house import DUMMY, House, job_fields, owner, people, problem, running, secret_of, submitted
from tests.network import CLASS, LOG, key

NEW = "a-new-secret-that-nobody-has-had-before"


async def log_lines(house: House) -> list[bytes]:
    found, head = list[bytes](), Head(LOG)
    async with aclosing(house.log.read()) as records:
        async for record in records:
            block = accept(head, record)
            head = block.after
            found += block.lines
    return found


async def test_the_answer_is_the_lines_of_the_log_byte_for_byte() -> None:
    async with running(people()) as house:
        answer = await house.post(NEW, "/v1/accounts", {"roles": ["creator"]})

        line = (await log_lines(house))[answer.json()["position"] - 1]
        assert (answer.status_code, answer.content) == (201, b'{"position":%d,"events":[%b]}' % (answer.json()["position"], line))


async def test_the_same_key_is_answered_with_the_same_bytes_and_changes_nothing() -> None:
    async with running(people()) as house:
        once = house.key()
        first = await house.post(NEW, "/v1/accounts", {"roles": ["creator"]}, key=once)
        size = house.follower.head.size
        again = await house.post(NEW, "/v1/accounts", {"roles": ["creator"]}, key=once)

        assert (again.status_code, again.content) == (201, first.content)
        await asyncio.sleep(0.02)
        assert house.follower.head.size == size


async def test_a_job_asked_for_again_after_a_restart_is_answered_as_the_first_time() -> None:
    """Whoever brought the scene is forgotten then; what was done is not."""
    async with running(people()) as house:
        secret, fields, key = secret_of(people().creator), await job_fields(house), house.key()
        first = await house.post(secret, "/v1/jobs", fields, key=key)
        house.app = create_app(house.parts)
        again = await house.post(secret, "/v1/jobs", fields, key=key)
        fresh = await house.post(secret, "/v1/jobs", fields)

        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert problem(fresh) == (409, "not_uploaded")


async def test_two_that_come_at_once_under_one_key_are_one() -> None:
    async with running(people()) as house:
        once, secret = house.key(), secret_of(people().creator)
        both = await asyncio.gather(*(house.post(secret, "/v1/me/account", {"roles_added": ["provider"]}, key=once) for _ in range(2)))

        assert both[0].content == both[1].content
        assert sum(b'"roles_added":["provider"]' in line for line in await log_lines(house)) == 1


async def test_a_reused_key_with_another_body_or_path_is_refused() -> None:
    async with running(people()) as house:
        once, secret = house.key(), secret_of(people().creator)
        assert (await house.post(secret, "/v1/me/account", {"roles_added": ["provider"]}, key=once)).status_code == 201
        other_body = await house.post(secret, "/v1/me/account", {"roles_added": ["checker"]}, key=once)
        other_path = await house.post(secret, "/v1/workers", {"kind": "cpu", "classes": [CLASS]}, key=once)

        assert [problem(other_body), problem(other_path)] == [(422, "command_id_reused")] * 2


async def test_what_is_done_already_is_answered_without_events() -> None:
    async with running(people()) as house:
        worker = people().workers["fast"]
        secret = secret_of(owner(people(), worker))
        answer = await house.post(secret, f"/v1/agents/{worker}/online", {"session": "0" * 8}, key="")

        assert (answer.status_code, answer.json()["events"]) == (200, [])


async def test_a_new_account_may_act_at_once() -> None:
    async with running(people()) as house:
        for n in range(20):
            secret = f"{NEW}-{n}"
            await house.post(secret, "/v1/accounts", {"roles": ["provider"]})
            answer = await house.post(secret, "/v1/workers", {"kind": "cpu", "classes": [CLASS]})
            assert answer.status_code == 201, answer.text


async def test_a_job_goes_from_scene_to_escrow() -> None:
    async with running(people()) as house:
        job = await submitted(house)
        opened = await house.post(secret_of(people().creator), f"/v1/jobs/{job}/open")

        assert [each["event"]["type"] for each in opened.json()["events"]] == ["job.opened.v1"]
        await house.follower.reached(opened.json()["position"], 1)
        assert house.world.jobs[opened.json()["events"][0]["event"]["job"]].status == "open"


async def test_a_signature_by_the_registered_key_is_taken_and_kept() -> None:
    async with running(people()) as house:
        worker = people().workers["fast"]
        it = owner(people(), worker)
        command = bid.Bid.model_validate(
            {
                "worker": worker,
                "class": CLASS,
                "price_per_kwu": "190000000",
                "number": house.world.workers[worker].bids + 1,
                "signature": DUMMY,
            }
        )
        signed = house.signed(command, it)
        answer = await house.post(secret_of(it), f"/v1/workers/{worker}/bid", signed)

        assert answer.status_code == 201, answer.text
        assert answer.json()["events"][0]["event"]["signature"] == signed["signature"]


async def test_a_wrong_signature_is_refused_whoever_made_it() -> None:
    async with running(people()) as house:
        it = owner(people(), people().workers["fast"])
        person = house.world.people[it]
        lock = stake.Lock(asset="usdc", amount=Units(5), number=person.stakes + 1, signature=DUMMY)  # type: ignore[arg-type]
        ask = payout.Request(
            asset="usdc",  # type: ignore[arg-type]
            kind="customer",
            to=person.payout_address,
            amount=Units(10_000),
            number=1,
            signature=DUMMY,
        )
        stranger, agent = key(99_999), people().network.agents[it]
        answers = [
            await house.post(secret_of(it), "/v1/stakes/lock", house.signed(lock, it, stranger)),
            await house.post(secret_of(it), "/v1/stakes/lock", house.signed(lock, it, agent)),
            await house.post(secret_of(it), "/v1/stakes/lock", house.signed(lock, it) | {"amount": "6"}),
            await house.post(secret_of(it), "/v1/stakes/lock", house.signed(lock, it) | {"signature": DUMMY}),
            await house.post(secret_of(it), "/v1/payouts", house.signed(ask, it, stranger)),
        ]

        assert [problem(answer) for answer in answers] == [(403, "wrong_signature")] * 5


async def test_a_body_may_repeat_the_path_but_not_contradict_it() -> None:
    async with running(people()) as house:
        job, secret = await submitted(house), secret_of(people().creator)
        contradicts = await house.post(secret, f"/v1/jobs/{job}/open", {"job": "job-1"})
        repeats = await house.post(secret, f"/v1/jobs/{job}/open", {"job": job})

        assert (problem(contradicts), contradicts.json()["field"]) == ((422, "invalid"), "job")
        assert repeats.status_code == 201


async def test_a_proof_passes_its_gate_before_the_ledger_hears_of_it() -> None:
    async with running(people()) as house:
        task, fields, secret = await leased(house)
        agent = fields["worker"]
        missing = await house.post(secret, f"/v1/agents/{agent}/commit", fields | {"raw": ["0" * 64, *fields["raw"][1:]]}, key="")
        house.gate_code = "constant"
        failed = await house.post(secret, f"/v1/agents/{agent}/commit", fields, key="")
        assert (problem(missing), problem(failed)) == ((409, "not_uploaded"), (422, "gate_failed"))
        assert (missing.json()["what"], failed.json()["reason"], house.world.tasks[task].status) == ("raw[0]", "constant", "leased")

        house.gate_code = None
        committed = await house.post(secret, f"/v1/agents/{agent}/commit", fields, key="")
        assert committed.json()["events"][0]["event"]["type"] == "proof.committed.v1"

        await house.follower.reached(committed.json()["position"], 1)
        gated = len(house.gated)
        again = await house.post(secret, f"/v1/agents/{agent}/commit", fields, key="")
        assert (again.status_code, again.json()["events"], len(house.gated)) == (200, [], gated)


async def leased(house: House) -> tuple[TaskId, dict[str, Any], str]:
    """A task with a lease, the body of its proof, and the secret of the worker's owner."""
    from domain.proof import proof

    job = await submitted(house)
    opened = await house.post(secret_of(people().creator), f"/v1/jobs/{job}/open")
    await house.follower.reached(opened.json()["position"] + 1, 1)
    task = next(each for each in house.world.tasks.values() if each.status == "leased" and each.job == job)
    secret = secret_of(task.owner)
    raw = tuple([await house.put(secret, f"tile {n}".encode()) for n in range(task.tiles)])
    command = proof.Commit(
        worker=task.worker,
        task=task.id,
        fence=task.fence,
        raw=raw,
        raw_bytes=24,
        seconds_us=1,
        build="mitsuba-3.9.1",
        device="cpu",
        signature=DUMMY,
    )
    return task.id, house.signed(command, task.owner), secret


async def test_a_scene_is_looked_at_before_the_ledger_hears_of_the_job() -> None:
    async with running(people()) as house:
        secret, fields = secret_of(people().creator), await job_fields(house)
        too_many = await house.post(secret, "/v1/jobs", fields | {"frames": 3})
        house.scene_fault = ("plugin", "frame-0.xml, line 3: no such plugin")
        refused = await house.post(secret, "/v1/jobs", fields)
        unknown = await house.post(secret, "/v1/jobs", fields | {"manifest_sha256": "0" * 64})
        other = secret_of(owner(people(), people().workers["fast"]))
        await house.post(other, "/v1/me/account", {"roles_added": ["creator"]})
        foreign = await house.post(other, "/v1/jobs", fields)

        assert (problem(too_many), too_many.json()["field"]) == ((422, "invalid"), "frames")
        assert (problem(refused), refused.json()["rule"]) == ((422, "scene_refused"), "plugin")
        assert "frame-0.xml, line 3" in refused.json()["reason"]
        assert [problem(unknown), problem(foreign)] == [(409, "not_uploaded")] * 2
        assert house.world.quoting == []
