"""Interleavings of consumers and the worker of parked keys, each made to happen: a key's records stay in order."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import ClassVar
from uuid import uuid4

import pytest
from covey_chassis.clock import Clock
from covey_chassis.consumer import Consumer
from covey_chassis.consuming import Span, take
from covey_chassis.envelope import Envelope, to_headers
from covey_chassis.errors import Refusal
from covey_chassis.ids import new_id
from covey_chassis.parking import retry_one
from covey_chassis.service import Service
from covey_chassis.testing import ArrivedRecord, Harness, ServiceHarness
from covey_chassis.testing.broker import eventually
from covey_contracts import Event, Topic
from sqlalchemy import text

TOPIC = Topic(name="covey.toy.told.v1", aggregate="toy", key="toy", owner="chassis")


class Told(Event):
    """A toy is told something."""

    topic: ClassVar[Topic] = TOPIC

    toy: str
    number: int


class NotInTheMood(Refusal):
    """The toy does not listen."""


@dataclass
class Toys:
    """Toys of which one does not listen to something, and one takes as long to listen as the test wants."""

    covey: Harness = field(init=False)
    refused: tuple[str, int] | None = None
    stops: str | None = None
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    heard: list[tuple[str, int]] = field(default_factory=list)
    arrived: int = 0

    def __post_init__(self) -> None:
        self.consumer = Consumer("chassis.races", since="beginning")
        self.consumer.on(Told)(self.on_told)

    async def on_told(self, _session: object, event: Told, _envelope: Envelope) -> None:
        if event.toy == self.stops:
            self.stopped.set()
            await self.go_on.wait()
        if (event.toy, event.number) == self.refused:
            raise NotInTheMood
        self.heard.append((event.toy, event.number))

    async def arrive(self, *told: Told) -> None:
        """In one batch."""
        start, self.arrived = self.arrived, self.arrived + len(told)
        records = [record_of(each, offset) for offset, each in enumerate(told, start)]
        await take(self.consumer, self.covey.context.workers, records, [Span(TOPIC.name, 0, start, self.arrived)])

    async def retry(self) -> bool:
        """Try a parked key that nobody holds, now; False when there is none."""
        return await retry_one(self.covey.context.workers, {self.consumer.name: self.consumer})

    async def is_due(self) -> None:
        await self.run("UPDATE parked_key SET next_at = now()")

    async def run(self, statement: str) -> None:
        async with self.covey.transaction() as session:
            await session.execute(text(statement))

    async def somebody_waits(self) -> bool:
        async with self.covey.transaction() as session:
            return bool(await session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))


@pytest.fixture
async def toys(service_harness: ServiceHarness) -> AsyncIterator[Toys]:
    """The bear has refused its first record, and listens since; its key is due."""
    toys = Toys(refused=("bear", 1))
    async with service_harness(Service("chassis", "Toys that listen.", consumers=[toys.consumer])) as toys.covey:
        await toys.run(f"INSERT INTO position VALUES ('chassis.races', '{TOPIC.name}', 0, 0)")
        await toys.arrive(Told(toy="bear", number=1))
        await toys.is_due()
        toys.refused = None
        yield toys


async def test_a_record_that_comes_while_its_parked_key_is_retried_waits_for_the_outcome(toys: Toys) -> None:
    toys.stops = "bear"
    retrying = asyncio.create_task(toys.retry())
    await toys.stopped.wait()
    arriving = asyncio.create_task(toys.arrive(Told(toy="bear", number=2)))
    await eventually(toys.somebody_waits)

    toys.go_on.set()
    await asyncio.gather(retrying, arriving)

    assert toys.heard == [("bear", 1), ("bear", 2)]
    assert await toys.covey.parked() == []


async def test_a_key_is_not_retried_while_a_record_joins_its_queue(toys: Toys) -> None:
    toys.stops = "cat"
    joining = asyncio.create_task(toys.arrive(Told(toy="bear", number=2), Told(toy="cat", number=1)))
    await toys.stopped.wait()

    assert await toys.retry() is False
    toys.go_on.set()
    await joining
    while await toys.retry():
        pass

    assert toys.heard == [("cat", 1), ("bear", 1), ("bear", 2)]
    assert await toys.covey.parked() == []


async def test_a_record_that_comes_while_the_retry_of_its_key_fails_queues_behind_it(toys: Toys) -> None:
    toys.stops, toys.refused = "bear", ("bear", 1)
    retrying = asyncio.create_task(toys.retry())
    await toys.stopped.wait()
    arriving = asyncio.create_task(toys.arrive(Told(toy="bear", number=2)))
    await eventually(toys.somebody_waits)

    toys.go_on.set()
    await asyncio.gather(retrying, arriving)
    before = list(toys.heard)
    toys.refused = None
    await toys.is_due()
    while await toys.retry():
        pass

    assert (before, toys.heard) == ([], [("bear", 1), ("bear", 2)])
    assert await toys.covey.parked() == []


def record_of(told: Told, offset: int) -> ArrivedRecord:
    envelope = Envelope(
        id=str(new_id()),
        source="/chassis",
        type=TOPIC.name,
        time=Clock.now(),
        subject=told.toy,
        sequence=offset,
        correlation_id=str(uuid4()),
        causation_id=None,
        traceparent=None,
    )
    value = told.model_dump_json().encode()
    return ArrivedRecord(TOPIC.name, 0, offset, told.toy.encode(), value, to_headers(envelope))
