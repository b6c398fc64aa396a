"""Every record of a real topic is in the evidence, in order, whatever others have written there; and every message."""

from datetime import UTC, datetime, timedelta

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.record import default_records
from covey_chassis.ids import new_id
from covey_chassis.kafka import connection
from covey_chassis.testing.broker import headers, new_topic, producing
from covey_local.databases import connected

from .collecting import SETTLED, _rec, _records, letters, partitions


class NoText(str):
    """The name of a header that is no text. aiokafka writes none by itself."""

    __slots__ = ()

    def encode(self, *_: object) -> bytes:
        return b"\xff\xfe"


@pytest.fixture
async def topic(kafka, monkeypatch):
    """Events of twenty keys, and among them what nobody can read, in each way."""
    topic = await new_topic(kafka)
    odd = [
        (b"{}", [("ce_id", b"x")]),
        (None, []),
        (b"\xff" * 900_000, [("ce_specversion", b"\xff")]),
        (b"{}", [*headers(topic, "odd"), (NoText("x"), b"")]),
    ]
    with monkeypatch.context() as patched:
        for module in ("producer", "message_accumulator"):
            name = f"aiokafka.producer.{module}.DefaultRecordBatchBuilder"
            patched.setattr(name, default_records._DefaultRecordBatchBuilderPy)
        async with producing(kafka) as producer:
            for number in range(1, 101):
                key = f"key-{number % 20}"
                said = headers(topic, key, sequence=number)
                await producer.send(topic, b'{"number": %d}' % number, key=key.encode(), headers=said)
                if number % 25 == 0:
                    value, said = odd[number // 25 - 1]
                    for place in await partitions(kafka, [topic]):
                        await producer.send(topic, value, key=b"", partition=place.partition, headers=said)
    return topic


async def read(kafka, topic, begins=None):
    consumer = AIOKafkaConsumer(**connection(kafka), enable_auto_commit=False)
    await consumer.start()
    try:
        ends = await consumer.end_offsets(await partitions(kafka, [topic]))
        return ends, [_rec(record) async for record in _records(consumer, begins or {}, ends)]
    finally:
        await consumer.stop()


async def test_every_record_is_there_in_its_partitions_order(kafka, topic):
    ends, found = await read(kafka, topic)

    for place, end in ends.items():
        offsets = [record.offset for record in found if record.partition == place.partition]
        assert offsets == list(range(end))
    readable = [record for record in found if record.id]
    assert sorted(record.sequence for record in readable) == list(range(1, 101))
    assert len(found) == 100 + 4 * len(ends)
    assert {record.key for record in readable} == {f"key-{number}" for number in range(20)}
    assert len({record.content for record in readable}) == 100


async def test_only_what_came_after_the_mark_is_there(kafka, topic):
    ends, _ = await read(kafka, topic)
    begins = {TopicPartition(topic, place.partition): end - 1 for place, end in ends.items()}

    _, found = await read(kafka, topic, begins)

    assert [(record.partition, record.offset) for record in sorted(found, key=lambda each: each.partition)] == [
        (place.partition, end - 1) for place, end in sorted(ends.items())
    ]


MARK = datetime(2026, 11, 27, 2, 55, tzinfo=UTC)
MESSAGES = """
    CREATE TEMP TABLE notification
        (message_id text, status text, about_event_id uuid, recipient text, since timestamptz)
"""


async def test_a_message_that_was_sent_before_is_no_news_though_its_senders_clock_was_ahead(new_database):
    """A fault that moves a service's clock must not be charged to the next one."""
    before, later = MARK - timedelta(minutes=1), MARK + timedelta(minutes=1)
    async with new_database("covey_transactions") as urls, connected(urls.owner) as database:
        await database.execute(MESSAGES)
        rows = [
            ("sent before", "delivered", before),
            ("sent before, by a clock that was ahead", "delivered", later),
            ("waited", "waiting", before),
            ("waited, by a clock that was ahead", "waiting", later),
        ]
        add = "INSERT INTO notification VALUES ($1, $2, $3, 'owner', $4)"
        await database.executemany(add, [(name, status, new_id(), since) for name, status, since in rows])
        settled = [row["message_id"] for row in await database.fetch(SETTLED)]

        await database.execute(
            "UPDATE notification SET status = 'delivered', since = $1 WHERE status = 'waiting'", later
        )
        await database.execute(add, "new", "delivered", new_id(), later)
        await database.execute(add, "new, by a clock that is late", "delivered", new_id(), before)
        found = await letters(database, MARK, settled, sent=["new, by a clock that is late"])

    assert {letter.message_id for letter in found} == {
        "waited",
        "waited, by a clock that was ahead",
        "new",
        "new, by a clock that is late",
    }
