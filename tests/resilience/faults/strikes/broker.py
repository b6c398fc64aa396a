"""What befalls Kafka: brokers die, stand still, run out of disk, refuse."""

import asyncio
import signal
from random import Random
from uuid import uuid4

from aiokafka.admin import NewTopic
from aiokafka.partitioner import DefaultPartitioner
from covey_chassis.testing.broker import admin, eventually, in_background, insert, read_all
from covey_contracts.acls import Acl, principal_of
from covey_local.databases import connected
from covey_local.principals import ACLS, apply_acls

from tests.resilience.faults.world import NO_SPACE, World

OUTAGE_S = 32
"""Longer than a relay waits for an acknowledgement before it gives its producer up."""


async def broker_killed(world: World, rng: Random) -> None:
    """The only broker dies, three times."""
    for _ in range(3):
        await world.kill("kafka")
        await asyncio.sleep(rng.uniform(2, 6))


async def broker_stopped(world: World, _: Random) -> None:
    """The only broker stands still for 15 s."""
    async with world.platform.stopped("kafka"):
        await asyncio.sleep(15)
    await asyncio.sleep(3)


async def disk_full(world: World, _: Random) -> None:
    """The broker's disk is full, until somebody makes room."""
    said = world.logs("kafka")
    with world.disk.full():
        await asyncio.sleep(20)
        await said.until(NO_SPACE, within_s=20)
    await world.until_kafka_answers()


async def each_broker_killed(world: World, rng: Random) -> None:
    """Of three brokers each dies once: the leaders of every partition, and the controller."""
    for name in rng.sample(world.brokers, 3):
        await world.kill(name)
        await world.until_replicated()


async def each_broker_stopped(world: World, rng: Random) -> None:
    """Of three brokers each stands still for long enough to be replaced as a leader, and goes on."""
    for name in rng.sample(world.brokers, 3):
        async with world.platform.stopped(name):
            await asyncio.sleep(6)
        await world.until_replicated()


async def each_broker_restarted(world: World, rng: Random) -> None:
    """Of three brokers each is asked to end, and starts again."""
    for name in rng.sample(world.brokers, 3):
        await world.kill(name, how=signal.SIGTERM)
        await world.until_replicated()


async def partition_without_leader(world: World, _: Random) -> None:
    """A partition has no leader for longer than a batch may wait: its rows wait in order, other partitions' flow."""
    topic, kafka_settings = f"strikes.{uuid4().hex}", world.stack.infrastructure.kafka_settings
    # No contract knows the topic, so nobody may write to it yet.
    ours = Acl(principal_of("membership"), "topic", topic, "literal", "write")
    await apply_acls(kafka_settings, [*ACLS, ours])
    async with admin(kafka_settings) as kafka:
        homes = {0: [3], 1: [1], 2: [2]}
        made = await kafka.create_topics(
            [NewTopic(topic, -1, -1, replica_assignments=homes, topic_configs={"min.insync.replicas": "1"})]
        )
        assert not any(code for _, code, _ in made.topic_errors), made
    hot, other = _key_of_partition(0), _key_of_partition(1)
    written = {hot: 0, other: 0}

    async def write_on() -> None:
        async with connected(world.database_url("membership")) as membership:
            while True:
                for key in (*([hot] * 9), other):
                    written[key] += 1
                    await insert(membership, topic, key, written[key])
                await asyncio.sleep(0.2)

    async def sent(key: str, number: int) -> bool:
        async with connected(world.database_url("membership")) as membership:
            query = "SELECT 1 FROM outbox WHERE topic = $1 AND key = $2 AND sequence <= $3 LIMIT 1"
            return not await membership.fetchval(query, topic, key, number)

    held_up = ""
    async with in_background(write_on()) as writing:
        await asyncio.sleep(3)
        async with world.stack.down("kafka-3"):
            await asyncio.sleep(5)
            try:
                number = written[other]
                await eventually(lambda: sent(other, number), within_s=15)
                await world.flows()
            except AssertionError:
                held_up = "a partition without a leader holds up the others"
            await asyncio.sleep(OUTAGE_S)
        writing.cancel()
    for key, number in written.items():
        await eventually(lambda key=key, number=number: sent(key, number), within_s=60)
    await world.until_replicated()
    for key, number in written.items():
        found = [record for record in await read_all(kafka_settings, topic) if record.key == key.encode()]
        order = list(dict.fromkeys(int(dict(record.headers)["ce_sequence"]) for record in found))
        assert order == list(range(1, number + 1)), f"I1, I4: {number} rows of {key} came as {order}"
    async with admin(kafka_settings) as kafka:
        await kafka.delete_topics([topic])
    await apply_acls(kafka_settings, ACLS)
    assert not held_up, f"I7: {held_up}"


def _key_of_partition(partition: int) -> str:
    spread = DefaultPartitioner()
    return next(
        key
        for key in (f"key-{number}" for number in range(1000))
        if spread(key.encode(), [0, 1, 2], [0, 1, 2]) == partition
    )
