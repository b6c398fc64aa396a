"""What a service declares to listen: named consumers, and a handler for each kind of event.

Handlers get a session, the event and its envelope; they never commit. A handler that refuses (``errors.Refusal``) or fails
has its record's key parked, and is called again later.

The records of an *acting* consumer are commands: each is done for an account, by its rights (``access.check_signed``), and
answered. So each is alone in a transaction of the request role, as an HTTP request is; while rights cannot be verified it
waits; and one that is no such command is put aside without parking a key that other commands need.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from covey_contracts import Event
from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from covey_chassis.envelope import Cause, Envelope, Unreadable, caused_by, from_headers

tracer = trace.get_tracer("covey_chassis")
_propagator = TraceContextTextMapPropagator()


class Record(Protocol):
    """What is needed of a Kafka record (aiokafka's ``ConsumerRecord``). Nothing in it can be trusted to be there."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...


E = TypeVar("E", bound=Event)
Handler = Callable[[AsyncSession, E, Envelope], Awaitable[None]]


class Consumer:
    """A named reader of topics. The name is written down in the database: renaming it would read everything again.

    ``since`` says where it begins when it has never read before: ``beginning`` for copies of others' facts, ``now`` for
    reactions, so that a new deployment mails nobody its history. ``records_at_once`` bounds a batch, which is one
    transaction: fewer where a handler holds a lock that others wait for. ``acting`` says that its records act for
    accounts: one at a time.
    """

    def __init__(
        self, name: str, *, since: Literal["beginning", "now"], records_at_once: int = 500, acting: bool = False
    ) -> None:
        self.name = name
        self.since = since
        self.records_at_once = 1 if acting else records_at_once
        self.acting = acting
        self.handlers: dict[str, tuple[type[Event], Handler[Event]]] = {}

    def on(self, *kinds: type[E]) -> Callable[[Handler[E]], Handler[E]]:
        """Register the handler of these kinds of events."""

        def register(handler: Handler[E]) -> Handler[E]:
            for kind in kinds:
                self.handlers[kind.topic.name] = (kind, handler)  # type: ignore[assignment]  # called with this kind only
            return handler

        return register

    @property
    def topics(self) -> list[str]:
        return sorted(self.handlers)


@dataclass(frozen=True)
class Message:
    """A record that can be read, with the key that orders it."""

    record: Record
    envelope: Envelope
    key: str


def read(consumer: Consumer, record: Record) -> Message | None:
    """The record's message; None for a kind of event that this consumer has no handler for.

    Raises:
        Unreadable: there is no envelope, or the value is not a JSON object; or its model refuses it, and it is a command.
    """
    envelope = from_headers(record.headers)
    if envelope.type not in consumer.handlers:
        return None
    try:
        value = json.loads(record.value or b"")
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"the value is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise Unreadable("the value is not a JSON object")
    if consumer.acting:
        kind, _ = consumer.handlers[envelope.type]
        try:
            kind.model_validate_json(record.value or b"")
        except ValidationError as error:
            raise Unreadable(f"the value is refused: {faults(error)}") from error
    return Message(record, envelope, envelope.subject)


def faults(error: ValidationError) -> str:
    """What the model refuses, without the values that it would quote: they may be personal."""
    return "; ".join(f"{'/'.join(map(str, found['loc']))}: {found['msg']}" for found in error.errors())


async def handle(session: AsyncSession, consumer: Consumer, envelope: Envelope, value: bytes) -> None:
    """Parse the event and run its handler, as part of the conversation that the event belongs to."""
    kind, handler = consumer.handlers[envelope.type]
    event = kind.model_validate_json(value)
    parent = _propagator.extract({"traceparent": envelope.traceparent}) if envelope.traceparent else None
    with (
        tracer.start_as_current_span(f"process {envelope.type}", context=parent, kind=trace.SpanKind.CONSUMER),
        caused_by(Cause(envelope.correlation_id, envelope.id)),
    ):
        await handler(session, event, envelope)
