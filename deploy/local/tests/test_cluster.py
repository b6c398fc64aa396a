"""Kafka with three brokers."""

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from covey_chassis.kafka import connection
from covey_chassis.testing.broker import eventually
from covey_contracts import Topic
from covey_local.refused import Refused
from covey_local.stack import Stack
from covey_local.topics import administered, list_topics

from .conftest import CACHE
from .links import Forwarding

pytestmark = pytest.mark.timeout(300)

PARCELS = Topic(name="covey.parcel.sent.v1", aggregate="parcel", key="parcel_id", owner="post", partitions=3)
BROKERS = {1, 2, 3}


async def partitions(stack):
    """The partitions of the test's topic, as the brokers describe them."""
    async with administered(stack.infrastructure.kafka_settings) as admin:
        (found,) = await admin.describe_topics([PARCELS.name])
    return found["partitions"]


async def all_in_sync(stack) -> bool:
    found = await partitions(stack)
    return len(found) == PARCELS.partitions and all(set(each["isr"]) == BROKERS for each in found)


async def each_leads(stack, brokers: set[int]) -> bool:
    """Whether these brokers, and no others, lead the topic's partitions."""
    return {each["leader"] for each in await partitions(stack)} == brokers


async def send(stack, value: bytes, *, first: int = 0) -> None:
    """One record to each partition, acknowledged; by the brokers from ``first`` on."""
    settings = stack.infrastructure.kafka_settings
    servers = ",".join(settings.bootstrap_servers.split(",")[first:])
    options = connection(settings.model_copy(update={"bootstrap_servers": servers}))
    async with AIOKafkaProducer(**options, acks="all", enable_idempotence=True) as producer:
        for partition in range(PARCELS.partitions):
            await producer.send_and_wait(PARCELS.name, value, partition=partition)


async def kept(stack) -> list[bytes]:
    """All values of the topic's first partition."""
    partition = TopicPartition(PARCELS.name, 0)
    async with AIOKafkaConsumer(**connection(stack.infrastructure.kafka_settings)) as consumer:
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        end = (await consumer.end_offsets([partition]))[partition]
        return [(await consumer.getone()).value for _ in range(end)]


async def leads_no_more(stack, broker: int) -> bool:
    found = {each["leader"] for each in await partitions(stack)}
    return bool(found) and broker not in found


@pytest.fixture
def cluster(home):
    """Makes a stack without services, whose folder is the test's; three brokers unless it is said otherwise."""

    def make(**options) -> Stack:
        return Stack(home.folder, **{"brokers": 3, "services": (), "durable": False, "cache": CACHE, **options})

    return make


async def test_three_brokers_keep_all_copies_and_go_on_without_one(cluster):
    async with cluster() as stack:
        assert len(stack.run["kafka"].split(",")) == 3
        assert {"kafka-1", "kafka-2", "kafka-3"} < stack.run["pids"].keys()
        await stack.infrastructure.apply_topics([PARCELS])
        topics = await list_topics(stack.infrastructure.kafka_settings)
        assert {(topic.replicas, topic.settings["min.insync.replicas"]) for topic in topics} == {(3, "2")}
        await send(stack, b"all are there")
        async with stack.down("kafka-2"):
            assert "kafka-2" not in stack.run["pids"]
            await send(stack, b"one is not")
        await eventually(lambda: all_in_sync(stack))
    async with cluster() as again:
        assert await kept(again) == [b"all are there", b"one is not"]
    with pytest.raises(Refused, match=r"are those of a stack with `--brokers 3`: run it so"):
        await cluster(brokers=1).start()


async def test_a_broker_that_is_cut_off_from_the_others_leads_no_more(cluster):
    links = Forwarding()
    try:
        async with cluster(links=links) as stack:
            await stack.infrastructure.apply_topics([PARCELS])
            await eventually(lambda: each_leads(stack, BROKERS))
            links.cut("kafka-*>kafka-1", "kafka-1>kafka-*")
            await eventually(lambda: leads_no_more(stack, 1))
            await send(stack, b"the two others take it", first=1)
            links.heal()
            await eventually(lambda: all_in_sync(stack))
    finally:
        links.close()


def test_two_brokers_are_refused(cluster):
    with pytest.raises(Refused, match=r"A stack has 1 or 3 brokers, not 2\."):
        cluster(brokers=2)
