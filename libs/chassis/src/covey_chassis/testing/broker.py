"""What tests do to a real Kafka broker and a real outbox."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from covey_chassis.clock import Clock
from covey_chassis.envelope import Envelope, Headers, to_headers
from covey_chassis.ids import new_id
from covey_chassis.kafka import connection
from covey_chassis.settings import KafkaSettings

T = TypeVar("T")


async def eventually(probe: Callable[[], Awaitable[T]], *, within_s: float = 30) -> T:
    """The first truthy answer of the probe; AssertionError after the deadline."""
    deadline = time.monotonic() + within_s
    while not (answer := await probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s} s")
        await asyncio.sleep(0.02)
    return answer


@asynccontextmanager
async def admin(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin client for the block."""
    client = AIOKafkaAdminClient(**connection(kafka))
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def new_topic(kafka: KafkaSettings, *, partitions: int = 3, **configs: str) -> str:
    """A fresh topic; ``max_message_bytes="1000"`` and the like are its settings."""
    name = f"covey.toy.{new_id().hex}.v1"
    async with admin(kafka) as client:
        named = {key.replace("_", "."): value for key, value in configs.items()}
        await client.create_topics([NewTopic(name, partitions, 1, topic_configs=named)])

        async def there() -> bool:
            described = await client.describe_topics([name])
            return all(p["leader"] >= 0 for p in described[0]["partitions"]) and len(described[0]["partitions"]) > 0

        await eventually(there)
    return name


def headers(topic: str, key: str, *, sequence: int | None = None, event_id: str | None = None) -> Headers:
    """A right envelope, as Kafka headers."""
    return to_headers(
        Envelope(
            id=event_id or str(new_id()),
            source="/chassis",
            type=topic,
            time=Clock.now(),
            subject=key,
            sequence=sequence,
            correlation_id="conversation",
            causation_id=None,
            traceparent=None,
        )
    )


@asynccontextmanager
async def producing(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaProducer]:
    """A plain producer for the block."""
    producer = AIOKafkaProducer(**connection(kafka), acks="all")
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def read_all(kafka: KafkaSettings, topic: str) -> list[ConsumerRecord]:
    """Every record that the topic has now, partition by partition."""
    consumer = AIOKafkaConsumer(**connection(kafka), enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        if not partitions:
            await consumer._client.add_topic(topic)
            partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic))]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        begins = await consumer.beginning_offsets(partitions)
        records: list[ConsumerRecord] = []
        await consumer.seek_to_beginning(*partitions)
        missing = sum(ends[p] - begins[p] for p in partitions)
        while len(records) < missing:
            for found in (await consumer.getmany(timeout_ms=500)).values():
                records.extend(found)
        return sorted(records, key=lambda record: (record.partition, record.offset))
    finally:
        await consumer.stop()


async def put(database_url: str, topic: str, key: str, sequence: int, payload: bytes = b'{"face": 1}') -> None:
    """One row in the outbox."""
    connection = await asyncpg.connect(database_url)
    try:
        await insert(connection, topic, key, sequence, payload)
    finally:
        await connection.close()


async def insert(
    connection: asyncpg.Connection, topic: str, key: str, sequence: int, payload: bytes = b'{"face": 1}'
) -> None:
    """The same in the transaction of the connection."""
    await connection.execute(
        "INSERT INTO outbox (topic, key, sequence, occurred_at, correlation_id, payload)"
        " VALUES ($1, $2, $3, now(), 'conversation', $4)",
        topic,
        key,
        sequence,
        payload,
    )


async def scalar(database_url: str, query: str, *arguments: object) -> object:
    """The first column of the first row."""
    connection = await asyncpg.connect(database_url)
    try:
        return await connection.fetchval(query, *arguments)
    finally:
        await connection.close()


@asynccontextmanager
async def in_background(work: Awaitable[object]) -> AsyncIterator["asyncio.Task[object]"]:
    """The work goes on during the block, and is cancelled after it."""
    task = asyncio.ensure_future(work)
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task
