"""`PERSISTENCE_MODULE=gridledger.adapters.library.kafka`: a ledger in Kafka, in a topic of the application's own.

`GRIDLEDGER_KAFKA_BOOTSTRAP` names the servers, `GRIDLEDGER_KAFKA_PROPERTIES` more settings of librdkafka, as a JSON object."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec

from adapters.kafka.log import KafkaLog
from adapters.kafka.topic import Exists, KafkaTopic
from adapters.library import factory
from adapters.library.ledger import Open, Opened
from adapters.library.origin import start
from domain.ids import LogId

SERVERS, PROPERTIES = "GRIDLEDGER_KAFKA_BOOTSTRAP", "GRIDLEDGER_KAFKA_PROPERTIES"
ANY = LogId("0" * 32)
"""For whoever only wants to know what a log begins with."""
TRIES_MAX, RETRY_S = 200, 0.05


class KafkaFactory(factory.LedgerFactory):
    def place(self) -> Open:
        servers, name, creates = self.required(SERVERS), f"gridledger.{self.name}.log", self.creates
        properties = msgspec.json.decode(self.env.get(PROPERTIES, "{}"), type=dict[str, str | int | float | bool])

        @asynccontextmanager
        async def opened() -> AsyncIterator[Opened]:
            topic = KafkaTopic(servers, name, properties)
            if creates:
                await make(topic)
            await topic.check()
            async with KafkaLog(servers, topic, ANY, properties=properties) as first:
                head = await start(first, await topic.home())
            async with KafkaLog(servers, topic, head.log, properties=properties) as log:
                yield Opened(log, head, topic.watch(lambda: log.reached))

        return opened


async def make(topic: KafkaTopic) -> None:
    """Unless it is there. Returns when every broker may be asked about it; raises `Unreachable`, `Unsafe`."""
    if await topic.exists():
        return
    with suppress(Exists):
        await topic.create()
    for _ in range(TRIES_MAX):
        if await topic.exists():
            return
        await asyncio.sleep(RETRY_S)
