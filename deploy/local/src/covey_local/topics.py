"""The topics on a broker, made and kept as the contracts say."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code
from covey_chassis.kafka import connection
from covey_chassis.settings import KafkaSettings
from covey_contracts import Topic

from covey_local.refused import Refused

PREFIX = "covey."
KNOWN_WITHIN_S = 30


class TopicsRefused(Refused):
    """The broker has a topic that does not fit the contracts and that can't be mended; nothing was changed."""


@dataclass(frozen=True, kw_only=True)
class Applied:
    """What ``apply_topics`` did, and which topics named ``covey.*`` no contract knows."""

    created: tuple[str, ...] = ()
    altered: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Existing:
    """A topic as the broker has it."""

    name: str
    partitions: int
    replicas: int
    settings: dict[str, str] = field(default_factory=dict)


async def apply_topics(
    kafka: KafkaSettings, topics: Iterable[Topic], *, replication_factor: int | None = None
) -> Applied:
    """Create the topics that are missing, and set the retention of those that differ.

    Without ``replication_factor`` a topic is kept on three brokers, or on as many as there are. Raises
    ``TopicsRefused``, before anything is changed, when a topic has another number of partitions than its contract.
    """
    wanted = {topic.name: topic for topic in topics}
    async with administered(kafka) as admin:
        brokers = len((await admin.describe_cluster())["brokers"])
        replicas = replication_factor or min(3, brokers)
        existing = {topic.name: topic for topic in await _existing(admin)}
        _refuse_other_partitions(wanted, existing)
        created = [topic for name, topic in wanted.items() if name not in existing]
        altered = [
            topic
            for name, topic in wanted.items()
            if name in existing and _differs(existing[name].settings, settings(topic, existing[name].replicas))
        ]
        await _create(admin, created, replicas)
        await _alter(admin, [(topic, existing[topic.name]) for topic in altered])
    return Applied(
        created=tuple(topic.name for topic in created),
        altered=tuple(topic.name for topic in altered),
        unchanged=tuple(name for name in wanted if name in existing and wanted[name] not in altered),
        unknown=tuple(sorted(name for name in existing if name not in wanted)),
    )


async def list_topics(kafka: KafkaSettings) -> list[Existing]:
    """The topics named ``covey.*`` that the broker has, with their settings."""
    async with administered(kafka) as admin:
        return await _existing(admin)


@asynccontextmanager
async def administered(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin client for the block. Raises ``Refused`` when the broker can't be reached, or says no."""
    admin = AIOKafkaAdminClient(**connection(kafka))
    try:
        await admin.start()
        yield admin
    except (KafkaError, OSError) as error:
        raise Refused(f"Kafka at {kafka.bootstrap_servers}: {error}") from error
    finally:
        await admin.close()


def settings(topic: Topic, replicas: int) -> dict[str, str]:
    """A topic's settings on the broker.

    Uncompressed, whatever a program sends: otherwise one whose client compresses by a codec that a reader has not got
    would stop that reader for good.
    """
    kept = -1 if topic.kept_days is None else int(timedelta(days=topic.kept_days).total_seconds() * 1000)
    return {
        "cleanup.policy": "delete",
        "compression.type": "uncompressed",
        "retention.ms": str(kept),
        "retention.bytes": "-1",
        "min.insync.replicas": str(max(1, replicas - 1)),
    }


def _refuse_other_partitions(wanted: dict[str, Topic], existing: dict[str, Existing]) -> None:
    wrong = [
        f"{name} has {existing[name].partitions} partitions, the contract says {topic.partitions}"
        for name, topic in wanted.items()
        if name in existing and existing[name].partitions != topic.partitions
    ]
    if wrong:
        raise TopicsRefused(
            f"{'; '.join(wrong)}. The number of partitions can't change: keys would move to other partitions and their "
            "events out of order. Publish a new version of the topic instead."
        )


def _differs(found: dict[str, str], wanted: dict[str, str]) -> bool:
    return any(found.get(name) != value for name, value in wanted.items())


async def _existing(admin: AIOKafkaAdminClient) -> list[Existing]:
    described = [topic for topic in await admin.describe_topics() if topic["topic"].startswith(PREFIX)]
    if not described:
        return []
    by_name = await _settings(admin, [topic["topic"] for topic in described])
    return [
        Existing(
            name=topic["topic"],
            partitions=len(topic["partitions"]),
            replicas=len(topic["partitions"][0]["replicas"]),
            settings=by_name[topic["topic"]],
        )
        for topic in described
    ]


async def _settings(admin: AIOKafkaAdminClient, names: Iterable[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for answer in await admin.describe_configs([_resource(name, {}) for name in names]):
        for code, message, _, name, entries in answer.resources:
            raise_for(code, name, message)
            found[name] = {entry[0]: entry[1] for entry in entries}
    return found


async def _create(admin: AIOKafkaAdminClient, topics: Sequence[Topic], replicas: int) -> None:
    if topics:
        answer = await admin.create_topics(
            [
                NewTopic(topic.name, topic.partitions, replicas, topic_configs=settings(topic, replicas))
                for topic in topics
            ]
        )
        for name, code, message in answer.topic_errors:
            raise_for(code, name, message)
        await until(lambda: _known(admin, [topic.name for topic in topics]), "made the topics")


async def _known(admin: AIOKafkaAdminClient, names: list[str]) -> bool:
    """Whether a broker can be asked for the topics: it learns of them a little later than the controller that made them."""
    return all(topic["partitions"] for topic in await admin.describe_topics(names))


async def _alter(admin: AIOKafkaAdminClient, topics: Sequence[tuple[Topic, Existing]]) -> None:
    if topics:
        answers = await admin.alter_configs(
            [_resource(topic.name, settings(topic, existing.replicas)) for topic, existing in topics]
        )
        for answer in answers:
            for code, message, _, name in answer.resources:
                raise_for(code, name, message)
        wanted = {topic.name: settings(topic, existing.replicas) for topic, existing in topics}
        await until(lambda: _as_wanted(admin, wanted), "set the topics' settings")


async def _as_wanted(admin: AIOKafkaAdminClient, wanted: dict[str, dict[str, str]]) -> bool:
    """Whether a broker gives the settings as they are wanted; of a change, too, it learns later than the controller."""
    found = await _settings(admin, wanted)
    return not any(_differs(found[name], said) for name, said in wanted.items())


async def until(reached: Callable[[], Awaitable[bool]], done: str) -> None:
    """Returns when the broker that is asked has heard what the controller did. Raises ``Refused`` when it does not."""
    try:
        async with asyncio.timeout(KNOWN_WITHIN_S):
            while not await reached():
                await asyncio.sleep(0.02)
    except TimeoutError as error:
        raise Refused(f"Kafka {done} and did not know of it after {KNOWN_WITHIN_S} s.") from error


def _resource(name: str, configs: dict[str, str]) -> ConfigResource:
    return ConfigResource(ConfigResourceType.TOPIC, name, configs)


def raise_for(code: int, name: str, message: str | None) -> None:
    """Raises the broker's refusal, if it is one."""
    if code:
        raise for_code(code)(f"{name}: {message or 'refused by the broker'}")
