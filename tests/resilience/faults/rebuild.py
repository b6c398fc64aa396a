"""Copies are made again from the kept topics, in a database of their own, and compared row by row with the live ones.

The records go from the first one on through the chassis's own ``consuming.take`` to the services' own consumers.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from covey_chassis.clock import Clock
from covey_chassis.consumer import Consumer
from covey_chassis.consuming import Span, take
from covey_chassis.db import CLOCK, Database
from covey_chassis.kafka import connection
from covey_chassis.migrate import migrate
from covey_chassis.settings import KafkaSettings, ServiceSettings
from covey_local.databases import connected
from covey_renewals.use_cases.become_available import become_available

from tests.resilience.platform import Platform

from .collecting import partitions, services
from .effects import database_url
from .evidence import Rebuilt

SWEEP = "sweep"
"""Between consumers: what is due becomes available, as transactions can be followed only then."""
PAGE = 500
FETCH_MS = 500
NAMED = 10
"""So many rows that differ are named."""


@dataclass(frozen=True)
class Made:
    """How the copies of a service come to be: by which consumers, one after the other, and in which tables they are."""

    consumers: tuple[str, ...]
    tables: tuple[str, ...]
    made_up: tuple[str, ...] = ()
    """Columns that are not the same each time: what the service itself draws."""


COPIES = {
    "identity": Made(("identity.groups",), ("group_copy",)),
    "transactions": Made(
        ("transactions.groups", "transactions.renewals"), ("group_copy", "group_plan", "known_plan", "renewal_copy")
    ),
    "renewals": Made(
        ("renewals.groups", SWEEP, "renewals.firms", "renewals.transactions"),
        ("book", "firm", "appointment", "transaction_copy"),
        made_up=("renewal_id",),
    ),
    "notifications": Made(
        ("notifications.groups", "notifications.accounts"), ("group_copy", "account_copy", "appointment_copy")
    ),
}


async def rebuild(platform: Platform) -> list[Rebuilt]:
    """Make the copies of every service again. Call it once everything is at rest."""
    consumers = {consumer.name: consumer for service in services() for consumer in service.consumers}
    packages = {service.name: service.package for service in services()}
    found = []
    for name, made in COPIES.items():
        async with _database_again(platform, name, packages[name]) as (database, again):
            for step in made.consumers:
                if step == SWEEP:
                    await _sweep(database)
                else:
                    await take_all(consumers[step], database, platform.stack.infrastructure.kafka_settings)
            async with connected(database_url(platform.stack.infrastructure.admin_url, name)) as live:
                found += [await compare(f"{name}.{table}", live, again, made.made_up) for table in made.tables]
    return found


@asynccontextmanager
async def _database_again(
    platform: Platform, service: str, package: str
) -> AsyncIterator[tuple[Database, asyncpg.Connection]]:
    """An empty database of the service, with the live one's date; it is dropped afterwards."""
    infrastructure = platform.stack.infrastructure
    name = f"covey_{service}_again"
    await infrastructure.drop_database(name)
    urls = await infrastructure.create_database(service, database=name)
    await migrate(urls.owner, package, request_url=urls.request, worker_url=urls.worker)
    database = Database(urls.worker, Clock(ServiceSettings.model_fields["zone"].default))
    try:
        async with (
            connected(database_url(infrastructure.admin_url, service)) as live,
            connected(urls.owner) as again,
        ):
            days = await live.fetchval("SELECT offset_days FROM clock")
            await again.execute("UPDATE clock SET offset_days = $1", days)
            yield database, again
    finally:
        await database.close()
        await infrastructure.drop_database(name)


async def take_all(consumer: Consumer, database: Database, kafka: KafkaSettings) -> None:
    """Let a consumer of that database have the effects of all that its topics keep."""
    reader = AIOKafkaConsumer(**connection(kafka), enable_auto_commit=False, max_partition_fetch_bytes=4 << 20)
    await reader.start()
    try:
        places = await partitions(kafka, consumer.topics)
        begins, ends = await reader.beginning_offsets(places), await reader.end_offsets(places)
        await _store(database, consumer, begins)
        left = {place: begin for place, begin in begins.items() if begin < ends[place]}
        reader.assign(list(left))
        for place, begin in left.items():
            reader.seek(place, begin)
        while left:
            fetched = await reader.getmany(timeout_ms=FETCH_MS, max_records=consumer.records_at_once)
            for place, records in fetched.items():
                span = Span(place.topic, place.partition, left[place], records[-1].offset + 1)
                await take(consumer, database, records, [span])
                left[place] = span.next
                if span.next >= ends[place]:
                    del left[place]
                    reader.pause(place)
    finally:
        await reader.stop()


async def _store(database: Database, consumer: Consumer, begins: dict[TopicPartition, int]) -> None:
    async with database.transaction() as session:
        connection = await session.connection()
        for place, begin in begins.items():
            await connection.exec_driver_sql(
                "INSERT INTO position (consumer, topic, partition, next_offset) VALUES ($1, $2, $3, $4)",
                (consumer.name, place.topic, place.partition, begin),
            )


async def _sweep(database: Database) -> None:
    moved = PAGE
    while moved == PAGE:
        async with database.transaction() as session:
            clock: Clock = session.info[CLOCK]
            moved = await become_available(session, await clock.today(session), page=PAGE)


async def compare(
    name: str, live: asyncpg.Connection, again: asyncpg.Connection, made_up: Sequence[str] = ()
) -> Rebuilt:
    """The rows of a table in both databases, but for the columns that are made up."""
    table = name.partition(".")[2]
    query = f"SELECT (to_jsonb(t) - $1::text[])::text FROM public.{table} t"
    one = {row[0] for row in await live.fetch(query, list(made_up))}
    other = {row[0] for row in await again.fetch(query, list(made_up))}
    return Rebuilt(name, len(one), len(other), tuple(sorted(one ^ other)[:NAMED]))
