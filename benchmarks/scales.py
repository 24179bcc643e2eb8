"""What a folded ledger weighs: `python -m benchmarks.scales URI LOG EVENTS LIVE` prints resident KiB at half of the events, at all of
them, and with so many more live tasks."""

import asyncio
import gc
import sys
import time
from contextlib import aclosing
from pathlib import Path

from adapters.log.postgres import PostgresLog
from adapters.succession import fold
from benchmarks.seeds import CHEAP, Press, owner_of, submission
from domain.ids import LogId, job_id
from domain.log.ledger import Ledger
from domain.log.merkle import Head
from domain.work import job

TASKS_OF_A_JOB = 10_000


def resident_kib() -> int:
    gc.collect()
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1])


async def main(uri: str, id: LogId, events: int, live: int) -> None:
    ledger, half = Ledger(Head(id)), 0
    async with PostgresLog(uri) as log, aclosing(log.read()) as records:
        async for record in records:
            fold(ledger, record)
            if not half and ledger.head.size >= events // 2:
                half = resident_kib()
    whole, press = resident_kib(), Press(ledger)
    press.now_us = max(press.now_us, time.time_ns() // 1000)
    owner = owner_of(ledger.world)
    wanted = submission(CHEAP).model_copy(update={"frames": TASKS_OF_A_JOB})
    for _ in range(live // TASKS_OF_A_JOB):
        _, (position,) = press.block([press.keyed(owner, wanted, owner)])
        press.block([press.keyed(owner, job.Open(job=job_id(position)), owner)])
    print(half, whole, resident_kib())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], LogId(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
