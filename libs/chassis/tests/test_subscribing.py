"""Consumers on a real broker: each trap that Kafka, aiokafka and FastStream lay by default is provoked here.

T1 ... T18 are the traps of docs/messaging-traps.md.
"""

import asyncio
import os
import secrets
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import NewTopic, RecordsToDelete
from aiokafka.errors import KafkaConnectionError
from aiokafka.record import default_records
from covey_chassis import subscribing
from covey_chassis.consumer import Consumer
from covey_chassis.envelope import Envelope
from covey_chassis.ids import new_id
from covey_chassis.running import Running
from covey_chassis.service import Service
from covey_chassis.settings import KafkaSettings, Role
from covey_chassis.testing import DatabaseUrls, NewDatabase, armed, service_settings
from covey_chassis.testing.broker import admin, eventually, headers, new_topic, producing, scalar
from covey_chassis.testing.machinery import start_machinery
from covey_contracts import Event, Topic
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncSession

pytestmark = [pytest.mark.timeout(180), pytest.mark.usefixtures("signing_key")]


class Turned(Event):
    """A toy was turned: it shows ``face`` now."""

    toy_id: str
    face: int


def turned_on(topic: str) -> type[Turned]:
    """The same kind of event on a topic of the test's own."""

    class OnTopic(Turned):
        topic: ClassVar[Topic]

    OnTopic.topic = Topic(name=topic, aggregate="toy", key="toy_id", owner="chassis")
    return OnTopic


class Toys:
    """A consumer whose handler writes one row for each event, and does what the test asks for before."""

    def __init__(
        self, topic: str, database: DatabaseUrls, kafka: KafkaSettings, keys: Path, since: str = "beginning"
    ) -> None:
        self.topic = topic
        self.database = database
        self._kafka = kafka
        self._keys = keys
        self.refused: set[int] = set()
        self.calls = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.block_s = 0.0
        self.slow_s = 0.0
        self.timing_out: set[str] = set()
        self.statement = "SELECT 1"
        self.others: list[Consumer] = []
        self.consumer = Consumer("chassis.toys", since=since)  # type: ignore[arg-type]
        self.consumer.on(turned_on(topic))(self.on_turned)

    async def on_turned(self, session: AsyncSession, event: Turned, envelope: Envelope) -> None:
        self.calls += 1
        if self.block_s:
            blocked, self.block_s = self.block_s, 0.0
            time.sleep(blocked)
        await asyncio.sleep(self.slow_s)
        await self.gate.wait()
        await session.execute(text(self.statement))
        if event.toy_id in self.timing_out:
            await session.execute(text("SET LOCAL statement_timeout = 1"))
            await session.execute(text("SELECT pg_sleep(5)"))
        if event.face in self.refused:
            raise ValueError("this face is refused")
        await session.execute(
            text("INSERT INTO effect (event_id, toy, face) VALUES (:id, :toy, :face)"),
            {"id": envelope.id, "toy": event.toy_id, "face": event.face},
        )

    def process(self, **settings_of_test: object) -> Running:
        """One process's worth of it."""
        service = Service("chassis", "A toy", consumers=[self.consumer, *self.others])
        settings: dict[str, object] = {
            "kafka": self._kafka,
            "roles": frozenset({Role.CONSUMERS, Role.WORKERS}),
            **settings_of_test,
        }
        return Running(service, service_settings(service, self.database, self._keys, **settings))

    @asynccontextmanager
    async def running(self, **settings_of_test: object) -> AsyncIterator[Running]:
        """A process that is ready, until the block ends by a clean stop."""
        running = self.process(**settings_of_test)
        async with running.lifespan():

            async def is_ready() -> bool:
                return all([await check() is None for _, check in running.ready()])

            await eventually(is_ready)
            yield running

    async def send(self, *faces: int, key: str = "toy") -> None:
        async with producing(self._kafka) as producer:
            for face in faces:
                value = Turned(toy_id=key, face=face).model_dump_json().encode()
                await producer.send_and_wait(self.topic, value, key=key.encode(), headers=headers(self.topic, key))

    async def send_raw(
        self, value: bytes | None, raw_headers: list[tuple[str, bytes | None]], key: str = "toy"
    ) -> None:
        async with producing(self._kafka) as producer:
            await producer.send_and_wait(self.topic, value, key=key.encode(), headers=raw_headers)

    async def effects(self, key: str = "toy") -> list[int]:
        found = await scalar(self.database.worker, "SELECT array_agg(face ORDER BY id) FROM effect WHERE toy = $1", key)
        return list(found or [])  # type: ignore[call-overload]

    async def have(self, *faces: int, key: str = "toy", within_s: float = 30) -> None:
        async def there() -> bool:
            return len(await self.effects(key)) >= len(faces)

        await eventually(there, within_s=within_s)
        assert await self.effects(key) == list(faces)

    async def count(self, table: str) -> int:
        return int(await scalar(self.database.worker, f"SELECT count(*) FROM {table}"))  # type: ignore[call-overload]

    async def committed(self) -> int:
        return int(await scalar(self.database.worker, "SELECT sum(next_offset) FROM position"))  # type: ignore[call-overload]


@pytest.fixture
async def database(new_database: NewDatabase) -> AsyncIterator[DatabaseUrls]:
    async with new_database("covey_chassis") as urls:
        await scalar(
            urls.owner,
            "CREATE TABLE effect (id bigint GENERATED ALWAYS AS IDENTITY, event_id text, toy text, face int)",
        )
        yield urls


@pytest.fixture
async def toys(database: DatabaseUrls, kafka: KafkaSettings, sealing_keys: Path) -> Toys:
    return Toys(await new_topic(kafka), database, kafka, sealing_keys)


async def test_effects_happen_once_and_in_order_and_survive_a_restart(toys: Toys) -> None:
    async with toys.running():
        await toys.send(1, 2, 3)
        await toys.have(1, 2, 3)
    await toys.send(4, 5)
    async with toys.running():
        await toys.have(1, 2, 3, 4, 5)
    assert toys.calls == 5


async def test_the_same_event_in_two_records_has_one_effect(toys: Toys, kafka: KafkaSettings) -> None:
    twice = headers(toys.topic, "toy", event_id="one-event")
    async with toys.running():
        await toys.send_raw(b'{"toy_id": "toy", "face": 1}', twice)
        await toys.send_raw(b'{"toy_id": "toy", "face": 1}', twice)
        await toys.send(2)
        await toys.have(1, 2)


@pytest.mark.parametrize(
    ("what", "bad_header"),
    [("a null header value", ("x", None)), ("a header that is not UTF-8", ("x", b"\xff\xfe")), ("no text", ("x", b""))],
)
async def test_t1_a_record_with_an_odd_header_is_read_like_any_other(
    toys: Toys, what: str, bad_header: tuple[str, bytes | None]
) -> None:
    """By default FastStream skips it, and commits past it."""
    async with toys.running():
        await toys.send(1)
        await toys.send_raw(b'{"toy_id": "toy", "face": 2}', [*headers(toys.topic, "toy"), bad_header])
        await toys.send(3)
        await toys.have(1, 2, 3)


async def test_t1_a_record_with_a_headers_name_that_is_no_text_is_put_aside_and_holds_nobody_up(
    toys: Toys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default aiokafka's loop ends, for all partitions. Other clients write any bytes; aiokafka has to be made to."""

    class NoText(str):
        __slots__ = ()

        def encode(self, *_: object) -> bytes:
            return b"\xff\xfe"

    async def send_odd() -> None:
        with monkeypatch.context() as patched:
            for module in ("producer", "message_accumulator"):
                name = f"aiokafka.producer.{module}.DefaultRecordBatchBuilder"
                patched.setattr(name, default_records._DefaultRecordBatchBuilderPy)
            await toys.send_raw(b'{"toy_id": "toy", "face": 2}', [*headers(toys.topic, "toy"), (NoText("x"), b"")])

    async with toys.running():
        toys.gate.clear()
        await toys.send(1)
        await send_odd()
        await toys.send(3)
        await send_odd()
        await toys.send(5, 6)
        await toys.send(7, key="other")
        toys.gate.set()
        await toys.have(1, 3, 5, 6)
        await toys.have(7, key="other")
        await toys.send(8)
        await toys.have(1, 3, 5, 6, 8)
    assert await toys.count("dead_letter") == 2


@pytest.mark.parametrize(
    ("what", "value", "without"),
    [
        ("not JSON", b"{oops", None),
        ("nothing", b"", None),
        ("a null value", None, None),
        ("not an object", b"[1]", None),
        ("900 kB of noise", b"\xff" * 900_000, None),
        ("no event ID", b'{"toy_id": "toy", "face": 2}', "ce_id"),
        ("no type", b'{"toy_id": "toy", "face": 2}', "ce_type"),
        ("no subject", b'{"toy_id": "toy", "face": 2}', "ce_subject"),
    ],
)
async def test_t2_what_cannot_be_read_is_kept_byte_for_byte_and_holds_nobody_up(
    toys: Toys, what: str, value: bytes | None, without: str | None
) -> None:
    """By default it is read again for ever, without a pause."""
    async with toys.running():
        await toys.send(1)
        await toys.send_raw(value, [header for header in headers(toys.topic, "toy") if header[0] != without])
        await toys.send(3)
        await toys.have(1, 3)

    assert await toys.count("dead_letter") == 1
    assert await scalar(toys.database.worker, "SELECT payload FROM dead_letter") == value
    assert toys.calls == 2


async def test_t2_an_event_that_its_model_refuses_parks_its_key_and_no_other(toys: Toys) -> None:
    async with toys.running():
        await toys.send_raw(b'{"toy_id": "toy", "face": "none"}', headers(toys.topic, "toy"))
        await toys.send(2)
        await toys.send(1, 2, key="other")
        await toys.have(1, 2, key="other")

        async def queued() -> bool:
            return await toys.count("parked") == 2

        await eventually(queued)
    assert await toys.effects() == []
    assert await scalar(toys.database.worker, "SELECT key FROM parked_key") == "toy"


async def test_an_unknown_kind_of_event_is_passed_over(toys: Toys) -> None:
    async with toys.running():
        other = [("ce_type", b"covey.toy.melted.v9") if h[0] == "ce_type" else h for h in headers(toys.topic, "toy")]
        await toys.send_raw(b'{"melted": true}', other)
        await toys.send(1)
        await toys.have(1)
    assert await toys.count("dead_letter") + await toys.count("parked") == 0


async def test_a_refused_record_is_tried_again_and_its_key_keeps_its_order(toys: Toys) -> None:
    toys.refused = {1}
    async with toys.running():
        await toys.send(1, 2, 3)
        await toys.send(7, key="other")
        await toys.have(7, key="other")
        assert await toys.effects() == []
        toys.refused = set()
        await toys.send(4)
        await toys.have(1, 2, 3, 4)

        async def unparked() -> bool:
            return await toys.count("parked_key") == 0

        await eventually(unparked)


async def test_t3_a_graceful_stop_in_the_middle_of_a_batch_loses_nothing(toys: Toys) -> None:
    toys.gate.clear()
    async with toys.running():
        await toys.send(1, 2, 3)

        async def called() -> bool:
            return toys.calls > 0

        await eventually(called)
        asyncio.get_running_loop().call_later(0.5, toys.gate.set)
    async with toys.running():
        await toys.have(1, 2, 3)


async def test_t4_a_rebalance_in_the_middle_of_a_batch_has_each_effect_once(toys: Toys) -> None:
    toys.gate.clear()
    async with toys.running():
        for key in range(6):
            await toys.send(1, key=f"toy-{key}")

        async def called() -> bool:
            return toys.calls > 0

        await eventually(called)
        asyncio.get_running_loop().call_later(1, toys.gate.set)
        async with toys.running():  # the group rebalances while the first one is busy
            for key in range(6):
                await toys.send(2, key=f"toy-{key}")
            for key in range(6):
                await toys.have(1, 2, key=f"toy-{key}")
    assert await toys.count("effect") == 12
    assert toys.calls == 12


async def test_t5_a_consumer_whose_group_coordination_died_says_so(toys: Toys) -> None:
    async with toys.running() as running:
        (subscription,) = running.subscriptions
        assert await subscription.alive() is None
        task = subscription._client._coordinator._coordination_task
        task.cancel()
        await asyncio.wait([task])
        assert "has died" in str(await subscription.alive())


async def test_t6_t8_a_batch_cannot_outlast_what_the_group_allows(toys: Toys) -> None:
    """The database ends a transaction long before Kafka would evict its consumer, or a rebalance would give up on it."""
    async with toys.running() as running:
        (subscription,) = running.subscriptions
        kafka = subscription._client
        limit_ms = await scalar(
            toys.database.worker, "SELECT extract(epoch FROM current_setting('transaction_timeout')::interval) * 1000"
        )
        assert 0 < float(str(limit_ms)) < kafka._max_poll_interval_ms
        assert kafka._rebalance_timeout_ms > subscribing.DRAIN_S * 1000


async def test_t7_a_handler_that_blocks_the_loop_past_the_session_timeout_loses_nothing(toys: Toys) -> None:
    toys.block_s = 8.0
    async with toys.running(consumer_session_timeout_ms=6_000):
        await toys.send(1, 2)
        await toys.send(3)
        await toys.have(1, 2, 3, within_s=60)


async def test_positions_come_from_the_database_so_one_that_was_restored_reads_again_what_it_lost(toys: Toys) -> None:
    async with toys.running():
        await toys.send(1, 2, 3)
        await toys.have(1, 2, 3)
    await scalar(toys.database.worker, "UPDATE position SET next_offset = 1 WHERE next_offset = 3 RETURNING 1")
    await scalar(toys.database.worker, "DELETE FROM effect WHERE face > 1 RETURNING 1")
    await scalar(
        toys.database.worker, "DELETE FROM inbox WHERE event_id NOT IN (SELECT event_id FROM effect) RETURNING 1"
    )

    async with toys.running():
        await toys.have(1, 2, 3)


async def test_a_reaction_begins_now_and_remembers_it_when_it_restarts_before_anything_came(
    database: DatabaseUrls, kafka: KafkaSettings, sealing_keys: Path
) -> None:
    toys = Toys(await new_topic(kafka), database, kafka, sealing_keys, since="now")
    await toys.send(1, 2)
    async with toys.running():
        pass
    await toys.send(3)
    async with toys.running():
        await toys.have(3)


async def test_a_copy_begins_at_the_beginning(toys: Toys) -> None:
    await toys.send(1, 2)
    async with toys.running():
        await toys.have(1, 2)


async def test_records_that_kafka_no_longer_has_are_reported_and_the_rest_is_read(
    toys: Toys, kafka: KafkaSettings
) -> None:
    async with toys.running():
        await toys.send(1)
        await toys.have(1)
        partition = int(await scalar(toys.database.worker, "SELECT partition FROM position WHERE next_offset = 1"))  # type: ignore[call-overload]
    await toys.send(2, 3, 4)
    async with admin(kafka) as client:
        await client.delete_records({TopicPartition(toys.topic, partition): RecordsToDelete(before_offset=3)})
    before = subscribing.OUT_OF_RANGE.labels("chassis.toys", toys.topic)._value.get()

    async with toys.running():
        await toys.have(1, 4)

    assert subscribing.OUT_OF_RANGE.labels("chassis.toys", toys.topic)._value.get() == before + 1


async def test_of_two_that_believe_to_own_a_partition_only_one_commits(toys: Toys) -> None:
    """A zombie: its positions have been moved on by somebody else while its transaction was open."""
    toys.gate.clear()
    async with toys.running():
        await toys.send(1)

        async def called() -> bool:
            return toys.calls == 1

        await eventually(called)
        toys.gate.set()
        await toys.have(1)
        await scalar(
            toys.database.worker, "UPDATE position SET next_offset = next_offset + 1 WHERE next_offset = 1 RETURNING 1"
        )
        await toys.send(2)  # at offset 1, which somebody else has already taken
        await toys.send(3)
        await toys.have(1, 3)


@pytest.mark.parametrize("place", ["consumer.before_commit", "consumer.after_commit"])
async def test_a_crash_around_the_commit_has_each_effect_once(toys: Toys, place: str) -> None:
    with armed(f"{place}:raise"):
        async with toys.running():
            await toys.send(1, 2)

            async def called() -> bool:
                return toys.calls > 0

            await eventually(called)
    async with toys.running():
        await toys.have(1, 2)
        await toys.send(3)
        await toys.have(1, 2, 3)
    assert await toys.count("parked") == 0


async def test_while_the_database_ends_connections_nothing_is_parked_and_nothing_is_lost(toys: Toys) -> None:
    async with toys.running():
        await toys.send(1)
        await toys.have(1)
        for _ in range(5):
            await toys.send(2)
            await scalar(
                toys.database.worker,
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid() AND usename = current_user",
            )
        await toys.have(1, 2, 2, 2, 2, 2)
    assert await toys.count("parked") + await toys.count("dead_letter") == 0


# --- poison ---


@pytest.mark.parametrize(
    ("what", "odd"),
    [
        ("an ID that no index can hold", ("ce_id", secrets.token_hex(4000).encode())),
        ("a source that no index can hold", ("ce_source", secrets.token_hex(4000).encode())),
        ("a subject that no index can hold", ("ce_subject", secrets.token_hex(4000).encode())),
        ("a sequence of 5000 digits", ("ce_sequence", b"1" * 5000)),
        ("a sequence beyond bigint", ("ce_sequence", b"9" * 19)),
        ("a null character in a header's name", ("x\0", b"")),
    ],
)
async def test_an_envelope_that_the_database_cannot_hold_is_unreadable_and_holds_nobody_up(
    toys: Toys, what: str, odd: tuple[str, bytes]
) -> None:
    named = [odd if header[0] == odd[0] else header for header in headers(toys.topic, "toy", sequence=1)]
    if odd not in named:
        named = [odd]
    async with toys.running():
        await toys.send_raw(b'{"toy_id": "toy", "face": 2}', named)
        await toys.send(3)
        await toys.have(3)
    assert await toys.count("dead_letter") == 1


async def test_a_null_character_in_a_header_does_not_keep_a_record_from_its_keys_queue(toys: Toys) -> None:
    toys.refused = {1}
    async with toys.running():
        await toys.send(1)
        odd = [*headers(toys.topic, "toy"), ("x", b"a\0b"), ("y\0", b""), ("ce_correlationid", b"a\0b")]
        await toys.send_raw(b'{"toy_id": "toy", "face": 2}', odd)
        await toys.send(7, key="other")
        await toys.have(7, key="other")
        toys.refused = set()
        await toys.have(1, 2)


async def test_why_a_key_is_parked_is_told_without_personal_values(toys: Toys) -> None:
    await scalar(toys.database.owner, "ALTER TABLE effect ADD COLUMN mail text UNIQUE")
    toys.statement = "INSERT INTO effect (mail) VALUES ('ann@example.com'), ('ann@example.com')"
    async with toys.running():
        await toys.send(1)

        async def parked() -> bool:
            return await toys.count("parked_key") == 1

        await eventually(parked)
    said = str(await scalar(toys.database.worker, "SELECT error FROM parked_key"))
    assert "duplicate key" in said
    assert "ann@example.com" not in said


# --- parked keys ---


async def test_a_parked_key_that_the_database_gives_up_on_does_not_keep_others_from_their_retry(toys: Toys) -> None:
    toys.refused = {1}
    async with toys.running():
        await toys.send(1, key="slow")
        await toys.send(1, key="other")

        async def both_parked() -> bool:
            return await toys.count("parked_key") == 2

        await eventually(both_parked)
        toys.timing_out = {"slow"}
        toys.refused = set()
        await toys.have(1, key="other")
        assert await toys.effects("slow") == []
        toys.timing_out = set()
        await toys.have(1, key="slow")


# --- the database ---


async def test_a_batch_that_takes_too_long_is_taken_in_smaller_and_smaller_parts(
    toys: Toys, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in production, a transaction may last for longer than the batch's patience."""
    monkeypatch.setattr(subscribing, "PATIENCE_S", 0.5)
    worker = make_url(toys.database.worker)
    await scalar(postgres, f"ALTER ROLE {worker.username} IN DATABASE {worker.database} SET transaction_timeout = '1s'")
    await toys.send(*range(40))
    toys.slow_s = 0.1
    async with toys.running():
        await toys.have(*range(40), within_s=60)
    assert await toys.count("parked") == 0


@asynccontextmanager
async def away(postgres: str, database: DatabaseUrls) -> AsyncIterator[None]:
    """Nobody can connect to the database."""
    name = make_url(database.worker).database
    await scalar(postgres, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    await scalar(postgres, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1", name)
    try:
        yield
    finally:
        await scalar(postgres, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


async def test_a_reaction_whose_database_was_away_when_it_began_gets_ready_and_misses_nothing(
    database: DatabaseUrls, kafka: KafkaSettings, sealing_keys: Path, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscribing, "DRAIN_S", 0.5)
    toys = Toys(await new_topic(kafka), database, kafka, sealing_keys, since="now")
    await toys.send(1)
    running = toys.process()
    async with away(postgres, database):
        lifespan = running.lifespan()
        await lifespan.__aenter__()
        (subscription,) = running.subscriptions

        async def assigned() -> bool:
            return bool(subscription._kafka and subscription._kafka.assignment())

        await eventually(assigned)
        await asyncio.sleep(2)
        await toys.send(2)
        assert await subscription.ready() is not None
    try:
        await toys.have(2)

        async def is_ready() -> bool:
            return await subscription.ready() is None

        await eventually(is_ready)
    finally:
        await lifespan.__aexit__(None, None, None)


async def test_a_database_that_goes_back_is_noticed_while_nothing_new_comes(toys: Toys) -> None:
    async with toys.running():
        await toys.send(1, 2, 3)
        await toys.have(1, 2, 3)
        await scalar(
            toys.database.worker,
            "WITH effects AS (DELETE FROM effect WHERE face > 1 RETURNING event_id),"
            " arrivals AS (DELETE FROM inbox WHERE event_id IN (SELECT event_id FROM effects))"
            " UPDATE position SET next_offset = 1 WHERE next_offset = 3 RETURNING 1",
        )
        await toys.have(1, 2, 3)


# --- Kafka ---


async def test_a_topic_that_comes_to_be_after_a_reaction_began_is_read_from_its_first_record(
    database: DatabaseUrls, kafka: KafkaSettings, sealing_keys: Path
) -> None:
    toys = Toys(f"covey.toy.{new_id().hex}.v1", database, kafka, sealing_keys, since="now")
    running = toys.process()
    async with running.lifespan():
        (subscription,) = running.subscriptions

        async def tries() -> bool:
            return subscription._kafka is not None

        await eventually(tries)
        async with admin(kafka) as client:
            await client.create_topics([NewTopic(toys.topic, 1, 1)])
        await toys.send(1, 2)
        await toys.have(1, 2)


async def test_a_start_that_fails_half_way_leaves_no_second_consumer_behind(
    toys: Toys, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[AIOKafkaConsumer] = []
    start = AIOKafkaConsumer.start

    async def fail_once(consumer: AIOKafkaConsumer) -> None:
        started.append(consumer)
        if len(started) == 2:
            raise KafkaConnectionError("gone for a moment")
        await start(consumer)

    toys.others = [Consumer("chassis.others", since="now")]
    toys.others[0].on(turned_on(toys.topic))(toys.on_turned)
    monkeypatch.setattr(AIOKafkaConsumer, "start", fail_once)
    async with toys.running():
        assert len([consumer for consumer in started if not consumer._closed]) == 2
    assert all(consumer._closed for consumer in started)


async def test_while_kafka_is_away_at_the_start_no_restart_is_asked_for(
    database: DatabaseUrls, sealing_keys: Path
) -> None:
    toys = Toys("covey.toy.turned.v1", database, KafkaSettings(bootstrap_servers="127.0.0.1:1"), sealing_keys)
    running = toys.process()
    async with running.lifespan():
        (subscription,) = running.subscriptions

        async def tried() -> bool:
            return "cannot connect" in str(running._unreachable)

        await eventually(tried)
        assert await subscription.alive() is None
        assert await subscription.ready() is not None


async def test_kafka_is_found_by_the_second_of_its_addresses(toys: Toys, kafka: KafkaSettings) -> None:
    async with toys.running(
        kafka=kafka.model_copy(update={"bootstrap_servers": f"127.0.0.1:1,{kafka.bootstrap_servers}"})
    ):
        await toys.send(1)
        await toys.have(1)


async def test_a_consumer_that_no_longer_polls_is_stuck_but_not_while_kafka_gives_no_answer(
    database: DatabaseUrls, sealing_keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscribing, "STUCK_S", 1.0)
    async with start_machinery() as own:
        if own.kafka_pid is None:
            pytest.skip("the broker runs in a container: its process cannot be stopped from here")
        toys = Toys(await new_topic(own.kafka), database, own.kafka, sealing_keys)
        async with toys.running() as running:
            (subscription,) = running.subscriptions
            await toys.send(1)
            await toys.have(1)
            os.kill(own.kafka_pid, signal.SIGSTOP)
            try:
                for _ in range(4):
                    assert await subscription.alive() is None
                    await asyncio.sleep(1)
            finally:
                os.kill(own.kafka_pid, signal.SIGCONT)
            await toys.send(2)
            await toys.have(1, 2)
            assert await subscription.alive() is None
            subscription._client._fetcher._fetch_task.cancel()

            async def stuck() -> bool:
                return "no answers" in str(await subscription.alive())

            await eventually(stuck)


# --- numbers ---


async def test_the_lag_of_a_partition_is_told_only_by_the_process_that_has_it(toys: Toys) -> None:
    def told() -> int:
        return len([labels for labels in subscribing.LAG._metrics if labels[1] == toys.topic])

    async with toys.running() as running:
        await toys.send(1, 2, 3)
        await toys.have(1, 2, 3)
        for subscription in running.subscriptions:
            subscription.measure_lag()
        assert told() > 0
        for subscription in running.subscriptions:
            await subscription.on_partitions_revoked(subscription._client.assignment())
        assert told() == 0


async def test_the_lag_is_measured_where_the_consumers_are(toys: Toys) -> None:
    async with toys.running(roles=frozenset({Role.CONSUMERS})):
        await toys.send(1)
        await toys.have(1)

        async def told() -> bool:
            return any(labels[1] == toys.topic for labels in subscribing.LAG._metrics)

        await eventually(told)


# --- two processes ---


async def test_partitions_are_given_up_only_once_the_batch_in_hand_is_done(toys: Toys) -> None:
    toys.gate.clear()
    async with toys.running() as running:
        (subscription,) = running.subscriptions
        await toys.send(1)

        async def called() -> bool:
            return toys.calls == 1

        await eventually(called)
        revoking = asyncio.create_task(subscription.on_partitions_revoked(subscription._client.assignment()))
        await asyncio.sleep(0.5)
        assert not revoking.done()
        toys.gate.set()
        await revoking
        assert await toys.effects() == [1]


async def test_one_who_misses_records_that_another_had_does_not_move_the_position_back(
    toys: Toys, kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with toys.running():
        await toys.send(1)
        await toys.have(1)
        partition = int(await scalar(toys.database.worker, "SELECT partition FROM position WHERE next_offset = 1"))  # type: ignore[call-overload]
    await toys.send(2, 3, 4)
    async with admin(kafka) as client:
        await client.delete_records({TopicPartition(toys.topic, partition): RecordsToDelete(before_offset=3)})
    beginning_offsets = AIOKafkaConsumer.beginning_offsets

    async def another_moves_on(*arguments: object) -> object:
        await scalar(
            toys.database.worker, "UPDATE position SET next_offset = 4 WHERE partition = $1 RETURNING 1", partition
        )
        return await beginning_offsets(*arguments)

    monkeypatch.setattr(AIOKafkaConsumer, "beginning_offsets", another_moves_on)
    stored = "SELECT next_offset FROM position WHERE partition = $1"
    async with toys.running():

        async def moved() -> bool:
            return await scalar(toys.database.worker, stored, partition) != 1

        await eventually(moved)
        await toys.send(5)
        await toys.have(1, 5)
