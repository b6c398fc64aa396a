"""A backlog in an outbox, and what must have become of it in Kafka."""

import asyncpg
from aiokafka import ConsumerRecord
from covey_chassis.settings import KafkaSettings
from covey_chassis.testing.broker import read_all

KEYS = 500
EVENT_BYTES = 300


async def fill(database_url: str, topic: str, events: int, *, before: int = 0) -> None:
    """So many events of 300 bytes in one commit, the keys in turn; ``before`` so many of this topic have been written."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(
            """
            INSERT INTO outbox (topic, key, sequence, occurred_at, correlation_id, payload)
            SELECT $1, md5((number % $3)::text)::uuid::text, number / $3 + 1, now(), uuidv7()::text,
                   convert_to(rpad('{"said": "', $4 - 2, 'x') || '"}', 'UTF8')
              FROM generate_series($5::int, $5 + $2 - 1) AS number
            """,
            topic,
            events,
            KEYS,
            EVENT_BYTES,
            before,
        )
    finally:
        await connection.close()


async def rows(database_url: str) -> list[asyncpg.Record]:
    """What waits, in the order in which it has to be sent."""
    connection = await asyncpg.connect(database_url)
    try:
        found: list[asyncpg.Record] = await connection.fetch("SELECT * FROM outbox ORDER BY id")
        return found
    finally:
        await connection.close()


async def check_order(kafka: KafkaSettings, topic: str, events: int) -> None:
    """Raises AssertionError unless each key's events are in the topic once, in their order, without a gap."""
    last: dict[bytes, int] = {}
    records: list[ConsumerRecord] = await read_all(kafka, topic)
    assert len(records) == events, f"{len(records)} records of {events} events"
    for record in records:
        sequence = int(dict(record.headers)["ce_sequence"])
        assert sequence == last.get(record.key, 0) + 1, f"{sequence} after {last.get(record.key, 0)}"
        last[record.key] = sequence
