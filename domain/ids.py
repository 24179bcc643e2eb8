"""Names of things. An id is a position: `job-1042` was made by event 1042 of the log. Whoever knows an id was told it after the log had
that event, so one number separates what never was from what is over."""

from hashlib import sha256
from typing import NewType

LogId = NewType("LogId", str)
CommandId = NewType("CommandId", str)
Actor = NewType("Actor", str)
AccountId = NewType("AccountId", Actor)
WorkerId = NewType("WorkerId", Actor)
JobId = NewType("JobId", str)
TaskId = NewType("TaskId", str)
"""`job-1042/17`, or a bench: `bench-74`."""
AuditId = NewType("AuditId", str)
BeaconId = NewType("BeaconId", str)
DepositId = NewType("DepositId", str)
PayoutId = NewType("PayoutId", str)
BatchId = NewType("BatchId", str)

HOUSE = Actor("house")
NO_ACCOUNT = AccountId(Actor(""))
NO_WORKER = WorkerId(Actor(""))
NO_JOB = JobId("")
NO_AUDIT = AuditId("")


def command_id(actor: Actor, key: str) -> CommandId:
    """Callers choose keys, so a key counts for its caller only, and is never written down as it is (LOG.md §2)."""
    return CommandId(sha256(f"{actor}\0{key}".encode()).hexdigest()[:32])


def account_id(pos: int) -> AccountId:
    return AccountId(Actor(f"account-{pos}"))


def worker_id(pos: int) -> WorkerId:
    return WorkerId(Actor(f"worker-{pos}"))


def job_id(pos: int) -> JobId:
    return JobId(f"job-{pos}")


def task_id(job: JobId, number: int) -> TaskId:
    return TaskId(f"{job}/{number}")


def bench_id(pos: int) -> TaskId:
    return TaskId(f"bench-{pos}")


def order(id: str) -> tuple[int, int]:
    """(position, number within it): ids sort by number, never by text."""
    position, _, number = id.partition("-")[2].partition("/")
    return int(position), int(number or 0)


def position(id: str) -> int:
    """Of the event that made the thing; of a task: its job."""
    return order(id)[0]
