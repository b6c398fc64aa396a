"""What the benchmarks stand on: real PostgreSQL and Kafka as in production, and how much is to be measured."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from covey_chassis.migrate import migrate
from covey_chassis.settings import KafkaSettings
from covey_chassis.testing.broker import new_topic
from covey_local.databases import DatabaseUrls
from covey_local.infrastructure import Infrastructure
from rich.console import Console

ROUNDS = 5
QUICK_ROUNDS = 1
QUICK_PART = 100
"""A quick run shows that a benchmark works: by so much less of everything."""
LOCAL = Path(".covey")
"""The checkout's folder for whatever is no part of it."""


@dataclass(frozen=True)
class Stand:
    """PostgreSQL waits for the disk here (``fsync``), Kafka is one broker. ``quick`` makes all sizes small."""

    infrastructure: Infrastructure
    console: Console
    quick: bool = False
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    @property
    def kafka(self) -> KafkaSettings:
        """Kafka, by its super user."""
        return self.infrastructure.kafka_settings

    @property
    def rounds(self) -> int:
        return QUICK_ROUNDS if self.quick else ROUNDS

    def size(self, full: int) -> int:
        """So many of something; few when it has to be quick."""
        return max(full // QUICK_PART, 20) if self.quick else full

    @asynccontextmanager
    async def database(self, package: str = "covey_chassis") -> AsyncIterator[DatabaseUrls]:
        """A fresh database for the block, with the tables of that service: the chassis's own alone by default."""
        service = package.removeprefix("covey_")
        urls = await self.infrastructure.create_database(service, database=f"bench_{service}_{next(self._numbers)}")
        try:
            await migrate(urls.owner, package, request_url=urls.request, worker_url=urls.worker)
            yield urls
        finally:
            await self.infrastructure.drop_database(urls.database)

    @asynccontextmanager
    async def bare_database(self) -> AsyncIterator[str]:
        """An empty database for the block, by its owner's URL for SQLAlchemy with asyncpg."""
        urls = await self.infrastructure.create_database("bench", database=f"bench_{next(self._numbers)}")
        try:
            yield urls.owner.replace("postgresql://", "postgresql+asyncpg://")
        finally:
            await self.infrastructure.drop_database(urls.database)

    async def topic(self, *, partitions: int = 6) -> str:
        """A fresh topic."""
        return await new_topic(self.kafka, partitions=partitions)

    def say(self, line: str) -> None:
        """Tell the person who waits."""
        self.console.print(f"  {line}", style="dim", markup=False)


@asynccontextmanager
async def standing(console: Console, *, quick: bool) -> AsyncIterator[Stand]:
    """The stand for the block. Its data are thrown away after it."""
    LOCAL.mkdir(exist_ok=True)  # noqa: ASYNC240 - nothing else runs yet
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=LOCAL))
    infrastructure = Infrastructure(folder, cache=LOCAL / "cache")
    try:
        async with infrastructure:
            yield Stand(infrastructure, console, quick)
    finally:
        infrastructure.delete()
