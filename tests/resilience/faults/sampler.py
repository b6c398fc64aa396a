"""While faults strike: what Kafka and the databases say of offsets, positions and leases, five times a second."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import asyncpg
import httpx
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from covey_chassis.kafka import connection
from covey_chassis.waiting import wait_until

from tests.resilience.platform import Platform

from .collecting import services
from .effects import database_url
from .evidence import Lease, Place, Sample

EVERY_S = 0.2
PATIENCE_S = 2.0
"""So long one of those who are asked may take; after that it is not in the sample."""
AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, KafkaError, httpx.HTTPError)


@dataclass
class Sampler:
    """Samples for the block: ``samples``; the last one is taken at its end, with all offsets.

    An offset is in a sample when it is another one than the last that was compared with a position.
    """

    platform: Platform
    samples: list[Sample] = field(default_factory=list)
    _kafka: AIOKafkaAdminClient | None = None
    _databases: dict[str, asyncpg.Connection] = field(default_factory=dict)
    _task: "asyncio.Task[None] | None" = None
    _over: asyncio.Event = field(default_factory=asyncio.Event)
    _compared: dict[Place, int] = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._go_on())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._over.set()
        await self._task
        for database in self._databases.values():
            database.terminate()
        await self._leave_kafka()

    async def _go_on(self) -> None:
        while not self._over.is_set():
            at = time.monotonic()
            await self._look()
            await wait_until(self._over, max(0.0, EVERY_S - (time.monotonic() - at)))
        self._compared.clear()
        await self._look()

    async def _look(self) -> None:
        at = time.monotonic()
        committed = await self._committed()
        found = await asyncio.gather(*map(self._database_says, self.platform.stack.run["services"]))
        stored = {place: offset for positions, _ in found for place, offset in positions.items()}
        leases = {service: lease for _, held in found for service, lease in held.items()}
        moved, beside = pair(committed, stored, self._compared)
        self.samples.append(Sample(at, moved, beside, leases))

    async def _committed(self) -> dict[Place, int]:
        """Kafka's offsets of all groups; nothing when it does not answer."""
        groups = [consumer.name for service in services() for consumer in service.consumers]
        try:
            async with asyncio.timeout(PATIENCE_S):
                if self._kafka is None:
                    self._kafka = AIOKafkaAdminClient(**connection(self.platform.stack.infrastructure.kafka_settings))
                    await self._kafka.start()
                found = await asyncio.gather(*map(self._kafka.list_consumer_group_offsets, groups))
        except AWAY:
            await self._leave_kafka()
            return {}
        return {
            (group, place.topic, place.partition): offset.offset
            for group, offsets in zip(groups, found, strict=True)
            for place, offset in offsets.items()
        }

    async def _leave_kafka(self) -> None:
        kafka, self._kafka = self._kafka, None
        if kafka is not None:
            with suppress(*AWAY):
                async with asyncio.timeout(PATIENCE_S):
                    await kafka.close()

    async def _database_says(self, service: str) -> tuple[dict[Place, int], dict[str, Lease]]:
        """A service's positions, and its relay's lease; nothing when its database does not answer."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                if service not in self._databases:
                    url = database_url(self.platform.stack.infrastructure.admin_url, service)
                    self._databases[service] = await asyncpg.connect(
                        url, server_settings={"application_name": "sampler"}
                    )
                database = self._databases[service]
                positions = await database.fetch("SELECT consumer, topic, partition, next_offset FROM position")
                lease = await database.fetchrow("SELECT holder::text, fence FROM relay_lease WHERE holder IS NOT NULL")
        except AWAY:
            if service in self._databases:
                self._databases.pop(service).terminate()
            return {}, {}
        return {(row[0], row[1], row[2]): row[3] for row in positions}, {service: Lease(*lease)} if lease else {}


def pair(
    committed: dict[Place, int], stored: dict[Place, int], compared: dict[Place, int]
) -> tuple[dict[Place, int], dict[Place, int]]:
    """The offsets that are not the ``compared`` ones, and the positions beside them; with these they are compared now."""
    moved = {place: offset for place, offset in committed.items() if compared.get(place) != offset}
    beside = {place: stored[place] for place in moved if place in stored}
    compared |= {place: moved[place] for place in beside}
    return moved, beside
