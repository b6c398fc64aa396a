"""From a running platform to evidence: a mark before, and a collection of all that has come to be since then."""

import importlib
import json
import zlib
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from sys import intern
from typing import Any

import asyncpg
import httpx
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from covey_chassis.envelope import Unreadable, from_headers
from covey_chassis.kafka import connection
from covey_chassis.service import Service
from covey_chassis.settings import KafkaSettings
from covey_chassis.testing.broker import admin, eventually
from covey_contracts.renewals import RenewalAvailable
from covey_local import topology
from covey_local.databases import connected

from tests.resilience.platform import Platform

from .case import has_old_number
from .effects import database_url
from .evidence import DeadLetter, Effect, Evidence, Letter, Mail, Parked, Poison, Rec, RelayAct, Removal, Sample
from .history import read_histories

TOPICS = "covey."
"""How the names of all topics begin."""
AVAILABLE = RenewalAvailable.topic.name
FETCH_MS = 500


@dataclass(frozen=True)
class Mark:
    """Where everything stood, at a moment when nothing was under way."""

    at: dict[str, datetime]
    """By each service's database clock."""
    ends: dict[TopicPartition, int]
    serials: dict[str, tuple[int, int]]
    """The last notes of effects and of relays' acts, by service."""
    sequences: dict[tuple[str, str], int]
    """Of every aggregate, by service and ID."""
    settled: list[str]
    """The messages that were sent, or given up, by their IDs. Their own times are by a clock that a fault may move."""
    last_mail: int


def services() -> list[Service]:
    """What each service is made of."""
    return [importlib.import_module(f"{each.package}.app").service for each in topology.SERVICES]


async def mark(platform: Platform) -> Mark:
    """Where everything stands. Take it while nobody commands anything and all is at rest; ``effects`` are installed."""
    at: dict[str, datetime] = {}
    settled: list[str] = []
    serials: dict[str, tuple[int, int]] = {}
    sequences: dict[tuple[str, str], int] = {}
    for name in platform.stack.run["services"]:
        async with _database(platform, name) as database:
            at[name] = await database.fetchval("SELECT clock_timestamp()")
            serials[name] = tuple(await database.fetchrow(LAST_NOTES))
            sequences |= {(name, aggregate): sequence async for aggregate, sequence in _sequences(database)}
            if name == "notifications":
                settled = [row["message_id"] for row in await database.fetch(SETTLED)]
    async with _kafka(platform) as kafka:
        ends = await kafka.end_offsets(await partitions(platform.stack.infrastructure.kafka_settings))
    last_mail = max((int(mail["index"]) for mail in await _mails(platform, after=-1)), default=-1)
    return Mark(at, ends, serials, sequences, settled, last_mail)


async def collect(
    platform: Platform,
    since: Mark,
    *,
    histories: Iterable[Path],
    samples: Iterable[Sample] = (),
    poisons: Iterable[Poison] = (),
    restored: Iterable[str] = (),
    recovery_s: float | None = None,
) -> Evidence:
    """All that has come to be since the mark. Call it once everything is at rest. ``rebuilt`` is what ``rebuild`` finds."""
    evidence = Evidence(
        ops=read_histories(histories),
        samples=list(samples),
        poisons=list(poisons),
        restored=frozenset(restored),
        recovery_s=recovery_s,
        subscriptions={
            consumer.name: frozenset(consumer.topics) for service in services() for consumer in service.consumers
        },
    )
    async with _kafka(platform) as kafka:
        ends = await kafka.end_offsets(await partitions(platform.stack.infrastructure.kafka_settings))
        evidence.ends = {(place.topic, place.partition): end for place, end in ends.items()}
        async for record in _records(kafka, since.ends, ends):
            rec = _rec(record)
            evidence.records.append(rec)
            if rec.type == AVAILABLE:
                evidence.plan_years[rec.id] = _plan_year(record)
    event_ids = {record.id: record.id for record in evidence.records}  # so that each is in memory once
    told = {(record.source.removeprefix("/"), record.key) for record in evidence.records}
    for name in platform.stack.run["services"]:
        async with _database(platform, name) as database, database.transaction():
            await _add_messages(evidence, database, since.at[name])
            await _add_inbox(evidence, database, since.at[name], event_ids)
            await _add_notes(evidence, database, name, since.serials[name])
            async for aggregate, sequence in _sequences(database):
                before = since.sequences.get((name, aggregate), 0)
                if sequence != before or (name, aggregate) in told:
                    evidence.sequences[name, aggregate] = (before, sequence)
            if name == "identity":
                ids = [op.id for op in evidence.ops if op.is_command]
                evidence.audited = dict(await database.fetch(AUDITED, ids))
                evidence.removals = [Removal(*row) for row in await database.fetch(REMOVALS, since.at[name])]
            if name == "notifications":
                mails = await _mails(platform, after=since.last_mail)
                evidence.mails = [Mail(mail["message_id"], ", ".join(mail["to"])) for mail in mails]
                sent = [mail.message_id for mail in evidence.mails]
                evidence.letters = await letters(database, since.at[name], since.settled, sent)
    old = [record for record in evidence.records if record.id and has_old_number(record, evidence.sequences)]
    if old:
        async with _kafka(platform) as kafka:
            evidence.told_before = await _told_before(kafka, since.ends, old)
    return evidence


# --- databases ---


def _database(platform: Platform, service: str) -> AbstractAsyncContextManager[asyncpg.Connection]:
    return connected(database_url(platform.stack.infrastructure.admin_url, service))


async def _sequences(database: asyncpg.Connection) -> AsyncIterator[tuple[str, int]]:
    """The aggregates of a service, with their sequences."""
    for table, key in await database.fetch(AGGREGATES):
        async with database.transaction():
            async for row in database.cursor(f"SELECT {key}::text, sequence FROM public.{table}", prefetch=5000):
                yield row[0], row[1]


async def _add_inbox(
    evidence: Evidence, database: asyncpg.Connection, since: datetime, event_ids: dict[str, str]
) -> None:
    """Which of the events each of the service's consumers has taken."""
    entered: dict[str, dict[str, int]] = {}
    async for consumer, event_id in database.cursor(INBOX, since, prefetch=5000):
        if event_id in event_ids:
            taken = entered.setdefault(consumer, {})
            taken[event_ids[event_id]] = taken.get(event_id, 0) + 1
    for (consumer,) in await database.fetch("SELECT DISTINCT consumer FROM position"):
        taken = entered.setdefault(consumer, {})
        types = evidence.subscriptions.get(consumer, ())
        left = {rec.id: rec.source for rec in evidence.records if rec.type in types and rec.id not in taken}
        for (event_id,) in await database.fetch(EARLIER, consumer, list(set(left.values())), list(left)):
            taken[event_ids[event_id]] = 1  # a copy of what was taken long before
    evidence.inbox |= entered


async def _add_messages(evidence: Evidence, database: asyncpg.Connection, since: datetime) -> None:
    """What else the service's messaging tables hold."""
    evidence.committed |= {row[0] for row in await database.fetch(COMMITTED, since)}
    evidence.parked += [Parked(*row) for row in await database.fetch(PARKED)]
    evidence.dead_letters += [DeadLetter(*row) for row in await database.fetch(DEAD_LETTERS, since)]
    evidence.outbox_left += await database.fetchval("SELECT count(*) FROM outbox")
    for consumer, topic, partition, offset in await database.fetch(POSITIONS):
        evidence.positions[consumer, topic, partition] = offset


async def _add_notes(evidence: Evidence, database: asyncpg.Connection, service: str, since: tuple[int, int]) -> None:
    """What the triggers noted."""
    async for table, serial, subject, sequence, at in database.cursor(EFFECTS, since[0], prefetch=5000):
        evidence.effects.append(Effect(service, intern(table), serial, intern(subject), sequence, at))
    evidence.relay_acts += [RelayAct(service, *row) for row in await database.fetch(RELAY_ACTS, since[1])]


AUDITED = """
    SELECT correlation_id, count(*) FROM audit_entry
     WHERE outcome = 'done' AND correlation_id = ANY($1)
       AND act ~ '^(membership|transactions|renewals|notifications)[.]'
     GROUP BY correlation_id
"""
AGGREGATES = """
    SELECT quote_ident(c.relname), quote_ident(k.attname)
      FROM pg_index i
      JOIN pg_class c ON c.oid = i.indrelid
      JOIN pg_attribute k ON k.attrelid = c.oid AND k.attnum = i.indkey[0]
     WHERE i.indisprimary AND i.indnatts = 1 AND c.relnamespace = 'public'::regnamespace
       AND 2 = (SELECT count(*) FROM pg_attribute WHERE attrelid = c.oid AND attname IN ('version', 'sequence'))
"""
LAST_NOTES = """
    SELECT (SELECT coalesce(max(serial), 0) FROM faults.effect),
           (SELECT coalesce(max(serial), 0) FROM faults.relay_act)
"""
EFFECTS = """
    SELECT in_table, serial, subject, sequence, extract(epoch FROM at)::float8
      FROM faults.effect WHERE serial > $1 ORDER BY serial
"""
RELAY_ACTS = "SELECT serial, backend, act, fence, rows FROM faults.relay_act WHERE serial > $1 ORDER BY serial"
INBOX = "SELECT consumer, event_id FROM inbox WHERE at > $1::timestamptz - interval '1 minute'"
EARLIER = """
    SELECT event_id FROM inbox
     WHERE consumer = $1::text AND source = ANY($2::text[]) AND event_id = ANY($3::text[])
"""
COMMITTED = "SELECT idempotency_key FROM stored_answer WHERE at > $1::timestamptz - interval '1 minute'"
PARKED = "SELECT consumer, key, event_id, state FROM parked JOIN parked_key USING (consumer, key) ORDER BY parked.id"
DEAD_LETTERS = """
    SELECT consumer, topic, partition, "offset", key, payload FROM dead_letter WHERE at > $1 ORDER BY id
"""
POSITIONS = "SELECT consumer, topic, partition, next_offset FROM position"
REMOVALS = """
    SELECT extract(epoch FROM done_at - at)::float8, how FROM access_change
     WHERE kind = 'removed' AND done_at IS NOT NULL AND at > $1 ORDER BY id
"""
SETTLED = "SELECT message_id FROM notification WHERE status <> 'waiting'"
LETTERS = """
    SELECT message_id, status, about_event_id, recipient FROM notification
     WHERE (since > $1 AND NOT message_id = ANY($2::text[])) OR message_id = ANY($3::text[])
"""


async def letters(
    database: asyncpg.Connection, since: datetime, settled: Sequence[str], sent: Sequence[str]
) -> list[Letter]:
    """The messages that came to be since then, or went on, and those that the mail server has taken since."""
    return [Letter(*row) for row in await database.fetch(LETTERS, since, settled, sent)]


# --- Kafka ---


@asynccontextmanager
async def _kafka(platform: Platform) -> AsyncIterator[AIOKafkaConsumer]:
    kafka = AIOKafkaConsumer(
        **connection(platform.stack.infrastructure.kafka_settings),
        enable_auto_commit=False,
        max_partition_fetch_bytes=4 << 20,
    )
    await kafka.start()
    try:
        yield kafka
    finally:
        await kafka.stop()


async def partitions(kafka: KafkaSettings, topics: Iterable[str] | None = None) -> list[TopicPartition]:
    """All partitions of these topics, or of all of ours."""
    async with admin(kafka) as client:
        described = await client.describe_topics(None if topics is None else list(topics))
    return [
        TopicPartition(topic["topic"], partition["partition"])
        for topic in described
        if topics is not None or topic["topic"].startswith(TOPICS)
        for partition in topic["partitions"]
    ]


async def _records(
    kafka: AIOKafkaConsumer, begins: dict[TopicPartition, int], ends: dict[TopicPartition, int]
) -> AsyncIterator[ConsumerRecord]:
    """Everything between, in each partition in the order of offsets."""
    left = {place: begins.get(place, 0) for place, end in ends.items() if begins.get(place, 0) < end}
    while left:
        for record in await _fetched(kafka, left):
            place = TopicPartition(record.topic, record.partition)
            if place in left:
                yield record
                left[place] = record.offset + 1
                if left[place] >= ends[place]:
                    del left[place]


async def _told_before(kafka: AIOKafkaConsumer, ends: dict[TopicPartition, int], records: Iterable[Rec]) -> set[str]:
    """IDs of those of these events that lie before the ends, too."""
    wanted = {record.id for record in records}
    lanes = {TopicPartition(record.topic, record.partition) for record in records}
    earlier = _records(kafka, {}, {place: end for place, end in ends.items() if place in lanes})
    return {event_id async for record in earlier if (event_id := _rec(record).id) in wanted}


async def _fetched(kafka: AIOKafkaConsumer, left: dict[TopicPartition, int]) -> list[ConsumerRecord]:
    """Some more records from there. aiokafka fails for a whole fetch when a header's name is not text: then one by one."""
    if kafka.assignment() != left.keys():
        kafka.assign(list(left))
        for place, offset in left.items():
            kafka.seek(place, offset)
    try:
        return [record for found in (await kafka.getmany(timeout_ms=FETCH_MS)).values() for record in found]
    except UnicodeDecodeError:
        return [record async for record in _one_of_each(kafka, left)]


async def _one_of_each(kafka: AIOKafkaConsumer, left: dict[TopicPartition, int]) -> AsyncIterator[ConsumerRecord]:
    for place, offset in left.items():
        kafka.seek(place, offset)
    for place, offset in list(left.items()):
        try:
            found = (await kafka.getmany(place, timeout_ms=FETCH_MS, max_records=1)).get(place, ())
        except UnicodeDecodeError:
            kafka.seek(place, offset + 1)
            yield ConsumerRecord(*place, offset, 0, 0, None, None, None, -1, -1, ())
        else:
            for record in found:
                yield record


def _rec(record: ConsumerRecord) -> Rec:
    place = (record.topic, record.partition, record.offset)
    key = (record.key or b"").decode(errors="replace")
    content = zlib.crc32(record.value or b"")
    try:
        envelope = from_headers(record.headers)
    except Unreadable:
        return Rec(*place, key, "", "", "", None, "", None, 0.0, content)
    return Rec(
        *place,
        intern(key),
        envelope.id,
        intern(envelope.source),
        intern(envelope.type),
        envelope.sequence,
        envelope.correlation_id,
        envelope.causation_id,
        envelope.time.timestamp(),
        content,
    )


def _plan_year(record: ConsumerRecord) -> tuple[str, int]:
    said = json.loads(record.value)
    return said["group_id"], said["plan_year"]


# --- mail ---


async def _mails(platform: Platform, *, after: int) -> list[dict[str, Any]]:
    async def answer() -> httpx.Response | None:
        with suppress(httpx.TransportError):  # a connection that was kept may be closed just when it is used again
            return await platform.http.get(f"{platform.stack.run['mail']}/messages", params={"after": after})
        return None

    answered = await eventually(answer)
    assert answered is not None
    mails: list[dict[str, Any]] = answered.raise_for_status().json()
    return mails
