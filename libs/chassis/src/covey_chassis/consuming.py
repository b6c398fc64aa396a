"""From Kafka's records to effects, once each: positions, inbox, handlers and reactions in one transaction for a batch.

The batch's transaction begins by moving the consumer's stored positions, so that of two
processes that both believe to own a partition only one can commit (``Fenced``), and a database that was restored to an
earlier state reads again what it has lost. The inbox catches records that were sent twice.

A batch is tried at once and without savepoints; only if it fails is it run again, record by record, each in a savepoint. A
record that a handler or the model refuses parks its key (``covey_chassis.parking``); what cannot be read at all goes to the
dead letters as it came; what passes by itself (``covey_chassis.transient``) is raised: the batch is run again, nothing is
parked.
"""

import base64
import json
from collections import Counter as Count
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import structlog
from prometheus_client import Counter
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from covey_chassis import parking
from covey_chassis.consumer import Consumer, Message, Record, handle, read
from covey_chassis.db import Database
from covey_chassis.envelope import Envelope, Unreadable, storable
from covey_chassis.failpoints import failpoint
from covey_chassis.transient import is_transient

log = structlog.get_logger(__name__)

HANDLED = Counter("covey_consumer_records_total", "Records by what became of them", ["consumer", "topic", "outcome"])


class Fenced(Exception):
    """The stored positions are not where this process left them: somebody else has moved on, or the database went back."""


@dataclass(frozen=True)
class Span:
    """A stretch of one partition: the records from ``start`` up to, not including, ``next``."""

    topic: str
    partition: int
    start: int
    next: int


async def take(consumer: Consumer, database: Database, records: Sequence[Record], spans: Sequence[Span]) -> None:
    """Have the effects of a batch, and move the stored positions past it, in one transaction.

    Raises:
        Fenced: the stored positions do not fit the spans. Nothing was done.
        Exception: what passes by itself (``is_transient``). Nothing was done; run it again.
    """
    messages: list[Message] = []
    unknown: Count[str] = Count()
    unreadable: list[tuple[Record, str]] = []
    for record in records:
        try:
            message = read(consumer, record)
            if message is None:
                unknown[record.topic] += 1
            else:
                messages.append(message)
        except Unreadable as error:
            unreadable.append((record, str(error)))
    try:
        outcomes = await _attempt(consumer, database, messages, unreadable, spans, careful=False)
    except Exception as error:
        if isinstance(error, Fenced) or is_transient(error):
            raise
        outcomes = await _attempt(consumer, database, messages, unreadable, spans, careful=True)
    for (topic, outcome), number in outcomes.items():
        HANDLED.labels(consumer.name, topic, outcome).inc(number)
    for topic, number in unknown.items():
        HANDLED.labels(consumer.name, topic, "unknown").inc(number)
    await failpoint("consumer.after_commit")


async def _attempt(
    consumer: Consumer,
    database: Database,
    messages: Sequence[Message],
    unreadable: Sequence[tuple[Record, str]],
    spans: Sequence[Span],
    *,
    careful: bool,
) -> Count[tuple[str, str]]:
    outcomes: Count[tuple[str, str]] = Count()
    async with database.transaction() as session:
        await move_positions(session, consumer, spans)
        await _bury(session, consumer, unreadable)
        outcomes.update((record.topic, "unreadable") for record, _ in unreadable)
        fresh = await _enter_inbox(session, consumer, messages)
        waiting = await parking.waiting_keys(session, consumer.name, {message.key for message in messages})
        due: list[Message] = []
        for message in messages:
            identity = (message.envelope.source, message.envelope.id)
            if identity not in fresh:
                outcome = "duplicate"
            elif message.key in waiting:
                fresh.discard(identity)
                await parking.queue(session, consumer.name, message)
                outcome = "queued"
            else:
                fresh.discard(identity)
                if not careful:
                    due.append(message)
                    outcome = "done"
                elif refusal := await _refusal(session, consumer, message):
                    await parking.park(session, consumer.name, message, refusal)
                    waiting.add(message.key)
                    outcome = "parked"
                else:
                    outcome = "done"
            outcomes[message.record.topic, outcome] += 1
        await handle(session, consumer, [_taken(message) for message in due])
        await failpoint("consumer.before_commit")
    return outcomes


async def _refusal(session: AsyncSession, consumer: Consumer, message: Message) -> Exception | None:
    """Run the handler of one message, in a savepoint. What refuses the record, which has left no trace then."""
    try:
        async with session.begin_nested():
            await handle(session, consumer, [_taken(message)])
    except Exception as error:
        if is_transient(error):
            raise
        return error
    return None


def _taken(message: Message) -> tuple[Envelope, bytes]:
    return message.envelope, message.record.value or b""


async def move_positions(session: AsyncSession, consumer: Consumer, spans: Sequence[Span]) -> None:
    """Move the stored positions from each span's start to its end.

    Raises:
        Fenced: one of them is not at its span's start.
    """
    moved = await session.execute(
        text(
            """
            UPDATE position SET next_offset = span.next
              FROM unnest(CAST(:topics AS text[]), CAST(:partitions AS int[]),
                          CAST(:starts AS bigint[]), CAST(:nexts AS bigint[])) AS span (topic, partition, start, next)
             WHERE consumer = :consumer AND position.topic = span.topic AND position.partition = span.partition
               AND next_offset = span.start
            RETURNING 1
            """
        ),
        {
            "consumer": consumer.name,
            "topics": [span.topic for span in spans],
            "partitions": [span.partition for span in spans],
            "starts": [span.start for span in spans],
            "nexts": [span.next for span in spans],
        },
    )
    if len(moved.all()) != len(spans):
        raise Fenced


async def _enter_inbox(session: AsyncSession, consumer: Consumer, messages: Sequence[Message]) -> set[tuple[str, str]]:
    """Note the arrivals; the (source, event ID) of those that had not arrived before.

    Waits for another transaction that is entering the same event: it commits, and this is a duplicate, or it does not.
    """
    if not messages:
        return set()
    entered = await session.execute(
        text(
            """
            INSERT INTO inbox (consumer, source, event_id)
            SELECT :consumer, source, event_id
              FROM unnest(CAST(:sources AS text[]), CAST(:event_ids AS text[])) AS arrived (source, event_id)
            ON CONFLICT DO NOTHING
            RETURNING source, event_id
            """
        ),
        {
            "consumer": consumer.name,
            "sources": [message.envelope.source for message in messages],
            "event_ids": [message.envelope.id for message in messages],
        },
    )
    return {(row.source, row.event_id) for row in entered}


async def _bury(session: AsyncSession, consumer: Consumer, unreadable: Iterable[tuple[Record, str]]) -> None:
    """Keep what cannot be read, byte for byte, for an operator."""
    rows = [
        {
            "consumer": consumer.name,
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "key": record.key,
            "headers": json.dumps(
                [(storable(name), base64.b64encode(value or b"").decode()) for name, value in record.headers]
            ),
            "payload": record.value,
            "error": storable(error),
        }
        for record, error in unreadable
    ]
    if rows:
        log.error("consumer.unreadable", consumer=consumer.name, records=len(rows), error=rows[0]["error"])
        await session.execute(
            text(
                """
                INSERT INTO dead_letter (consumer, topic, partition, "offset", key, headers, payload, error)
                VALUES (:consumer, :topic, :partition, :offset, :key, CAST(:headers AS jsonb), :payload, :error)
                ON CONFLICT DO NOTHING
                """
            ),
            rows,
        )
