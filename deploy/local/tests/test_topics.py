import dataclasses
from datetime import timedelta

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import UnknownTopicOrPartitionError
from covey_chassis.kafka import connection
from covey_chassis.settings import KafkaSettings
from covey_contracts import EVENTS, Topic
from covey_local.events import NoSuchTopic, tail
from covey_local.refused import Refused
from covey_local.topics import TopicsRefused, list_topics

KEPT = Topic(name="covey.parcel.sent.v1", aggregate="parcel", key="parcel_id", owner="post", partitions=3)
SHORT = Topic(name="covey.parcel.tracked.v1", aggregate="parcel", key="parcel_id", owner="post", kept_days=30)


async def on_broker(stack, name):
    return next(topic for topic in await list_topics(stack.kafka_settings) if topic.name == name)


async def test_missing_topics_are_made_as_the_contracts_say(stack):
    applied = await stack.apply_topics([KEPT, SHORT])
    again = await stack.apply_topics([KEPT, SHORT])

    assert applied.created == (KEPT.name, SHORT.name)
    assert again.unchanged == (KEPT.name, SHORT.name)
    kept, short = await on_broker(stack, KEPT.name), await on_broker(stack, SHORT.name)
    assert (kept.partitions, kept.settings["retention.ms"]) == (3, "-1")
    assert (short.partitions, short.settings["retention.ms"]) == (
        6,
        str(timedelta(days=30) // timedelta(milliseconds=1)),
    )
    assert kept.settings["cleanup.policy"] == "delete"
    assert kept.settings["compression.type"] == "uncompressed"


async def test_another_retention_is_set(stack):
    await stack.apply_topics([KEPT, SHORT])
    applied = await stack.apply_topics([KEPT, dataclasses.replace(SHORT, kept_days=7)])

    assert (applied.altered, applied.unchanged) == ((SHORT.name,), (KEPT.name,))
    found = await on_broker(stack, SHORT.name)
    assert found.settings["retention.ms"] == str(timedelta(days=7) // timedelta(milliseconds=1))


async def test_another_number_of_partitions_is_refused_before_anything_changes(stack):
    await stack.apply_topics([KEPT, SHORT])
    new = dataclasses.replace(KEPT, name="covey.parcel.lost.v1")
    with pytest.raises(TopicsRefused, match=r"covey\.parcel\.sent\.v1 has 3 partitions, the contract says 4"):
        await stack.apply_topics([new, dataclasses.replace(KEPT, partitions=4)])

    assert new.name not in [topic.name for topic in await list_topics(stack.kafka_settings)]


async def test_topics_that_no_contract_knows_are_named_and_left_alone(stack):
    await stack.apply_topics([KEPT, SHORT])
    applied = await stack.apply_topics([KEPT])

    assert SHORT.name in applied.unknown
    assert await on_broker(stack, SHORT.name)


async def test_every_contract_gets_its_topic(stack):
    await stack.apply_topics()

    there = {topic.name: topic.partitions for topic in await list_topics(stack.kafka_settings)}
    assert {event.topic.name: event.topic.partitions for event in EVENTS}.items() <= there.items()


async def test_nobody_makes_a_topic_by_writing_to_it(stack):
    async with AIOKafkaProducer(**connection(stack.kafka_settings), request_timeout_ms=2000) as producer:
        with pytest.raises(UnknownTopicOrPartitionError):
            await producer.partitions_for("covey.nobody.knows.v1")


async def test_events_are_shown_with_their_envelope(stack):
    await stack.apply_topics([KEPT])
    envelope = [("ce_type", KEPT.name.encode()), ("ce_subject", b"p-1"), ("ce_sequence", b"%020d" % 7)]
    async with AIOKafkaProducer(**connection(stack.kafka_settings)) as producer:
        await producer.send_and_wait(KEPT.name, b'{"weight": 3}', key=b"p-1", headers=envelope)
        await producer.send_and_wait(KEPT.name, b"\xff no json", key=None, headers=[("ce_type", b"\xff")])

    seen = [event async for event in tail(stack.kafka_settings, ["parcel.sent"], from_beginning=True, follow=False)]

    good = next(event for event in seen if event.key == "p-1")
    assert 'p-1    7 {"weight": 3}' in good.line
    assert any("no json" in event.line for event in seen)


async def test_a_type_that_is_not_there_is_refused_by_name(stack):
    with pytest.raises(NoSuchTopic, match=r"no topic parcel\.stolen"):
        [event async for event in tail(stack.kafka_settings, ["parcel.stolen"])]


async def test_a_broker_that_is_away_is_a_sentence(stack):
    with pytest.raises(Refused, match=r"Kafka at 127\.0\.0\.1:1:"):
        await list_topics(KafkaSettings(bootstrap_servers="127.0.0.1:1"))
