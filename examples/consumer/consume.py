"""Counts a ledger's events by type, each once, however often it comes: python consume.py BOOTSTRAP TOPIC FILE (docs/relay.md)."""

import sqlite3
import sys
from typing import Any

from confluent_kafka import Consumer, KafkaException

servers, topic, file = sys.argv[1:]
database = sqlite3.connect(file, timeout=60)
database.execute("CREATE TABLE IF NOT EXISTS taken (pos INTEGER PRIMARY KEY)")
database.execute("CREATE TABLE IF NOT EXISTS tally (type TEXT PRIMARY KEY, events INTEGER)")
consumer = Consumer({"bootstrap.servers": servers, "group.id": "tally", "enable.auto.commit": False, "auto.offset.reset": "earliest"})
consumer.subscribe([topic])
while True:
    for message in consumer.consume(1, 1):
        if fault := message.error():
            raise KafkaException(fault)
        headers: Any = dict(message.headers() or [])
        with database:  # one transaction: that the event was taken, and what comes of it
            if database.execute("INSERT OR IGNORE INTO taken VALUES (?)", (int(headers["pos"]),)).rowcount:
                count = "INSERT INTO tally VALUES (?, 1) ON CONFLICT (type) DO UPDATE SET events = events + 1"
                database.execute(count, (headers["type"].decode(),))
        consumer.commit(message=message, asynchronous=False)
