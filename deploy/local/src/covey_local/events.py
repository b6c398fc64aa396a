"""Reading events off the broker as any stranger would: plain aiokafka, headers and JSON."""

import json
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypedDict

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from covey_chassis.kafka import connection
from covey_chassis.settings import KafkaSettings

from covey_local.refused import Refused
from covey_local.topics import PREFIX, administered


class NoSuchTopic(Refused):
    """The broker has no topic of this name."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One record of an event's topic."""

    topic: str
    partition: int
    offset: int
    at: datetime
    key: str
    headers: dict[str, str]
    value: object

    @property
    def line(self) -> str:
        """Time, type, subject, sequence and the fact itself, on one line."""
        sequence = self.headers.get("ce_sequence", "").lstrip("0") or "-"
        fact = json.dumps(self.value, ensure_ascii=False)
        subject = self.headers.get("ce_subject", self.key)
        return f"{self.at.astimezone():%H:%M:%S.%f} {self.topic:<34} {subject} {sequence:>4} {fact}"

    @property
    def as_json(self) -> str:
        """Everything, on one line of JSON."""
        return json.dumps(vars(self) | {"at": self.at.isoformat()}, ensure_ascii=False)


class _Described(TypedDict):
    topic: str
    partitions: list[dict[str, int]]


async def tail(
    kafka: KafkaSettings, types: Collection[str] = (), *, from_beginning: bool = False, follow: bool = True
) -> AsyncIterator[Seen]:
    """The events of these types, or of all, as they come; without ``follow`` only up to where the topics end now.

    A type may be written short: ``renewal.available`` means ``covey.renewal.available.v1``. Raises ``NoSuchTopic``.
    """
    topics = await _topics(kafka, types)
    partitions = [
        TopicPartition(topic["topic"], partition["partition"]) for topic in topics for partition in topic["partitions"]
    ]
    consumer = AIOKafkaConsumer(**connection(kafka), enable_auto_commit=False)
    await consumer.start()
    try:
        ends = await consumer.end_offsets(partitions)
        consumer.assign(partitions)
        for partition, start in (await consumer.beginning_offsets(partitions) if from_beginning else ends).items():
            consumer.seek(partition, start)
        while follow or await _behind(consumer, ends):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    yield _seen(record)
    finally:
        await consumer.stop()


async def _topics(kafka: KafkaSettings, types: Collection[str]) -> list[_Described]:
    async with administered(kafka) as admin:
        there: dict[str, _Described] = {topic["topic"]: topic for topic in await admin.describe_topics()}
    if not types:
        types = [name for name in there if name.startswith(PREFIX)]
        if not types:
            raise NoSuchTopic(f"The broker has no topic {PREFIX}*. `covey topics apply` makes them.")
    chosen = []
    for wish in types:
        found = [name for name in (wish, f"{PREFIX}{wish}", f"{PREFIX}{wish}.v1") if name in there]
        if not found:
            raise NoSuchTopic(f"The broker has no topic {wish}.")
        chosen.append(there[found[0]])
    return chosen


async def _behind(consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> bool:
    return any([await consumer.position(partition) < end for partition, end in ends.items()])


def _seen(record: "ConsumerRecord[bytes, bytes]") -> Seen:
    text = (record.value or b"").decode(errors="replace")
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    return Seen(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        at=datetime.fromtimestamp(record.timestamp / 1000, UTC),
        key=(record.key or b"").decode(errors="replace"),
        headers={name: (content or b"").decode(errors="replace") for name, content in record.headers},
        value=value,
    )
