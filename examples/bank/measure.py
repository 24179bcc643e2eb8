"""What a ledger of the library costs here: python examples/bank/measure.py

It records and reads on the ledger that `PERSISTENCE_MODULE` names, as bank.py does, and prints one line for each figure. With nothing but
`PERSISTENCE_MODULE=eventsourcing.postgres` (and the library's own variables) it measures the library's own recorder in the same way."""

import os
import statistics
import time
import tracemalloc
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

from eventsourcing.application import Application
from eventsourcing.persistence import StoredEvent

ALONE, THREADS, EACH, BATCHES, SIZE = 300, 8, 60, 60, 100
STATE = os.urandom(75).hex().encode()
"""150 bytes, about what a small event takes."""


class Measured(Application[UUID]):
    pass


def events(number: int) -> list[StoredEvent]:
    id = uuid4()
    return [StoredEvent(id, version, "examples.bank.bank:Account.Moved", STATE) for version in range(1, number + 1)]


def durations(work: Callable[[], object], times: int) -> list[float]:
    found = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return found


def per_second(number: int, work: Callable[[], object]) -> str:
    return f"{number / sum(durations(work, 1)):,.0f}/s"


def told(name: str, value: str) -> None:
    print(f"{name:<58} {value:>12}", flush=True)


def median_ms(found: Sequence[float]) -> str:
    return f"{statistics.median(found) * 1000:.2f} ms"


def main() -> None:
    with Measured() as application:
        recorder = application.recorder
        durations(lambda: recorder.insert_events(events(1)), 20)
        told("one event, one writer, median", median_ms(durations(lambda: recorder.insert_events(events(1)), ALONE)))
        with ThreadPoolExecutor(THREADS) as pool:

            def all_at_once() -> None:
                list(pool.map(lambda _: recorder.insert_events(events(1)), range(THREADS * EACH)))

            told(f"calls of one event, {THREADS} writers", per_second(THREADS * EACH, all_at_once))
        told(
            f"events, {SIZE} in a call",
            per_second(BATCHES * SIZE, lambda: durations(lambda: recorder.insert_events(events(SIZE)), BATCHES)),
        )
        with recorder.subscribe(gt=recorder.max_notification_id()) as subscription:
            next_one = durations(lambda: (recorder.insert_events(events(1)), next(subscription)), 100)
        told("one event, recorded and heard by a subscription, median", median_ms(next_one))
        number = recorder.max_notification_id() or 0
    tracemalloc.start()
    with Measured() as again:
        if count := again.recorder.max_notification_id():
            traced = tracemalloc.get_traced_memory()[0]
            told("memory of an event, its 150 bytes of state included", f"{traced / count:,.0f} bytes")
            tracemalloc.stop()
    if not count:
        return
    started = time.perf_counter()
    with Measured() as again:
        again.recorder.max_notification_id()
        told(f"opened again, {number:,} events", f"{number / (time.perf_counter() - started):,.0f}/s")


if __name__ == "__main__":
    main()
