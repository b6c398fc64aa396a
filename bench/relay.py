"""``relay``: from the outbox to Kafka, events a second. The limit is aiokafka that is handed the same records, one by one.

Both send through the same idempotent producer's settings to a fresh topic; after each round the topic is read, and every
key's events must be there once and in order. Neither's connections are part of the time: both have sent before. The limit
does not wait between its sends, as anybody's producer would; it could be handed batches, too, which is what ours does.
"""

import asyncio
import time
from functools import partial

import asyncpg
from aiokafka import AIOKafkaProducer
from covey_chassis.envelope import Envelope, Headers, to_headers
from covey_chassis.kafka import connection
from covey_chassis.outgoing import PRODUCER
from covey_chassis.relay import SENT, Relay
from covey_chassis.testing.broker import in_background, scalar
from covey_local.databases import DatabaseUrls

from bench import outbox, peers
from bench.figure import Figure, growth
from bench.rounds import interleaved
from bench.stand import Stand

EVENTS = 20_000
PEERS_EVENTS = 2_000
BACKLOGS = (1_000, 10_000, 100_000)


async def measure(stand: Stand) -> list[Figure]:
    async with stand.database() as database:
        events = stand.size(EVENTS)
        rates = await interleaved(
            stand.rounds,
            {
                "ours": partial(_ours, stand, database, events),
                "limit": partial(_limit, stand, database, events),
                "peer": partial(_peer, stand, stand.size(PEERS_EVENTS)),
            },
        )
        return [
            Figure(
                what="outbox to Kafka, against aiokafka's send() for each record",
                unit="events/s",
                ours=rates["ours"],
                limit=rates["limit"],
                at_least=0.8,
                note="Ours hands over whole batches; what remains is reading and deleting the rows, and their headers.",
            ),
            Figure(
                what="outbox to Kafka, against faststream-outbox",
                unit="events/s",
                ours=rates["ours"],
                peer=rates["peer"],
                at_least=20,
                note="The peer keeps an order with one worker only, which waits for each event by itself.",
            ),
            *await _growth(stand, database),
        ]


async def _growth(stand: Stand, database: DatabaseUrls) -> list[Figure]:
    """What one event costs when ten times and a hundred times as many wait."""
    sizes = [stand.size(size) for size in BACKLOGS]
    rates = await interleaved(
        max(1, stand.rounds - 2), {str(size): partial(_ours, stand, database, size) for size in sizes}
    )
    costs_us = [1e6 / rates[str(size)] for size in sizes]
    return growth("cost of an event", sizes, costs_us)


async def _ours(stand: Stand, database: DatabaseUrls, events: int) -> float:
    topic = await stand.topic()
    relay = Relay(service="chassis", database_url=database.worker, kafka=stand.kafka)
    async with in_background(relay.run()):
        await outbox.fill(database.worker, topic, outbox.KEYS)  # so that it knows the topic
        relay.wake()
        await _sent(topic, outbox.KEYS)
        await outbox.fill(database.worker, topic, events, before=outbox.KEYS)
        began = time.perf_counter()
        relay.wake()
        await _sent(topic, outbox.KEYS + events)
        took_s = time.perf_counter() - began
    await relay.release()
    assert await scalar(database.worker, "SELECT count(*) FROM outbox") == 0, "something was left in the outbox"
    await outbox.check_order(stand.kafka, topic, outbox.KEYS + events)
    return events / took_s


async def _sent(topic: str, events: int) -> None:
    """Wait until the relay counts so many as sent, and so as deleted."""
    while SENT.labels(topic)._value.get() < events:  # noqa: ASYNC110 - a counter wakes nobody
        await asyncio.sleep(0.001)


async def _limit(stand: Stand, database: DatabaseUrls, events: int) -> float:
    topic = await stand.topic()
    await outbox.fill(database.worker, topic, events)
    records = [_record(row) for row in await outbox.rows(database.worker)]
    await scalar(database.worker, "WITH gone AS (DELETE FROM outbox RETURNING 1) SELECT count(*) FROM gone")
    async with AIOKafkaProducer(**connection(stand.kafka), **PRODUCER) as producer:
        await producer.send_and_wait(await stand.topic(), b"the connection is there")
        await producer.partitions_for(topic)
        began = time.perf_counter()
        sent = [await producer.send(topic, value, key=key, headers=headers) for value, key, headers in records]
        await asyncio.gather(*sent)
        took_s = time.perf_counter() - began
    await outbox.check_order(stand.kafka, topic, events)
    return events / took_s


async def _peer(stand: Stand, events: int) -> float:
    topic = await stand.topic()
    async with stand.bare_database() as url:
        found = await peers.run("peer_outbox.py", url, topic, str(events), environment=stand.kafka.environment())
    return float(found["rate"])


def _record(row: asyncpg.Record) -> tuple[bytes, bytes, Headers]:
    """What the relay would send of the row."""
    envelope = Envelope(
        id=str(row["event_id"]),
        source="/chassis",
        type=row["topic"],
        time=row["occurred_at"],
        subject=row["key"],
        sequence=row["sequence"],
        correlation_id=row["correlation_id"],
        causation_id=None,
        traceparent=None,
    )
    return row["payload"], row["key"].encode(), to_headers(envelope)
