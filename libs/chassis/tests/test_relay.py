"""The relay on a real outbox and a real broker: all of it, in each key's order, whatever breaks in between."""

import asyncio
import os
import signal
from collections import defaultdict
from collections.abc import AsyncIterator

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaError
from covey_chassis import relay
from covey_chassis.ids import new_id
from covey_chassis.relay import PAGE_ROWS, Relay
from covey_chassis.settings import KafkaSettings
from covey_chassis.testing import DatabaseUrls, NewDatabase, armed
from covey_chassis.testing.broker import (
    admin,
    eventually,
    in_background,
    insert,
    new_topic,
    producing,
    put,
    read_all,
    scalar,
)
from covey_chassis.testing.machinery import start_machinery
from sqlalchemy import make_url


@pytest.fixture
async def database(new_database: NewDatabase) -> AsyncIterator[DatabaseUrls]:
    async with new_database("covey_chassis") as urls:
        yield urls


def a_relay(database: DatabaseUrls, kafka: KafkaSettings) -> Relay:
    return Relay(service="chassis", database_url=database.worker, kafka=kafka)


async def emptied(database: DatabaseUrls, left: int = 0) -> None:
    async def is_empty() -> bool:
        return await scalar(database.worker, "SELECT count(*) FROM outbox") == left

    await eventually(is_empty)


def sequences(records: list[ConsumerRecord]) -> dict[str, list[int]]:
    """For each key, the sequences in the order of their first copies."""
    found: dict[str, list[int]] = defaultdict(list)
    for record in records:
        sequence = int(dict(record.headers)["ce_sequence"])
        if sequence not in found[record.key.decode()]:
            found[record.key.decode()].append(sequence)
    return dict(found)


async def fill(database: DatabaseUrls, topic: str, *, keys: int, rows: int) -> dict[str, list[int]]:
    """``rows`` rows for each key, interleaved; what a reader must see of each key."""
    connection = await asyncpg.connect(database.worker)
    for sequence in range(1, rows + 1):
        for key in range(keys):
            await insert(connection, topic, f"key-{key}", sequence)
    await connection.close()
    return {f"key-{key}": list(range(1, rows + 1)) for key in range(keys)}


async def test_every_row_is_sent_in_its_keys_order_and_deleted(database: DatabaseUrls, kafka: KafkaSettings) -> None:
    topic = await new_topic(kafka)
    expected = await fill(database, topic, keys=7, rows=300)

    async with in_background(a_relay(database, kafka).run()):
        await emptied(database)

    records = await read_all(kafka, topic)
    assert sequences(records) == expected
    assert len(records) == 2100
    partitions = defaultdict(set)
    for record in records:
        partitions[record.key].add(record.partition)
    assert all(len(found) == 1 for found in partitions.values())


async def test_a_record_carries_the_cloudevents_envelope_in_its_headers_and_nothing_but_the_fact_in_its_value(
    database: DatabaseUrls, kafka: KafkaSettings
) -> None:
    topic = await new_topic(kafka)
    await put(database.worker, topic, "key", 12, b'{"face": 3}')

    async with in_background(a_relay(database, kafka).run()):
        await emptied(database)

    (record,) = await read_all(kafka, topic)
    headers = {name: value.decode() for name, value in record.headers}
    assert record.value == b'{"face": 3}'
    assert record.key == b"key"
    assert headers["ce_specversion"] == "1.0"
    assert headers["ce_type"] == topic
    assert headers["ce_source"] == "/chassis"
    assert headers["ce_subject"] == headers["ce_partitionkey"] == "key"
    assert headers["ce_sequence"] == "00000000000000000012"
    assert headers["ce_correlationid"] == "conversation"
    assert headers["content-type"] == "application/json"
    assert headers["ce_time"].endswith("Z")


async def test_a_key_is_in_the_partition_where_every_client_of_kafka_puts_it(
    database: DatabaseUrls, kafka: KafkaSettings
) -> None:
    topic = await new_topic(kafka, partitions=7)
    await fill(database, topic, keys=30, rows=1)

    async with in_background(a_relay(database, kafka).run()):
        await emptied(database)

    relayed = {record.key: record.partition for record in await read_all(kafka, topic)}
    async with producing(kafka) as producer:
        for key, partition in relayed.items():
            assert (await producer.send_and_wait(topic, b"{}", key=key)).partition == partition


async def test_events_that_do_not_fit_into_one_batch_keep_their_order(
    database: DatabaseUrls, kafka: KafkaSettings
) -> None:
    topic = await new_topic(kafka)
    for sequence in range(1, 13):
        for key in ("key-0", "key-1", "key-2"):
            await put(database.worker, topic, key, sequence, b'{"face": "' + b"x" * 150_000 + b'"}')

    async with in_background(a_relay(database, kafka).run()):
        await emptied(database)

    records = await read_all(kafka, topic)
    assert len(records) == 36
    assert sequences(records) == {f"key-{number}": list(range(1, 13)) for number in range(3)}


async def test_a_row_that_commits_after_later_ones_were_sent_is_sent_too(
    database: DatabaseUrls, kafka: KafkaSettings
) -> None:
    topic = await new_topic(kafka)
    slow = await asyncpg.connect(database.worker)
    transaction = slow.transaction()
    await transaction.start()
    await insert(slow, topic, "slow", 1)
    await put(database.worker, topic, "quick", 1)

    async with in_background(a_relay(database, kafka).run()):
        await emptied(database)
        assert sequences(await read_all(kafka, topic)) == {"quick": [1]}
        await transaction.commit()
        await emptied(database)

    assert sequences(await read_all(kafka, topic)) == {"quick": [1], "slow": [1]}
    await slow.close()


async def test_one_relay_is_active_and_a_standby_takes_over_with_a_higher_fence(
    database: DatabaseUrls, kafka: KafkaSettings
) -> None:
    topic = await new_topic(kafka)
    first, standby = a_relay(database, kafka), a_relay(database, kafka)

    async def is_active(relay: Relay) -> bool:
        return relay.active

    async with in_background(standby.run()) as standing_by:
        await eventually(lambda: is_active(standby))
        async with in_background(first.run()):
            await put(database.worker, topic, "key", 1)
            await emptied(database)
            assert not first.active
            fence = await scalar(database.worker, "SELECT fence FROM relay_lease")
            standing_by.cancel()
            await asyncio.wait([standing_by])
            await standby.release()
            await eventually(lambda: is_active(first))
            await put(database.worker, topic, "key", 2)
            await emptied(database)

    assert await scalar(database.worker, "SELECT fence FROM relay_lease") == fence + 1
    assert sequences(await read_all(kafka, topic)) == {"key": [1, 2]}


async def test_a_relay_that_lost_its_lease_while_it_was_stopped_deletes_nothing(
    database: DatabaseUrls, kafka: KafkaSettings
) -> None:
    topic = await new_topic(kafka)
    await put(database.worker, topic, "key", 1)

    with armed("relay.after_ack:sleep=2"):
        zombie = a_relay(database, kafka)
        async with in_background(zombie.run()):

            async def was_sent() -> bool:
                return bool(await read_all(kafka, topic))

            async def has_given_up() -> bool:
                return not zombie.active

            await eventually(was_sent)
            await scalar(
                database.worker,
                "UPDATE relay_lease SET holder = gen_random_uuid(), fence = fence + 1,"
                " expires_at = now() + interval '1 hour' RETURNING 1",
            )
            await eventually(has_given_up)

    assert await scalar(database.worker, "SELECT count(*) FROM outbox") == 1


async def test_a_crash_between_kafkas_answer_and_the_delete_sends_the_same_events_again(
    database: DatabaseUrls, kafka: KafkaSettings
) -> None:
    topic = await new_topic(kafka)
    expected = await fill(database, topic, keys=3, rows=20)

    with armed("relay.after_ack:raise"):
        async with in_background(a_relay(database, kafka).run()) as relay:
            await asyncio.wait([relay])
    assert await scalar(database.worker, "SELECT count(*) FROM outbox") == 60
    await scalar(database.worker, "UPDATE relay_lease SET expires_at = now() RETURNING 1")
    async with in_background(a_relay(database, kafka).run()):
        await emptied(database)

    records = await read_all(kafka, topic)
    assert len(records) == 120
    assert len({dict(record.headers)["ce_id"] for record in records}) == 60
    assert sequences(records) == expected


async def test_an_event_too_large_for_its_topic_blocks_its_own_key_only(
    database: DatabaseUrls, kafka: KafkaSettings
) -> None:
    """T9: an idempotent producer is broken for the partition for ever after such an error."""
    topic = await new_topic(kafka, partitions=1, max_message_bytes="2000")
    await put(database.worker, topic, "healthy", 1)
    await put(database.worker, topic, "large", 1, b'{"face": "' + b"x" * 5000 + b'"}')
    await put(database.worker, topic, "large", 2)
    await put(database.worker, topic, "healthy", 2)

    async with in_background(a_relay(database, kafka).run()):
        await emptied(database, left=2)
        await put(database.worker, topic, "healthy", 3)
        await emptied(database, left=2)
        assert sequences(await read_all(kafka, topic)) == {"healthy": [1, 2, 3]}
        assert await scalar(database.worker, "SELECT key FROM outbox_blocked") == "large"

        await scalar(
            database.worker, "UPDATE outbox SET payload = '{}' WHERE key = 'large' AND sequence = 1 RETURNING 1"
        )
        await scalar(database.worker, "DELETE FROM outbox_blocked RETURNING 1")
        await emptied(database)

    assert sequences(await read_all(kafka, topic)) == {"healthy": [1, 2, 3], "large": [1, 2]}


async def test_t10_t11_while_the_broker_stands_still_nothing_fails_and_the_order_holds(database: DatabaseUrls) -> None:
    """A broker of its own, stopped for longer than a client's usual time-outs between two of its acknowledgements."""
    async with start_machinery() as own:
        topic = await new_topic(own.kafka)
        pid = own.kafka_pid
        if pid is None:
            pytest.skip("the broker runs in a container: its process cannot be stopped from here")
        async with in_background(a_relay(database, own.kafka).run()):
            await put(database.worker, topic, "key-0", 1)
            await emptied(database)
            os.kill(pid, signal.SIGSTOP)
            try:
                connection = await asyncpg.connect(database.worker)
                for sequence in range(2, 1001):
                    await insert(connection, topic, "key-0", sequence)
                await connection.close()
                await asyncio.sleep(12)  # longer than the lease, a poll, and the broker's own session
            finally:
                os.kill(pid, signal.SIGCONT)
            await emptied(database)

        assert sequences(await read_all(own.kafka, topic)) == {"key-0": list(range(1, 1001))}


async def test_a_row_that_commits_during_a_sweep_is_not_overtaken_by_its_keys_next(
    database: DatabaseUrls, kafka: KafkaSettings
) -> None:
    """The first page was read before the slow row's commit; the key's next row came into being after it."""
    topic = await new_topic(kafka)
    slow = await asyncpg.connect(database.worker)
    transaction = slow.transaction()
    await transaction.start()
    await insert(slow, topic, "slow", 1)
    await fill(database, topic, keys=1, rows=PAGE_ROWS)

    with armed("relay.after_select:sleep=1"):
        async with in_background(a_relay(database, kafka).run()):
            await asyncio.sleep(0.5)  # it has read its first page
            await transaction.commit()
            await put(database.worker, topic, "slow", 2)
            await emptied(database)

    assert sequences(await read_all(kafka, topic))["slow"] == [1, 2]
    await slow.close()


async def test_a_key_that_an_operator_gives_back_during_a_sweep_keeps_its_order(
    database: DatabaseUrls, kafka: KafkaSettings
) -> None:
    topic = await new_topic(kafka)
    await put(database.worker, topic, "blocked", 1)
    await scalar(
        database.worker, "INSERT INTO outbox_blocked VALUES ('blocked', 1, $1, 'too large') RETURNING 1", topic
    )
    await fill(database, topic, keys=1, rows=PAGE_ROWS)
    await put(database.worker, topic, "blocked", 2)

    with armed("relay.after_select:sleep=1"):
        async with in_background(a_relay(database, kafka).run()):
            await asyncio.sleep(0.5)
            await scalar(database.worker, "DELETE FROM outbox_blocked RETURNING 1")
            await emptied(database)

    assert sequences(await read_all(kafka, topic))["blocked"] == [1, 2]


async def test_a_topic_that_is_not_there_yet_holds_up_its_own_keys_only(
    database: DatabaseUrls, kafka: KafkaSettings
) -> None:
    topic, missing = await new_topic(kafka), f"covey.toy.{new_id().hex}.v1"
    await put(database.worker, missing, "early", 1)
    await put(database.worker, topic, "early", 2)
    await put(database.worker, topic, "healthy", 1)

    async with in_background(a_relay(database, kafka).run()):
        await emptied(database, left=2)
        assert sequences(await read_all(kafka, topic)) == {"healthy": [1]}
        async with admin(kafka) as client:
            await client.create_topics([NewTopic(missing, 1, 1)])
        await emptied(database)

    assert sequences(await read_all(kafka, missing)) == {"early": [1]}
    assert sequences(await read_all(kafka, topic)) == {"healthy": [1], "early": [2]}


async def test_sends_that_go_on_failing_are_tried_again_after_pauses(
    database: DatabaseUrls, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = await new_topic(kafka)
    await put(database.worker, topic, "key", 1)
    tries = 0

    async def fail(*_: object, **__: object) -> None:
        nonlocal tries
        tries += 1
        raise KafkaError("not today")

    with monkeypatch.context() as patched:
        patched.setattr(AIOKafkaProducer, "send_batch", fail)
        async with in_background(a_relay(database, kafka).run()):
            await asyncio.sleep(3)
    assert 2 <= tries <= 6


async def test_the_outboxs_age_and_the_blocked_keys_are_told_while_kafka_is_away_too(database: DatabaseUrls) -> None:
    await put(database.worker, "covey.toy.turned.v1", "blocked", 1)
    await put(database.worker, "covey.toy.turned.v1", "key", 1)
    await scalar(database.worker, "UPDATE outbox SET occurred_at = now() - interval '1 hour' RETURNING 1")
    await scalar(
        database.worker, "INSERT INTO outbox_blocked VALUES ('blocked', 1, 'covey.toy.turned.v1', 'no') RETURNING 1"
    )

    def told() -> tuple[bool, float]:
        return relay.WAITING._value.get() > 3600, relay.BLOCKED._value.get()

    async with in_background(a_relay(database, KafkaSettings(bootstrap_servers="127.0.0.1:1")).run()):

        async def tells(expected: tuple[bool, float]) -> bool:
            return told() == expected

        await eventually(lambda: tells((True, 1)))
        await scalar(database.worker, "DELETE FROM outbox_blocked RETURNING 1")
        await eventually(lambda: tells((True, 0)))
        await scalar(database.worker, "DELETE FROM outbox RETURNING 1")
        await eventually(lambda: tells((False, 0)))


async def test_rows_are_sent_in_the_order_of_their_ids_wherever_they_lie_in_the_table(
    database: DatabaseUrls, kafka: KafkaSettings, postgres: str
) -> None:
    topic = await new_topic(kafka)
    expected = await fill(database, topic, keys=1, rows=5)
    await scalar(database.worker, "UPDATE outbox SET payload = payload WHERE sequence = 1 RETURNING 1")  # now the last
    name = make_url(database.worker).database
    for scan in ("indexscan", "indexonlyscan", "bitmapscan"):
        await scalar(postgres, f"ALTER DATABASE {name} SET enable_{scan} = off")

    async with in_background(a_relay(database, kafka).run()):
        await emptied(database)

    assert sequences(await read_all(kafka, topic)) == expected


async def test_a_producer_whose_send_failed_is_closed_and_not_used_again(
    database: DatabaseUrls, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = await new_topic(kafka)
    await put(database.worker, topic, "key", 1)
    used: list[AIOKafkaProducer] = []
    send = AIOKafkaProducer.send_batch

    async def fail_once(producer: AIOKafkaProducer, *arguments: object, **named: object) -> object:
        used.append(producer)
        if len(used) == 1:
            raise KafkaError("once")
        return await send(producer, *arguments, **named)

    monkeypatch.setattr(AIOKafkaProducer, "send_batch", fail_once)
    async with in_background(a_relay(database, kafka).run()):
        await emptied(database)
        assert used[0] not in used[1:]
        assert used[0]._closed
        assert used[0]._sender.sender_task is None or used[0]._sender.sender_task.done()
        assert not any(connection.connected() for connection in used[0].client._conns.values())
