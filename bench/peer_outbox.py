"""faststream-outbox as its documents tell whoever needs order: one subscriber, one worker.

``python peer_outbox.py DATABASE_URL TOPIC EVENTS``, in an environment of its own, writes one line of JSON: the events that
it sent a second. ``COVEY_KAFKA_...`` say where Kafka is. It fetches and flushes by the page: its defaults are slower.
"""

import asyncio
import json
import os
import sys
import time

from faststream.kafka import KafkaBroker, KafkaResponse
from faststream.security import SASLScram512
from faststream_outbox import OutboxBroker, make_outbox_table  # type: ignore[import-not-found]
from faststream_outbox.annotations import OutboxMessage  # type: ignore[import-not-found]
from sqlalchemy import MetaData, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

FILL = text(
    """
    INSERT INTO outbox (queue, payload, headers)
    SELECT 'events', convert_to(rpad('{"said": "', 298, 'x') || '"}', 'UTF8'),
           jsonb_build_object('content-type', 'application/json', 'ce_type', CAST(:topic AS text),
                              'ce_id', uuidv7()::text, 'correlation_id', uuidv7()::text,
                              'ce_subject', md5((number % 500)::text)::uuid::text, 'ce_sequence', (number / 500 + 1)::text)
      FROM generate_series(0, :events - 1) AS number
    """
)


async def main(database_url: str, topic: str, events: int) -> None:
    """Send a first event, so that everything is connected; then the backlog, against the clock."""
    metadata = MetaData()
    table = make_outbox_table(metadata)
    engine = create_async_engine(database_url)
    outbox = OutboxBroker(engine, outbox_table=table)
    broker = KafkaBroker(
        os.environ["COVEY_KAFKA_BOOTSTRAP_SERVERS"],
        security=SASLScram512(os.environ["COVEY_KAFKA_SASL_USERNAME"], os.environ["COVEY_KAFKA_SASL_PASSWORD"]),
        acks="all",
        enable_idempotence=True,
    )

    @broker.publisher(topic)
    @outbox.subscriber(
        "events", max_workers=1, fetch_batch_size=500, terminal_flush_batch_size=100, min_fetch_interval=0.01
    )
    async def relay(body: dict[str, str], message: OutboxMessage) -> KafkaResponse:
        headers = {name: value for name, value in message.headers.items() if name.startswith("ce_")}
        return KafkaResponse(body, key=headers["ce_subject"].encode(), headers=headers)

    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
        await connection.execute(FILL, {"topic": topic, "events": 1})
    await broker.connect()
    await outbox.start()
    await _emptied(engine)
    async with engine.begin() as connection:
        await connection.execute(FILL, {"topic": topic, "events": events})
        await connection.execute(text("SELECT pg_notify('outbox_outbox', 'events')"))
    began = time.perf_counter()
    await _emptied(engine)
    took_s = time.perf_counter() - began
    await outbox.stop()
    await broker.stop()
    async with engine.begin() as connection:
        await connection.run_sync(metadata.drop_all)
    await engine.dispose()
    print(json.dumps({"rate": events / took_s}))


async def _emptied(engine: AsyncEngine) -> None:
    while True:
        async with engine.connect() as connection:
            if await connection.scalar(text("SELECT count(*) FROM outbox")) == 0:
                return
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3], int(sys.argv[3])))
