"""`PERSISTENCE_MODULE=gridledger.adapters.library.money.kafka`: the money ledger whose log is in Kafka.

`GRIDLEDGER_KAFKA_BOOTSTRAP` and `GRIDLEDGER_KAFKA_PROPERTIES` are as for applications (adapters/library/kafka.py), `GRIDLEDGER_LOG` is the
log's id.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from adapters.kafka.log import KafkaLog, topic_of
from adapters.kafka.topic import KafkaTopic
from adapters.library.ledger import Open, Opened
from adapters.library.money import reader
from domain.ids import LogId

SERVERS, PROPERTIES, LOG = "GRIDLEDGER_KAFKA_BOOTSTRAP", "GRIDLEDGER_KAFKA_PROPERTIES", "GRIDLEDGER_LOG"


class MoneyInKafkaFactory(reader.MoneyFactory):
    def place(self) -> Open:
        servers, id = self.required(SERVERS), LogId(self.required(LOG))
        properties = msgspec.json.decode(self.env.get(PROPERTIES, "{}"), type=dict[str, str | int | float | bool])

        @asynccontextmanager
        async def opened() -> AsyncIterator[Opened]:
            topic = KafkaTopic(servers, topic_of(id), properties)
            async with KafkaLog(servers, topic, id, properties=properties) as log:
                yield Opened(log, await reader.start(log), topic.watch(lambda: log.reached))

        return opened
