"""The relay's way to Kafka: one idempotent producer, and one batch under way for each partition.

A partition that does not acknowledge, or has no leader, holds up its own keys: its next batch is not handed over. So the
producer never has a batch of a partition that had no leader when it was handed over, and none that waits behind another.
(A broker that answers for one partition late answers for those late that were in the same request, too.)
"""

import asyncio
import contextlib
import time
from functools import lru_cache
from typing import Final

import asyncpg
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.producer.message_accumulator import BatchBuilder

from covey_chassis.envelope import Headers
from covey_chassis.kafka import connection
from covey_chassis.settings import KafkaSettings

PRODUCER: Final = {
    "enable_idempotence": True,
    "acks": "all",
    "request_timeout_ms": 20_000,
    "max_batch_size": 262_144,
    "linger_ms": 0,
}
OLDEST_UNACKED_S = 10.0
"""When the producer is abandoned: long before a batch can expire inside it, which is after a request's time-out."""
ANSWER_S = 3.0
"""How long a broker may take to answer what a producer asks: one that stands still is asked no more, a new one is tried."""
STALLED_S = 1.0
"""After so long without an acknowledgement a partition's keys wait, and all others go on."""

REFUSED_FOR_GOOD = (MessageSizeTooLargeError, RecordTooLargeError, InvalidTopicError, TopicAuthorizationFailedError)
"""Errors that sending the same row again cannot mend. All others are tried again for as long as it takes."""


class SendFailed(Exception):
    """A send failed or took too long: the producer that it went through must not be used again."""

    def __init__(self, batch: "Batch", error: BaseException) -> None:
        super().__init__(f"{batch.partition.topic}: {error!r}")
        self.batch = batch
        self.error = error

    @property
    def for_good(self) -> bool:
        """Whether Kafka refuses a row of the batch, however often it is sent."""
        return isinstance(self.error, REFUSED_FOR_GOOD)


class Batch:
    """Rows of one partition in the order of their IDs, made into what Kafka takes at once.

    It is that partition because the topic has so many ``partitions``.
    """

    def __init__(self, partition: TopicPartition, partitions: int, built: BatchBuilder) -> None:
        self.partition = partition
        self._partitions = partitions
        self.rows: list[asyncpg.Record] = []
        self._built = built
        self.sent: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self.since = 0.0

    def append(self, row: asyncpg.Record, headers: Headers) -> bool:
        """Add the row; False when the batch is full."""
        key = row["key"].encode()
        if self._built.append(timestamp=None, key=key, value=row["payload"], headers=headers) is None:
            return False
        self.rows.append(row)
        return True

    @property
    def acknowledged(self) -> bool:
        return self.sent.done() and self.sent.exception() is None

    async def hand_over(self, producer: AIOKafkaProducer) -> None:
        """Let the producer have it, unless the topic turns out to have more partitions than were known, or fewer."""
        if len(await producer.partitions_for(self.partition.topic)) != self._partitions:
            raise UnknownTopicOrPartitionError(self.partition.topic)
        self._built.close()
        self.since = time.monotonic()
        self.sent = await producer.send_batch(self._built, self.partition.topic, partition=self.partition.partition)


class Outgoing:
    """A producer for as long as every send succeeds."""

    def __init__(self, kafka: KafkaSettings, client_id: str) -> None:
        self._producer = AIOKafkaProducer(**connection(kafka), client_id=client_id, **PRODUCER)
        self._under_way: dict[TopicPartition, Batch] = {}
        self._delivered: list[Batch] = []

    async def start(self) -> None:
        """Connect.

        Raises:
            KafkaError: no broker can be reached.
            TimeoutError: the one that was asked does not answer.
        """
        async with asyncio.timeout(ANSWER_S):
            await self._producer.start()

    async def abandon(self) -> None:
        """Close the producer's sockets without flushing: what it still holds must not be written any more.

        aiokafka has no public way to stop without a flush, hence its two private names.
        """
        for batch in self._under_way.values():
            batch.sent.cancel()
        self._producer._closed = True
        for close in (self._producer._sender.close, self._producer.client.close):
            # What aiokafka cancels may say so to us, and what cancels us may stop at aiokafka.
            with contextlib.suppress(KafkaError, OSError, TimeoutError, asyncio.CancelledError):
                async with asyncio.timeout(2):
                    await close()
        task = asyncio.current_task()
        if task and task.cancelling():
            raise asyncio.CancelledError

    # --- topics and partitions ---

    async def has_topic(self, topic: str, within_s: float) -> bool:
        """Whether Kafka has the topic: also when it is not ours to write, for sending will say so.

        Raises:
            TimeoutError: Kafka does not answer.
        """
        try:
            async with asyncio.timeout(within_s):
                return bool(await self._producer.partitions_for(topic))
        except (TimeoutError, UnknownTopicOrPartitionError):
            async with asyncio.timeout(ANSWER_S):
                await self._producer.client.force_metadata_update()
            return False
        except TopicAuthorizationFailedError:
            return True

    def partitions(self, topic: str) -> int:
        """How many partitions the topic has; one, if that is not known."""
        return len(self._producer.client.cluster.partitions_for_topic(topic) or (0,))

    def waits(self, partition: TopicPartition) -> bool:
        """Whether nothing can be sent there now: it has no leader, or does not acknowledge."""
        batch = self._under_way.get(partition)
        if batch and not batch.acknowledged and time.monotonic() - batch.since > STALLED_S:
            return True
        leaderless: bool = self._producer.client.cluster.leader_for_partition(partition) == -1
        return leaderless

    def look_for_leaders(self) -> None:
        """Ask Kafka who leads now: a later sweep goes by the answer."""
        self._producer.client.force_metadata_update()

    # --- batches ---

    def empty_batch(self, partition: TopicPartition, partitions: int) -> Batch:
        """A batch to fill, for one of so many partitions."""
        return Batch(partition, partitions, self._producer.create_batch())

    def is_free(self, partition: TopicPartition) -> bool:
        """Whether the partition has no batch under way."""
        return partition not in self._under_way

    async def send(self, batch: Batch) -> None:
        """Hand over a batch. Its partition must be free.

        Raises:
            SendFailed: it cannot even be handed over.
        """
        try:
            async with asyncio.timeout(ANSWER_S):
                await batch.hand_over(self._producer)
        except (KafkaError, TimeoutError) as error:
            raise SendFailed(batch, error) from error
        self._under_way[batch.partition] = batch

    def delivered(self) -> list[Batch]:
        """The batches that Kafka has acknowledged since the last call."""
        self._collect()
        found, self._delivered = self._delivered, []
        return found

    def check(self) -> None:
        """Is every send under way still hoped for?

        Raises:
            SendFailed: one has failed, or is overdue.
        """
        for batch in self._under_way.values():
            if batch.sent.done() and (error := batch.sent.exception()):
                raise SendFailed(batch, error)
            if not batch.sent.done() and time.monotonic() - batch.since > OLDEST_UNACKED_S:
                raise SendFailed(batch, TimeoutError("not acknowledged in time"))

    async def change(self, within_s: float) -> None:
        """Wait until a batch under way is acknowledged or fails, but no longer than so."""
        if sends := [batch.sent for batch in self._under_way.values() if not batch.sent.done()]:
            timeout_s = min(within_s, STALLED_S)
            await asyncio.wait(sends, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        self._collect()

    def moves(self) -> bool:
        """Whether there are batches under way to partitions that do acknowledge."""
        return any(not self.waits(partition) for partition in self._under_way)

    def under_way(self) -> set[TopicPartition]:
        """The partitions that have a batch under way."""
        return set(self._under_way)

    def _collect(self) -> None:
        for batch in [batch for batch in self._under_way.values() if batch.acknowledged]:
            self._delivered.append(self._under_way.pop(batch.partition))


@lru_cache(maxsize=100_000)
def partition_of(topic: str, key: str, partitions: int) -> TopicPartition:
    """Where Kafka's own clients would put the key. Remembered: the hash is slow in Python."""
    numbers = list(range(partitions))
    return TopicPartition(topic, DefaultPartitioner()(key.encode(), numbers, numbers))
