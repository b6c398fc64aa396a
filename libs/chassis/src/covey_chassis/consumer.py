"""What a service declares to listen: named consumers, and a handler for each kind of event.

Handlers get a session, the event and its envelope; they never commit. A handler that refuses (``errors.Refusal``) or fails
has its record's key parked, and is called again later. A handler of many gets a batch's events at once, where a statement
for each would be too slow; those that it refuses together come again one by one.

The records of an *acting* consumer are commands: each is done for an account, by its rights (``access.check_signed``), and
answered. So each is alone in a transaction of the request role, as an HTTP request is; while rights cannot be verified it
waits; and one that is no such command is put aside without parking a key that other commands need.
"""

import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Generic, Literal, Protocol, TypeVar

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


@dataclass(frozen=True)
class Arrived(Generic[E]):
    """An event, and what travelled around it."""

    event: E
    envelope: Envelope

    @contextmanager
    def taken(self) -> Iterator[None]:
        """What is done in the block is part of the conversation that the event belongs to, and of its trace."""
        traceparent = self.envelope.traceparent
        parent = _propagator.extract({"traceparent": traceparent}) if traceparent else None
        name = f"process {self.envelope.type}"
        with (
            tracer.start_as_current_span(name, context=parent, kind=trace.SpanKind.CONSUMER),
            caused_by(Cause(self.envelope.correlation_id, self.envelope.id)),
        ):
            yield


Handler = Callable[[AsyncSession, E, Envelope], Awaitable[None]]
HandlerOfMany = Callable[[AsyncSession, Sequence[Arrived[E]]], Awaitable[None]]


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
        self.handlers: dict[str, tuple[type[Event], HandlerOfMany[Event]]] = {}

    def on(self, *kinds: type[E]) -> Callable[[Handler[E]], Handler[E]]:
        """Register the handler of these kinds of events."""

        def register(handler: Handler[E]) -> Handler[E]:
            async def one_by_one(session: AsyncSession, arrived: Sequence[Arrived[E]]) -> None:
                for each in arrived:
                    with each.taken():
                        await handler(session, each.event, each.envelope)

            self.on_many(*kinds)(one_by_one)
            return handler

        return register

    def on_many(self, *kinds: type[E]) -> Callable[[HandlerOfMany[E]], HandlerOfMany[E]]:
        """Register a handler that gets as many events at once as there are, in their keys' order.

        What it does for one of them, and what is emitted then, it does in that event's ``taken()``.
        """

        def register(handler: HandlerOfMany[E]) -> HandlerOfMany[E]:
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
    # A topic carries one type: whoever may write another topic cannot say what is this one's to say.
    if envelope.type not in consumer.handlers or envelope.type != record.topic:
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


async def handle(session: AsyncSession, consumer: Consumer, arrived: Sequence[tuple[Envelope, bytes]]) -> None:
    """Parse the events and run their handlers, in order; neighbours that have one handler, at once."""
    for handler, run in groupby(arrived, lambda each: consumer.handlers[each[0].type][1]):
        await handler(session, [_parsed(consumer, envelope, value) for envelope, value in run])


def _parsed(consumer: Consumer, envelope: Envelope, value: bytes) -> Arrived[Event]:
    kind, _ = consumer.handlers[envelope.type]
    return Arrived(kind.model_validate_json(value), envelope)
