"""The other process of the latency's benchmark: when did each event have its effect, or arrive?

``python -m bench.listener ours DATABASE_URL`` is renewals with its consumer of groups; ``bare TOPIC`` is aiokafka alone.
``COVEY_KAFKA_...`` say where Kafka is. Writes "ready"; asked for so many events, it writes {event ID: when}, in seconds of
the monotonic clock, once it has them, and ends.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from aiokafka import AIOKafkaConsumer, TopicPartition
from covey_chassis.consumer import Arrived, Consumer, HandlerOfMany
from covey_chassis.kafka import connection
from covey_chassis.running import Running
from covey_chassis.settings import KafkaSettings, Role
from covey_chassis.testing.broker import eventually, in_background
from covey_contracts import Event
from covey_renewals.app import service
from covey_renewals.consumers import groups
from covey_renewals.settings import RenewalsSettings
from pydantic import SecretStr
from sqlalchemy import event as events
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

ARRIVED = "arrived"
times: dict[str, float] = {}


async def main(how: str, *words: str) -> None:
    """Listen until there are as many as are asked for."""
    async with in_background({"ours": ours, "bare": bare}[how](*words)) as listening:
        asking = asyncio.ensure_future(_asked())
        await asyncio.wait({listening, asking}, return_when=asyncio.FIRST_COMPLETED)
        if listening.done():
            raise RuntimeError("the listener ended by itself") from listening.exception()
        asked = await asking

        async def are_there() -> bool:
            return len(times) >= asked

        await eventually(are_there, within_s=120)
    print(json.dumps(times))


async def _asked() -> int:
    """For how many events' times: not read by a thread, which would hold up the end of a process whose listener failed."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return int(await reader.readline())


async def ours(database_url: str) -> None:
    """Renewals' consumer, whose transactions note when they were committed."""
    events.listen(Session, "after_commit", _note_commit)
    settings = RenewalsSettings(
        database_url=SecretStr(database_url),
        worker_database_url=SecretStr(database_url),
        kafka=KafkaSettings(),
        operator_token=SecretStr("an operator's token of a benchmark"),
        roles=frozenset({Role.CONSUMERS}),
    )
    running = Running(replace(service, consumers=[_noting(groups)], workers=[], acts=None), settings)

    async def is_ready() -> bool:
        return all([await check() is None for _, check in running.ready()])

    async with running.lifespan():
        await eventually(is_ready)
        print("ready", flush=True)
        await asyncio.Event().wait()


async def bare(topic: str) -> None:
    """Every record of the topic."""
    async with AIOKafkaConsumer(**connection(KafkaSettings()), enable_auto_commit=False) as consumer:
        await consumer._client.add_topic(topic)
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        print("ready", flush=True)
        while True:
            for found in (await consumer.getmany(timeout_ms=1000)).values():
                now = time.monotonic()
                times.update((dict(record.headers)["ce_id"].decode(), now) for record in found)


def _noting(consumer: Consumer) -> Consumer:
    """The same consumer, whose sessions know which events they have the effects of."""
    noting = Consumer(consumer.name, since="beginning", records_at_once=consumer.records_at_once)
    for kind, handler in consumer.handlers.values():
        noting.on_many(kind)(partial(_handle, handler))
    return noting


async def _handle(handler: HandlerOfMany[Event], session: AsyncSession, arrived: Sequence[Arrived[Event]]) -> None:
    await handler(session, arrived)
    session.info.setdefault(ARRIVED, []).extend(each.envelope.id for each in arrived)


def _note_commit(session: Session) -> None:
    now = time.monotonic()
    times.update(dict.fromkeys(session.info.pop(ARRIVED, ()), now))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
