"""The relay and three brokers, one of which fails: its partitions' keys wait, and all others flow."""

import signal
from collections.abc import AsyncIterator

import asyncpg
import pytest
from aiokafka.admin import NewTopic
from covey_chassis import outgoing
from covey_chassis.ids import new_id
from covey_chassis.outgoing import partition_of
from covey_chassis.relay import Relay
from covey_chassis.settings import KafkaSettings
from covey_chassis.testing import DatabaseUrls, NewDatabase
from covey_chassis.testing.broker import admin, eventually, in_background, insert, read_all, scalar
from covey_chassis.testing.machinery import CACHE
from covey_local.infrastructure import Infrastructure

KEYS = [f"key-{number}" for number in range(12)]
LOST = 2
"""The partition whose only copy is on the broker that dies."""
WAITING = [key for key in KEYS if partition_of("", key, 3).partition == LOST]


@pytest.fixture(scope="module")
async def brokers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Infrastructure]:
    three = Infrastructure(tmp_path_factory.mktemp("three"), brokers=3, durable=False, cache=CACHE)
    try:
        async with three:
            yield three
    finally:
        three.delete()


async def spread_topic(kafka: KafkaSettings) -> str:
    """A topic whose partitions each have one copy, on a broker of its own."""
    name = f"covey.toy.{new_id().hex}.v1"
    async with admin(kafka) as client:
        places = {number: [number + 1] for number in range(3)}
        settings = {"min.insync.replicas": "1"}
        await client.create_topics([NewTopic(name, -1, -1, replica_assignments=places, topic_configs=settings)])
    return name


async def put_one_each(database: DatabaseUrls, topic: str, sequence: int) -> None:
    connection = await asyncpg.connect(database.worker)
    for key in KEYS:
        await insert(connection, topic, key, sequence)
    await connection.close()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
async def test_a_partition_without_a_leader_holds_up_its_own_keys_only_and_they_follow_when_it_is_back(
    new_database: NewDatabase, brokers: Infrastructure, monkeypatch: pytest.MonkeyPatch, how: signal.Signals
) -> None:
    monkeypatch.setattr(outgoing, "OLDEST_UNACKED_S", 3.0)  # so that a producer is abandoned meanwhile
    kafka, running = brokers.kafka_settings, brokers.home.running
    topic = await spread_topic(kafka)
    assert 0 < len(WAITING) < len(KEYS)
    async with new_database("covey_chassis") as database:
        relay = Relay(service="chassis", database_url=database.worker, kafka=kafka)

        async def left(rows: int) -> None:
            async def is_so() -> bool:
                return await scalar(database.worker, "SELECT count(*) FROM outbox") == rows

            await eventually(is_so)

        async with in_background(relay.run()):
            await put_one_each(database, topic, 1)
            await left(0)
            part, process = running.part("kafka-3"), running.process("kafka-3")
            process.send_signal(how)
            for sequence in range(2, 10):
                await put_one_each(database, topic, sequence)
                await left(len(WAITING) * (sequence - 1))

            if how == signal.SIGSTOP:
                process.send_signal(signal.SIGCONT)
            else:
                await running.start(part)
            await left(0)

    sequences: dict[str, list[int]] = {key: [] for key in KEYS}
    for record in await read_all(kafka, topic):
        sequence = int(dict(record.headers)["ce_sequence"])
        if sequence not in sequences[record.key.decode()]:
            sequences[record.key.decode()].append(sequence)
    assert sequences == {key: list(range(1, 10)) for key in KEYS}
