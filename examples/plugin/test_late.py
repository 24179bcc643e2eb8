import asyncio

from gridledger.domain.event import Recorded
from gridledger.domain.ids import AccountId, Actor, CommandId, JobId, LogId, TaskId, WorkerId
from gridledger.domain.log.merkle import Head
from gridledger.domain.proof import proof
from gridledger.projections import plugins
from gridledger.projections.memory import MemoryViews
from gridledger.projections.row import Batch
from gridledger.projections.views import Move
from late import Late, LateProofs


def committed(pos: int, worker: str, *, late: bool) -> Recorded:
    who = WorkerId(Actor(worker)), AccountId(Actor("account-1"))
    event = proof.Committed(TaskId("job-1/1"), JobId("job-1"), 1, *who, "a/cpu", late, ("00" * 32,), 1, "", 1, "a", "cpu", "0x")
    return Recorded(pos, event.stream, pos, pos, CommandId("c"), (1, 1), who[0], event)


def test_late_proofs_are_counted_for_each_worker() -> None:
    batch, views, start = Batch(), MemoryViews(LateProofs()), Head(LogId("a" * 32))
    for pos, worker, late in ((1, "worker-2", True), (2, "worker-3", False), (3, "worker-2", True)):
        for change in LateProofs().fold(committed(pos, worker, late=late)):
            batch.add(change)
    asyncio.run(views.write(Move(LateProofs(), batch, start, start.extend([b"1", b"2", b"3"]))))
    page = asyncio.run(views.page(Late))

    assert page.rows == [Late("worker-2", 2)]
    assert page.position == 3


def test_the_server_finds_it_once_it_is_installed() -> None:
    assert [type(each) for each in plugins.load()] == [LateProofs]
