"""States as people see them: of each stored state the look (glyph and colour) and the word."""

from projections.explorer.jobs import Job
from projections.explorer.tasks import Attempt, Task
from projections.explorer.workers import Worker

LOOKS = {
    "accepted": ("accepted", "matured", "completed", "final", "online", "valid", "scored", "archived", "revealed", "credited"),
    "leased": ("leased", "open", "mined", "revealing"),
    "committed": ("committed", "sealed", "signed"),
    "auditing": ("auditing", "checking", "paused", "closing", "approved", "disputed", "freeze"),
    "overdue": ("overdue", "no_reply", "silent"),
    "rejected": ("rejected", "invalid", "dead", "failed", "quarantined", "error", "gate", "orphaned", "missed"),
}
LOOK = {word: look for look, words in LOOKS.items() for word in words}
WORDS = {"no_reply": "no reply", "ready": "waiting", "archived": "completed"}


def look(state: object) -> str:
    """The glyph of a state; whatever is not told apart waits."""
    return LOOK.get(str(state), "waiting")


def word(state: object) -> str:
    return WORDS.get(str(state), str(state))


def of_job(job: Job) -> str:
    """A closed job is what came of it."""
    return str(job.outcome) if job.status in {"closed", "archived"} else str(job.status)


def of_worker(worker: Worker, now_us: int) -> str:
    if (worker.quarantined_us or 0) > now_us:
        return "quarantined"
    return str(worker.presence)


def of_task(task: Task, now_us: int, expected_us: int) -> str:
    """A task that waits again after a rejection is shown as rejected, one that shows no proof as overdue."""
    if task.status == "ready" and task.rejected:
        return "rejected"
    if task.status == "leased" and is_overdue(now_us - (task.leased_us or 0), expected_us):
        return "overdue"
    return str(task.status)


def of_attempt(attempt: Attempt, now_us: int, expected_us: int) -> str:
    if attempt.status == "leased" and is_overdue(now_us - (attempt.leased_us or 0), expected_us):
        return "overdue"
    return str(attempt.status)


def is_overdue(elapsed_us: int, expected_us: int) -> bool:
    return elapsed_us > max(3 * expected_us, 3_000_000)
