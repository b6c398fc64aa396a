"""Records that were refused wait behind their key, in order, while all other keys flow.

The first record that is refused parks its key for that consumer, over all its topics; later records of the key queue
behind it. A worker retries the head of each queue with growing pauses; when it succeeds the rest follows in order. After
``ATTEMPTS_MAX`` tries the key is dead, and waits for an operator. Kafka retry topics would let a later event of the same
key overtake; here none does.
"""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import structlog
from prometheus_client import Gauge
from pydantic import ValidationError
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from covey_chassis.consumer import Consumer, Message, faults, handle
from covey_chassis.db import Database
from covey_chassis.envelope import from_headers, storable
from covey_chassis.redaction import redacted_text
from covey_chassis.transient import is_transient

log = structlog.get_logger(__name__)

ATTEMPTS_MAX = 10
PAUSE_MAX_S = 300.0

PARKED = Gauge("covey_parked_keys", "Keys that wait behind a refused record", ["consumer", "state"])


def pause_s(attempts: int) -> float:
    """Seconds until the next try: 1, 2, 4, ... at most five minutes."""
    return float(min(2 ** max(attempts - 1, 0), PAUSE_MAX_S))


async def waiting_keys(session: AsyncSession, consumer: str, keys: set[str]) -> set[str]:
    """Which of the keys are parked. They stay locked: the worker cannot finish one while a record joins its queue."""
    found = await session.execute(
        text("SELECT key FROM parked_key WHERE consumer = :consumer AND key = ANY(:keys) ORDER BY key FOR UPDATE"),
        {"consumer": consumer, "keys": sorted(keys)},
    )
    return set(found.scalars())


async def park(session: AsyncSession, consumer: str, message: Message, refusal: Exception) -> None:
    """Park the message's key, with the message as the head of its queue."""
    await session.execute(
        text(
            """
            INSERT INTO parked_key (consumer, key, attempts, next_at, error)
            VALUES (:consumer, :key, 1, now() + :pause, :error)
            ON CONFLICT (consumer, key) DO UPDATE SET error = excluded.error
            """
        ),
        {"consumer": consumer, "key": message.key, "pause": timedelta(seconds=pause_s(1)), "error": _said(refusal)},
    )
    await queue(session, consumer, message)
    log.warning(
        "consumer.parked",
        consumer=consumer,
        key=message.key,
        event_type=message.envelope.type,
        event_id=message.envelope.id,
        correlation_id=message.envelope.correlation_id,
        error=_said(refusal),
    )


async def queue(session: AsyncSession, consumer: str, message: Message) -> None:
    """Put the message at the end of its key's queue."""
    record = message.record
    await session.execute(
        text(
            """
            INSERT INTO parked (consumer, key, event_id, topic, partition, "offset", headers, payload)
            VALUES (:consumer, :key, :event_id, :topic, :partition, :offset, CAST(:headers AS jsonb), :payload)
            """
        ),
        {
            "consumer": consumer,
            "key": message.key,
            "event_id": message.envelope.id,
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "headers": json.dumps(
                [(storable(name), storable((value or b"").decode(errors="replace"))) for name, value in record.headers]
            ),
            "payload": record.value,
        },
    )


async def retry_one(database: Database, consumers: Mapping[str, Consumer]) -> bool:
    """Try the head of one queue that is due, in a transaction of its own; False when none is due.

    The database is the one where these consumers' records have their effects (``Context.database_of``).

    Any number of workers may run: the unit of claiming is the whole key.
    """
    due: Row[Any] | None = None
    try:
        async with database.transaction() as session:
            due = await _claim(session, consumers)
            if due is None:
                return False
            await _retry(session, consumers[due.consumer], due)
    except Exception as error:
        if due is None:
            raise
        # Always due first, this key would keep all others from their turn. What passes by itself is no try.
        log.warning("consumer.retry_failed", consumer=due.consumer, key=due.key, error=_said(error))
        async with database.transaction() as session:
            await _put_off(session, due.consumer, due.key, due.attempts + (not is_transient(error)), error)
    return True


async def _claim(session: AsyncSession, consumers: Mapping[str, Consumer]) -> Row[Any] | None:
    found = await session.execute(
        text(
            """
            SELECT consumer, key, attempts FROM parked_key
             WHERE state = 'waiting' AND next_at <= now() AND consumer = ANY(:consumers)
             ORDER BY next_at LIMIT 1 FOR UPDATE SKIP LOCKED
            """
        ),
        {"consumers": sorted(consumers)},
    )
    return found.first()


async def _retry(session: AsyncSession, consumer: Consumer, due: Row[Any]) -> None:
    found = await session.execute(
        text("SELECT id, headers, payload FROM parked WHERE consumer = :consumer AND key = :key ORDER BY id LIMIT 1"),
        {"consumer": due.consumer, "key": due.key},
    )
    head = found.first()
    if head is None:
        await _unpark(session, due.consumer, due.key)
        return
    envelope = from_headers((name, value.encode()) for name, value in head.headers)
    try:
        async with session.begin_nested():
            await handle(session, consumer, [(envelope, head.payload)])
    except Exception as error:
        if is_transient(error):
            raise
        await _put_off(session, due.consumer, due.key, due.attempts + 1, error)
    else:
        await _done(session, due.consumer, due.key, head.id)


async def _done(session: AsyncSession, consumer: str, key: str, parked_id: int) -> None:
    await session.execute(text("DELETE FROM parked WHERE id = :id"), {"id": parked_id})
    left = await session.execute(
        text("SELECT 1 FROM parked WHERE consumer = :consumer AND key = :key LIMIT 1"),
        {"consumer": consumer, "key": key},
    )
    if left.first() is None:
        await _unpark(session, consumer, key)
        log.info("consumer.unparked", consumer=consumer, key=key)
    else:
        await session.execute(
            text("UPDATE parked_key SET attempts = 0, next_at = now() WHERE consumer = :consumer AND key = :key"),
            {"consumer": consumer, "key": key},
        )


async def _unpark(session: AsyncSession, consumer: str, key: str) -> None:
    await session.execute(
        text("DELETE FROM parked_key WHERE consumer = :consumer AND key = :key"), {"consumer": consumer, "key": key}
    )


async def _put_off(session: AsyncSession, consumer: str, key: str, attempts: int, error: Exception) -> None:
    dead = attempts >= ATTEMPTS_MAX
    await session.execute(
        text(
            """
            UPDATE parked_key
               SET attempts = :attempts, next_at = now() + :pause, error = :error,
                   state = CASE WHEN :dead THEN 'dead' ELSE 'waiting' END
             WHERE consumer = :consumer AND key = :key
            """
        ),
        {
            "consumer": consumer,
            "key": key,
            "attempts": attempts,
            "pause": timedelta(seconds=pause_s(attempts)),
            "error": _said(error),
            "dead": dead,
        },
    )
    if dead:
        log.error("consumer.key_dead", consumer=consumer, key=key, attempts=attempts, error=_said(error))


def _said(error: Exception) -> str:
    """The error in words, without the values that it would quote: they may be personal."""
    said = faults(error) if isinstance(error, ValidationError) else str(error)
    return storable(redacted_text(f"{type(error).__name__}: {said}"))[:2000]


async def count(session: AsyncSession, consumers: Mapping[str, Consumer]) -> None:
    """Bring the gauges up to date."""
    found = await session.execute(text("SELECT consumer, state, count(*) AS keys FROM parked_key GROUP BY 1, 2"))
    numbers = {(row.consumer, row.state): row.keys for row in found}
    for consumer in consumers:
        for state in ("waiting", "dead"):
            PARKED.labels(consumer, state).set(numbers.get((consumer, state), 0))
