"""Handlers of many: a batch at once where that works, and one by one where something in it is refused."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import ClassVar

import asyncpg
import pytest
from covey_chassis.clock import Clock
from covey_chassis.consumer import Arrived, Consumer
from covey_chassis.consuming import Span, take
from covey_chassis.envelope import Envelope, current_cause, to_headers
from covey_chassis.ids import new_id
from covey_chassis.parking import retry_one
from covey_chassis.service import Service
from covey_chassis.testing import ArrivedRecord, Harness, ServiceHarness
from covey_contracts import Event, Topic
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession


class Turned(Event):
    """A toy was turned: it shows ``face`` now."""

    topic: ClassVar[Topic] = Topic(name="covey.toy.turned.v1", aggregate="toy", key="toy_id", owner="chassis")

    toy_id: str
    face: int


class Painted(Turned):
    """A toy was painted."""

    topic: ClassVar[Topic] = Topic(name="covey.toy.painted.v1", aggregate="toy", key="toy_id", owner="chassis")


class Toys:
    """A handler of many that keeps all faces with one statement, and refuses some."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.causes: list[str] = []
        self.refused: set[int] = set()
        self.consumer = Consumer("chassis.toys", since="beginning")
        self.consumer.on_many(Turned)(self.on_turned)
        self.consumer.on(Painted)(self.on_painted)

    async def on_turned(self, session: AsyncSession, arrived: Sequence[Arrived[Turned]]) -> None:
        faces = [each.event.face for each in arrived]
        self.calls.append(faces)
        await session.execute(text("INSERT INTO effect SELECT * FROM unnest(CAST(:faces AS int[]))"), {"faces": faces})
        for each in arrived:
            with each.taken():
                cause = current_cause()
                assert cause
                self.causes.append(cause.correlation_id)
        if self.refused.intersection(faces):
            raise ValueError("a face is refused")

    async def on_painted(self, _: AsyncSession, event: Painted, envelope: Envelope) -> None:
        self.calls.append([event.face])


@pytest.fixture
def toys() -> Toys:
    return Toys()


@pytest.fixture
async def service(service_harness: ServiceHarness, toys: Toys) -> AsyncIterator[Harness]:
    async with service_harness(Service("chassis", "A toy.", consumers=[toys.consumer])) as harness:
        owner = harness.context.settings.owner_database_url
        assert owner
        connection = await asyncpg.connect(owner.get_secret_value())
        await connection.execute("CREATE TABLE effect (face int)")
        await connection.execute("GRANT ALL ON effect TO PUBLIC")
        await connection.close()
        yield harness


async def deliver(service: Harness, consumer: Consumer, *events: Turned) -> None:
    """All of them in one batch, as if they were all that their topics have."""
    ends = Counter[str]()
    records = []
    for number, event in enumerate(events):
        records.append(a_record(ends[event.topic.name], event, number + 1))
        ends[event.topic.name] += 1
    async with service.transaction() as session:
        await session.execute(
            text("INSERT INTO position VALUES ('chassis.toys', :topic, 0, 0)"), [{"topic": topic} for topic in ends]
        )
    await take(consumer, service.context.workers, records, [Span(topic, 0, 0, end) for topic, end in ends.items()])


def a_record(offset: int, event: Turned, sequence: int) -> ArrivedRecord:
    envelope = Envelope(
        id=str(new_id()),
        source="/chassis",
        type=event.topic.name,
        time=Clock.now(),
        subject=event.key,
        sequence=sequence,
        correlation_id=f"conversation {event.face}",
        causation_id=None,
        traceparent=None,
    )
    value = event.model_dump_json().encode()
    return ArrivedRecord(event.topic.name, 0, offset, event.key.encode(), value, to_headers(envelope))


async def effects(service: Harness) -> list[int]:
    async with service.transaction() as session:
        return list(await session.scalars(text("SELECT face FROM effect ORDER BY face")))


async def test_a_batch_comes_at_once_and_each_event_is_of_its_own_conversation(service: Harness, toys: Toys) -> None:
    await deliver(service, toys.consumer, *(Turned(toy_id="toy", face=face) for face in range(4)))

    assert toys.calls == [[0, 1, 2, 3]]
    assert toys.causes == [f"conversation {face}" for face in range(4)]
    assert await effects(service) == [0, 1, 2, 3]


async def test_neighbours_come_at_once_and_no_event_comes_before_an_earlier_one_of_another_kind(
    service: Harness, toys: Toys
) -> None:
    kinds = [Turned, Turned, Painted, Turned]

    await deliver(service, toys.consumer, *(kind(toy_id="toy", face=face) for face, kind in enumerate(kinds)))

    assert toys.calls == [[0, 1], [2], [3]]


async def test_where_one_event_is_refused_its_key_is_parked_and_all_others_have_their_effects_once(
    service: Harness, toys: Toys
) -> None:
    toys.refused = {1}

    await deliver(service, toys.consumer, *(Turned(toy_id=f"toy {face % 3}", face=face) for face in range(6)))

    assert toys.calls == [[0, 1, 2, 3, 4, 5], [0], [1], [2], [3], [5]]
    assert await effects(service) == [0, 2, 3, 5]
    assert [parked.key for parked in await service.parked()] == ["toy 1"]
    toys.refused = set()
    async with service.transaction() as session:
        await session.execute(text("UPDATE parked_key SET next_at = now()"))
    consumers = {toys.consumer.name: toys.consumer}
    while await retry_one(service.context.workers, consumers):
        pass
    assert await effects(service) == [0, 1, 2, 3, 4, 5]
