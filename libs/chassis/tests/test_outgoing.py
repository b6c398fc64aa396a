"""The relay's producer, by itself."""

import asyncio
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from covey_chassis.outgoing import Outgoing, SendFailed
from covey_chassis.settings import KafkaSettings
from covey_chassis.testing.broker import new_topic, read_all

ROW = cast("Any", {"key": "toy", "payload": b"{}"})


def an_outgoing(kafka: KafkaSettings) -> Outgoing:
    return Outgoing(kafka, "chassis-relay")


async def test_a_batch_that_was_made_for_another_number_of_partitions_is_not_handed_over(kafka: KafkaSettings) -> None:
    """Metadata come and go: a topic that is not known looks as if it had one partition, where every key would go."""
    topic = await new_topic(kafka, partitions=3)
    outgoing = an_outgoing(kafka)
    await outgoing.start()
    try:
        batch = outgoing.empty_batch(TopicPartition(topic, 0), 1)
        assert batch.append(ROW, [])
        with pytest.raises(SendFailed) as failed:
            await outgoing.send(batch)
    finally:
        await outgoing.abandon()

    assert not failed.value.for_good, "it is tried again"
    assert await read_all(kafka, topic) == []


async def test_whoever_is_cancelled_while_a_producer_is_abandoned_ends(kafka: KafkaSettings) -> None:
    """At whichever turn of the loop: aiokafka, when it closes, swallows a cancellation at some of them."""
    for turns in range(1000):
        outgoing = an_outgoing(kafka)
        await outgoing.start()
        abandoning = asyncio.create_task(outgoing.abandon())
        for _ in range(turns):
            await asyncio.sleep(0)
        if abandoning.done():
            break

        abandoning.cancel()

        with pytest.raises(asyncio.CancelledError):
            await abandoning
    assert turns > 2, "there was something to cancel"
