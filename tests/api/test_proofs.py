"""What an outsider needs: heads, proofs that verify, the records as they are, the evidence of closed audits."""

import random
from collections.abc import AsyncIterator
from contextlib import aclosing

from api.proofs.tree import Tree
from domain.log import merkle
from domain.log.merkle import Head
from tests.api.house import House, people, problem, running, submitted


def grown(count: int) -> tuple[Tree, list[bytes]]:
    tree, leaves = Tree(), [b"leaf %d" % n for n in range(count)]
    for leaf in leaves:
        tree.add(leaf)
    return tree, leaves


def test_the_tree_with_a_memory_is_the_tree() -> None:
    tree, leaves = grown(70)
    hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
    for size in range(71):
        assert tree.root(size) == merkle.tree_hash(hashes[:size])
        assert [tree.inclusion(n, size) for n in range(size)] == [merkle.inclusion(hashes[:size], n) for n in range(size)]
        assert [tree.consistency(n, size) for n in range(size + 1)] == [merkle.consistency(hashes[:size], n) for n in range(size + 1)]


async def test_an_event_is_shown_to_be_in_the_log_and_a_changed_one_is_not() -> None:
    async with running(people()) as house:
        head = (await house.get("", "/v1/checkpoint")).json()
        for position in random.sample(range(1, head["size"] + 1), 10):
            line = (await house.get("", f"/v1/events/{position}")).content
            proof = (await house.get("", f"/v1/proof/{position}", params={"size": head["size"]})).json()
            path = [bytes.fromhex(node) for node in proof["path"]]

            assert merkle.includes(head["root"], head["size"], position - 1, line, path)
            assert not merkle.includes(head["root"], head["size"], position - 1, line + b" ", path)


async def test_a_later_head_is_shown_to_keep_an_earlier_one() -> None:
    async with running(people()) as house:
        first = (await house.get("", "/v1/checkpoint")).json()
        await submitted(house)
        second = (await house.get("", "/v1/checkpoint")).json()
        proof = (await house.get("", "/v1/consistency", params={"first": first["size"], "second": second["size"]})).json()
        path = [bytes.fromhex(node) for node in proof["path"]]

        assert second["size"] > first["size"]
        assert merkle.continues(first["size"], first["root"], second["size"], second["root"], path)
        assert (proof["first_root"], proof["second_root"]) == (first["root"], second["root"])


async def test_the_records_are_those_of_the_log_byte_for_byte() -> None:
    async with running(people()) as house:
        found = await house.get("", "/v1/log")
        tail = await house.get("", "/v1/log", params={"after": 100})

        assert found.content == b"".join(await records(house, 0))
        assert tail.content == b"".join(await records(house, 100)) != found.content
        assert Head(house.follower.head.log).extend(leaves(found.content)).root == house.follower.head.root


async def records(house: House, after: int) -> list[bytes]:
    async with aclosing(house.log.read(after)) as found:
        return [record async for record in found]


def leaves(text: bytes) -> list[bytes]:
    return [line for line in text.split(b"\n")[:-1] if not line.startswith(b'{"gridledger":')]


async def test_the_evidence_of_closed_audits_is_for_everybody_and_nothing_else_is() -> None:
    async with running(people()) as house:
        network = people().network
        closed = [each.event for each in network.events if each.event.verb() == "audit.closed"]
        shown = {name for each in network.events for name in getattr(each.event, "evidence_sha256", ())}
        raw = {name for each in network.events for name in getattr(each.event, "raw", ())}
        for name in shown | raw:
            await house.store.put(once(network.objects[name]))
        answers = {name: await house.get("", f"/v1/evidence/{name}") for name in shown | raw}

        assert closed
        assert {name for name, answer in answers.items() if answer.content == network.objects[name]} == shown
        assert {problem(answers[name]) for name in raw - shown} == {(404, "not_found")}


async def once(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def test_the_metrics_tell_where_the_ledger_stands() -> None:
    async with running(people()) as house:
        await house.get("", "/v1/jobs")
        text = (await house.get("", "/metrics")).text

        assert f"gridledger_head {float(house.follower.head.size)}" in text
        assert 'gridledger_projection_behind{projection="jobs"}' in text
        assert 'gridledger_request_seconds_count{method="GET",route="/v1/jobs",status="200"} 1.0' in text
        assert (await house.get("", "/readyz")).json() == {"status": "ready"}
