"""One FastStream batch subscriber for each consumer of a service, with Kafka's defaults set right.

FastStream's own defaults lose messages (``ACK_FIRST``, ``latest``), skip records whose headers are not text, and loop hot
on a poison message. Here records reach ``consuming.take`` untouched, positions come from the service's database and not
from Kafka, and only what passes by itself (``transient``) leaves the handler. Offsets are committed to Kafka after the
effects, for those who watch the lag.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage
from faststream.kafka.subscriber.usecase import LogicSubscriber
from prometheus_client import Counter, Gauge
from sqlalchemy import text

from covey_chassis.clock import Clock
from covey_chassis.consumer import Consumer, Record
from covey_chassis.consuming import Fenced, Span, move_positions, take
from covey_chassis.db import Database
from covey_chassis.failpoints import failpoint
from covey_chassis.transient import is_transient

log = structlog.get_logger(__name__)

DRAIN_S = 20.0
PATIENCE_S = 15.0
"""How long a batch waits for the database before it is handed back to be read again."""
PAUSE_S = 1.0
"""Between a batch that failed and the next try."""
REACTIONS_BACK = timedelta(days=25)
"""How far back a reaction's consumer begins anew when Kafka no longer has its position: within the inbox's memory."""
STUCK_S = 60.0
LOOK_MS = 200
"""After so long without a record the consumer looks whether it shall stop."""
ONE_MS = 1_000
"""How long one record that is there is waited for: longer than a fetch of other partitions may wait at the broker (500 ms),
as there is one fetch at a time."""
ANSWER_S = 2.0
"""How long a probe waits for Kafka: less than the probe itself may take."""

LAG = Gauge("covey_consumer_lag_records", "Records behind the end of the partition", ["consumer", "topic", "partition"])
OUT_OF_RANGE = Counter(
    "covey_consumer_out_of_range_total", "Stored positions that Kafka no longer has", ["consumer", "topic"]
)


class Subscription(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is not typed here
    """A running consumer: which partitions it has, where it is in each, and whether it gets on."""

    def __init__(self, consumer: Consumer, database: Database) -> None:
        self.consumer = consumer
        self._database = database
        self.subscriber: LogicSubscriber[Any] | None = None
        self._next: dict[TopicPartition, int] = {}
        self._missing: dict[TopicPartition, int] = {}
        self._at_once = consumer.records_at_once
        self._begun = Clock.now()
        self._idle = asyncio.Event()
        self._idle.set()
        self._unwell_since: float | None = None
        self.assigned = False

    async def start(self) -> None:
        """Begin to consume. A start that fails leaves nothing behind: the next one makes a new client."""
        if self.subscriber is None:
            raise RuntimeError("the consumer has not been registered with a broker")
        try:
            await self.subscriber.start()
        except Exception:
            await self.subscriber.stop()
            raise

    # --- from Kafka ---

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Let the batch in hand be finished before another process gets its partitions."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), DRAIN_S)
        for partition in revoked:
            self._next.pop(partition, None)
            with contextlib.suppress(KeyError):  # its lag is told by whoever gets it
                LAG.remove(self.consumer.name, partition.topic, str(partition.partition))

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        deadline = time.monotonic() + DRAIN_S
        while True:
            try:
                await self._seek(list(assigned))
                self.assigned = True
                return
            except Exception as error:
                if not is_transient(error) or time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.2)

    async def next_batch(self, consumer: AIOKafkaConsumer) -> tuple[ConsumerRecord, ...]:
        """What there is to read, as soon as there is anything. FastStream's own way sleeps between two looks.

        aiokafka cannot parse a header's name that is not UTF-8, which other clients can write: FastStream's loop would
        end, for all partitions. Then it is the next record of each; one that cannot be parsed comes with nothing in it.
        """
        try:
            found = await consumer.getmany(timeout_ms=LOOK_MS, max_records=self.consumer.records_at_once)
            return tuple(chain.from_iterable(found.values()))
        except UnicodeDecodeError:
            return tuple([record async for record in self._one_of_each(consumer)])

    async def _one_of_each(self, kafka: AIOKafkaConsumer) -> AsyncIterator[ConsumerRecord]:
        places = {partition: self._next[partition] for partition in kafka.assignment() & self._next.keys()}
        for partition, offset in places.items():
            end = kafka.highwater(partition)
            if end is not None and offset >= end:
                continue
            kafka.seek(partition, offset)
            try:
                found = await kafka.getmany(partition, timeout_ms=ONE_MS, max_records=1)
            except UnicodeDecodeError:
                log.error("consumer.not_parsed", topic=partition.topic, partition=partition.partition, offset=offset)
                kafka.seek(partition, offset + 1)
                yield ConsumerRecord(*partition, offset, 0, 0, None, None, None, -1, -1, ())
            else:
                for record in found.get(partition, ()):
                    yield record

    async def on_batch(self, message: KafkaMessage) -> None:
        """FastStream's handler. What it raises makes FastStream read the batch again."""
        records: Sequence[Record] = message.raw_message
        self._idle.clear()
        try:
            await failpoint("consumer.after_poll")
            if await self._fits(records):
                await self._take(records)
                with contextlib.suppress(KafkaError):  # Kafka's offsets are for those who watch: the positions are ours
                    await message.ack()
                await failpoint("consumer.after_ack")
            else:
                await message.nack()
                await self._seek(_partitions(records))
        except Fenced:
            log.warning("consumer.fenced", consumer=self.consumer.name)
            await message.nack()
            await self._seek(_partitions(records))
        except Exception:
            await message.nack()
            for partition in _partitions(records):
                if partition in self._next:
                    self._client.seek(partition, self._next[partition])
            log.exception("consumer.batch_failed", consumer=self.consumer.name)
            await asyncio.sleep(PAUSE_S)  # FastStream reads the batch again at once
            raise
        finally:
            self._idle.set()

    # --- positions ---

    @property
    def _kafka(self) -> AIOKafkaConsumer | None:
        return self.subscriber.consumer if self.subscriber else None

    @property
    def _client(self) -> AIOKafkaConsumer:
        if self._kafka is None:
            raise RuntimeError("the subscription has not been started")
        return self._kafka

    async def _seek(self, partitions: Sequence[TopicPartition]) -> None:
        """Go to the stored positions; where there is none yet, store first where this consumer begins."""
        if not partitions:
            return
        stored = await self._stored(partitions)
        if fresh := [partition for partition in partitions if partition not in stored]:
            if self.consumer.since == "beginning":
                begin = await self._client.beginning_offsets(fresh)
            else:
                begin = await self._first_since(fresh, self._begun)
            await self._store(begin)
            stored = await self._stored(partitions)
        for partition in self._client.assignment().intersection(partitions):  # some may have been revoked meanwhile
            self._next[partition] = stored[partition]
            self._client.seek(partition, stored[partition])

    async def _first_since(self, partitions: Sequence[TopicPartition], since: datetime) -> dict[TopicPartition, int]:
        """The first record from that time on; where there is none, the end.

        Not simply the end: a topic may have come to be after the consumer began, or its first assignment may have failed.
        """
        ends = await self._client.end_offsets(partitions)
        since_ms = math.ceil(since.timestamp() * 1000)
        found = await self._client.offsets_for_times(dict.fromkeys(partitions, since_ms))
        return {partition: at.offset if (at := found.get(partition)) else ends[partition] for partition in partitions}

    async def check_positions(self) -> None:
        """Go to the stored positions where they are not where this process left them, and no batch is in hand.

        After an assignment while the database was away, and when the database has gone back: no record need come for that.
        """
        partitions = self._kafka.assignment() if self._kafka else frozenset()
        if not partitions or not self._idle.is_set():
            return
        before = dict(self._next)
        stored = await self._stored(list(partitions))
        moved = [partition for partition in partitions if stored.get(partition) != before.get(partition)]
        if moved and self._idle.is_set() and self._next == before:
            log.warning("consumer.position_moved", consumer=self.consumer.name, partitions=len(moved))
            await self._seek(moved)
        self.assigned = True

    async def _stored(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        async with self._database.transaction() as session:
            found = await session.execute(
                text("SELECT topic, partition, next_offset FROM position WHERE consumer = :consumer"),
                {"consumer": self.consumer.name},
            )
            stored = {TopicPartition(row.topic, row.partition): row.next_offset for row in found}
        return {partition: stored[partition] for partition in partitions if partition in stored}

    async def _store(self, begin: dict[TopicPartition, int]) -> None:
        """Write down where this consumer begins, unless somebody already has."""
        statement = text(
            """
            INSERT INTO position (consumer, topic, partition, next_offset) VALUES (:consumer, :topic, :partition, :next)
            ON CONFLICT DO NOTHING
            """
        )
        async with self._database.transaction() as session:
            await session.execute(
                statement,
                [
                    {
                        "consumer": self.consumer.name,
                        "topic": partition.topic,
                        "partition": partition.partition,
                        "next": offset,
                    }
                    for partition, offset in begin.items()
                ],
            )

    async def _skip(self, partition: TopicPartition, start: int, to: int) -> None:
        """Move the stored position, if it is where this process left it.

        Raises:
            Fenced: it is not.
        """
        async with self._database.transaction() as session:
            await move_positions(session, self.consumer, [Span(partition.topic, partition.partition, start, to)])

    async def _fits(self, records: Sequence[Record]) -> bool:
        """Does the batch begin where each partition's stored position is? If not, it has to be read again from there.

        A batch that was fetched before a seek may begin elsewhere: once. Where the batch after the seek does so too, Kafka
        no longer has the position.
        """
        fits = True
        for partition, first in _firsts(records).items():
            start = self._next.get(partition)
            if start is None:
                fits = False
            elif first == start:
                self._missing.pop(partition, None)
            elif self._missing.get(partition) == start:
                fits = await self._out_of_range(partition, start, first) and fits
                self._missing.pop(partition, None)
            else:
                self._missing[partition] = start
                fits = False
        return fits

    async def _out_of_range(self, partition: TopicPartition, start: int, first: int) -> bool:
        """Kafka has nothing at the stored position. Copies go on with what is left; reactions at most 25 days back."""
        begin = (await self._client.beginning_offsets([partition]))[partition]
        if begin <= start < first:
            await self._skip(partition, start, first)
            self._next[partition] = first  # a gap inside the log, such as a transaction's marker: nothing is missing
            return True
        OUT_OF_RANGE.labels(self.consumer.name, partition.topic).inc()
        again = begin
        if self.consumer.since == "now":
            again = (await self._first_since([partition], Clock.now() - REACTIONS_BACK))[partition]
        log.error(
            "consumer.out_of_range",
            consumer=self.consumer.name,
            topic=partition.topic,
            partition=partition.partition,
            stored=start,
            again_from=again,
        )
        await self._skip(partition, start, again)
        return False

    # --- effects ---

    async def _take(self, records: Sequence[Record]) -> None:
        """Have the batch's effects; smaller pieces and growing pauses after any trouble that passes by itself.

        A transaction that takes too long often ends like any lost connection, and may outlast the patience: hence smaller
        after any trouble, and the size stays for the next try.
        """
        pause, deadline = 0.1, time.monotonic() + PATIENCE_S
        while records:
            part = records[: self._at_once]
            spans = self._spans(part)
            try:
                await take(self.consumer, self._database, part, spans)
            except Exception as error:
                if isinstance(error, Fenced) or not is_transient(error):
                    raise
                self._at_once = max(1, len(part) // 2)
                if time.monotonic() > deadline:
                    raise
                log.warning("consumer.waits", consumer=self.consumer.name, error=repr(error)[:500])
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5.0)
            else:
                for span in spans:
                    self._next[TopicPartition(span.topic, span.partition)] = span.next
                records = records[len(part) :]
                self._at_once = min(self._at_once * 2, self.consumer.records_at_once)

    def _spans(self, records: Sequence[Record]) -> list[Span]:
        last = {TopicPartition(record.topic, record.partition): record.offset for record in records}
        return [
            Span(partition.topic, partition.partition, self._next[partition], offset + 1)
            for partition, offset in last.items()
        ]

    # --- is it alive? ---

    async def ready(self) -> str | None:
        """None once the consumer has its partitions and their positions."""
        if not self.assigned or self._kafka is None:
            return f"{self.consumer.name} has no partitions yet"
        missing = [topic for topic in self.consumer.topics if not self._kafka.partitions_for_topic(topic)]
        return f"{self.consumer.name}: no such topic: {', '.join(missing)}" if missing else None

    async def alive(self) -> str | None:
        """None unless the consumer is stuck in a way that only a restart of the process mends.

        aiokafka's coordination task can die, or wait for ever to join the group again, while the consumer looks healthy:
        its private names are the only sign.
        """
        if self._kafka is None or self._kafka._coordinator is None:
            return None  # Kafka has not been reached yet
        coordinator = self._kafka._coordinator
        if coordinator._coordination_task.done():
            return f"{self.consumer.name}: the group coordination has died"
        polls = [self._kafka.last_poll_timestamp(partition) for partition in self._kafka.assignment()]
        last_ms = max((poll for poll in polls if poll is not None), default=None)
        silent = last_ms is not None and Clock.now().timestamp() - last_ms / 1000 > STUCK_S
        if (silent or coordinator._rejoin_needed_fut.done()) and await self._kafka_answers(self._kafka):
            self._unwell_since = self._unwell_since or time.monotonic()
            if time.monotonic() - self._unwell_since > STUCK_S:
                return f"{self.consumer.name}: no partitions or no answers for {STUCK_S:.0f} s"
        else:
            self._unwell_since = None
        return None

    @staticmethod
    async def _kafka_answers(kafka: AIOKafkaConsumer) -> bool:
        """While it does not, the consumer has a reason to be silent, and a restart would mend nothing."""
        try:
            async with asyncio.timeout(ANSWER_S):
                return bool(await kafka._client.force_metadata_update())
        except TimeoutError:
            return False

    def measure_lag(self) -> None:
        """Bring the lag's gauge up to date."""
        if self._kafka is None:
            return
        for partition in self._kafka.assignment() & self._next.keys():
            position = self._next[partition]
            end = self._kafka.highwater(partition)
            if end is not None:
                LAG.labels(self.consumer.name, partition.topic, str(partition.partition)).set(max(0, end - position))


def subscribe(broker: KafkaBroker, consumer: Consumer, database: Database, *, session_timeout_ms: int) -> Subscription:
    """Register a consumer with the broker, which starts it."""
    subscription = Subscription(consumer, database)
    subscriber = broker.subscriber(
        *consumer.topics,
        group_id=consumer.name,
        batch=True,
        max_records=consumer.records_at_once,
        auto_offset_reset="earliest",
        ack_policy=AckPolicy.NACK_ON_ERROR,
        listener=subscription,
        session_timeout_ms=session_timeout_ms,
        heartbeat_interval_ms=2_000,
        rebalance_timeout_ms=60_000,
        parser=untouched,
        decoder=whole,
        no_reply=True,
    )
    subscriber(subscription.on_batch)
    subscription.subscriber = subscriber
    subscriber.get_msg = subscription.next_batch  # type: ignore[method-assign]
    return subscription


async def untouched(records: tuple[ConsumerRecord, ...], original: Any) -> KafkaMessage:
    """FastStream's parser would skip, and commit past, a record with a header that is not text: it gets to see none."""
    bare = tuple(replace(record, headers=()) for record in records)
    message: KafkaMessage = await original(bare)
    message.raw_message = records
    return message


async def whole(message: KafkaMessage) -> KafkaMessage:
    """FastStream's decoder: the handler gets the message itself, with its raw records."""
    return message


def _partitions(records: Sequence[Record]) -> list[TopicPartition]:
    return list(_firsts(records))


def _firsts(records: Sequence[Record]) -> dict[TopicPartition, int]:
    firsts: dict[TopicPartition, int] = {}
    for record in records:
        firsts.setdefault(TopicPartition(record.topic, record.partition), record.offset)
    return firsts
