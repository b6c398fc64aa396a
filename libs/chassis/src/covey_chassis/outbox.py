"""Events to send: written in the transaction of the state that they tell of, sent by the relay after its commit."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from covey_contracts import Event
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from sqlalchemy import BigInteger, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from covey_chassis.clock import Clock
from covey_chassis.db import EMITTED, TYPES, Aggregate
from covey_chassis.envelope import Cause, current_cause
from covey_chassis.ids import new_id


class _ChassisBase(DeclarativeBase):
    """The chassis's tables are made by its own migrations; a service's metadata does not list them."""

    type_annotation_map = TYPES


class OutboxRow(_ChassisBase):
    """One event that waits for the relay. Rows leave once Kafka has acknowledged them."""

    __tablename__ = "outbox"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    event_id: Mapped[UUID]
    topic: Mapped[str]
    key: Mapped[str]
    sequence: Mapped[int | None]
    occurred_at: Mapped[datetime]
    correlation_id: Mapped[str]
    causation_id: Mapped[str | None]
    traceparent: Mapped[str | None]
    payload: Mapped[bytes]


_propagator = TraceContextTextMapPropagator()


def _columns(event: Event, sequence: int | None) -> dict[str, object]:
    event_id = new_id()
    cause = current_cause() or Cause(correlation_id=str(event_id))
    return {
        "event_id": event_id,
        "topic": event.topic.name,
        "key": event.key,
        "sequence": sequence,
        "occurred_at": Clock.now(),
        "correlation_id": cause.correlation_id,
        "causation_id": cause.causation_id,
        "traceparent": _traceparent(),
        "payload": event.model_dump_json().encode(),
    }


def emit(session: AsyncSession, aggregate: Aggregate, event: Event) -> None:
    """Publish what happened to an aggregate, once the transaction commits; draws the aggregate's next sequence.

    The aggregate's row must be locked or new in this transaction (``db.load``): so for one aggregate the order of
    outbox IDs is the order of commits is the order of sequences.
    """
    aggregate.sequence += 1
    session.add(OutboxRow(**_columns(event, aggregate.sequence)))
    session.info[EMITTED] = True


def emit_unnumbered(session: AsyncSession, event: Event) -> None:
    """Publish what has no place in an aggregate's history, once the transaction commits."""
    session.add(OutboxRow(**_columns(event, None)))
    session.info[EMITTED] = True


_EMIT_ROWS = text(
    """
    INSERT INTO outbox (event_id, topic, key, sequence, occurred_at, correlation_id, causation_id, traceparent, payload)
    SELECT event_id, topic, key, sequence, :occurred_at, coalesce(:correlation_id, event_id::text), :causation_id,
           :traceparent, payload
      FROM unnest(CAST(:event_ids AS uuid[]), CAST(:topics AS text[]), CAST(:keys AS text[]),
                  CAST(:sequences AS bigint[]), CAST(:payloads AS bytea[]))
           WITH ORDINALITY AS event (event_id, topic, key, sequence, payload, place)
     ORDER BY place
    """
)


async def emit_rows(session: AsyncSession, events: Iterable[tuple[Event, int | None]]) -> None:
    """Publish for many aggregates whose rows a set-based statement has changed: pairs of event and drawn sequence.

    The sequence is None for events whose topic has none. One statement, with an array for each column: the driver's
    ``executemany`` costs more a row.
    """
    pairs = list(events)
    if not pairs:
        return
    cause = current_cause()
    await session.execute(
        _EMIT_ROWS,
        {
            "event_ids": [new_id() for _ in pairs],
            "topics": [event.topic.name for event, _ in pairs],
            "keys": [event.key for event, _ in pairs],
            "sequences": [sequence for _, sequence in pairs],
            "payloads": [event.model_dump_json().encode() for event, _ in pairs],
            "occurred_at": Clock.now(),
            "correlation_id": cause and cause.correlation_id,
            "causation_id": cause and cause.causation_id,
            "traceparent": _traceparent(),
        },
    )
    session.info[EMITTED] = True


def _traceparent() -> str | None:
    trace: dict[str, str] = {}
    _propagator.inject(trace)
    return trace.get("traceparent")
