"""Every record of a real topic is in the evidence, in order, whatever others have written there."""

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.record import default_records
from covey_chassis.kafka import connection
from covey_chassis.testing.broker import headers, new_topic, producing

from .collecting import _rec, _records, partitions


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
