"""Where the tests' PostgreSQL and Kafka come from: containers where an engine answers, else the embedded stack."""

import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import docker
from covey_local import ports
from covey_local.infrastructure import Infrastructure
from covey_local.postgres import MEMORY, THROW_AWAY
from docker.errors import DockerException
from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

from covey_chassis.settings import KafkaSettings

POSTGRES_IMAGE = "postgres:18"
KAFKA_IMAGE = "apache/kafka:4.3.1"
CACHE = Path(".covey/cache")
"""Kafka's jars, shared with the local stack of this checkout."""
ROOM = 4 * 2**30
"""So much memory has to be free for the servers' data to go there: each test's database is hundreds of new files, which
takes a disk longer than most tests."""


@dataclass(frozen=True)
class Machinery:
    """A PostgreSQL server and a Kafka broker, each by its super user, and the broker's process where it is one of ours."""

    admin_url: str
    kafka: KafkaSettings
    kafka_pid: int | None = None


def container_engine_answers() -> bool:
    """Whether testcontainers can be used here."""
    try:
        client = docker.from_env(timeout=5)
        try:
            return bool(client.ping())
        finally:
            client.close()
    except DockerException:
        return False


@asynccontextmanager
async def start_machinery() -> AsyncIterator[Machinery]:
    """Both servers for the block. Their data are thrown away after it."""
    start = _containers if container_engine_answers() else _embedded
    with TemporaryDirectory(prefix="covey-", dir=MEMORY if _is_room_in_memory() else None) as folder:
        async with start(Path(folder)) as found:
            yield found


def _is_room_in_memory() -> bool:
    """Whether there are files in memory, and enough of it: what may be stored there is no measure of what is free."""
    if not MEMORY.is_dir():
        return False
    available = re.search(r"^MemAvailable: +(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    assert available is not None  # of any Linux since 2014
    return min(int(available[1]) * 1024, shutil.disk_usage(MEMORY).free) > ROOM


@asynccontextmanager
async def _embedded(folder: Path) -> AsyncIterator[Machinery]:
    stack = Infrastructure(folder, durable=False, cache=CACHE)
    try:
        async with stack:
            yield Machinery(stack.admin_url, stack.kafka_settings, stack.home.running.pids()["kafka"])
    finally:
        stack.delete()


@asynccontextmanager
async def _containers(folder: Path) -> AsyncIterator[Machinery]:
    quick = [part for name, value in THROW_AWAY.items() for part in ("-c", f"{name}={value}")]
    database = PostgresContainer(POSTGRES_IMAGE, driver=None).with_command(["-c", "max_connections=300", *quick])
    port = ports.choose(folder / "ports.json", {"kafka": None})["kafka"]
    broker = (
        DockerContainer(KAFKA_IMAGE)
        .with_bind_ports(9092, port)
        .waiting_for(LogMessageWaitStrategy("Kafka Server started"))
    )
    for name, value in _kafka_environment(port).items():
        broker = broker.with_env(name, value)
    with database, broker:
        yield Machinery(database.get_connection_url(), KafkaSettings(bootstrap_servers=f"127.0.0.1:{port}"))


def _kafka_environment(port: int) -> dict[str, str]:
    """Settings of one node. Clients come back to the address that it advertises, so its port is chosen beforehand."""
    return {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{port}",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS": "1000",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
    }
