"""Events of groups, and renewals' copies of those groups: what the inbox and the latency are measured with."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from itertools import islice
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaProducer
from covey_chassis.envelope import Envelope, to_headers
from covey_chassis.ids import new_id
from covey_chassis.kafka import connection
from covey_chassis.outgoing import PRODUCER
from covey_chassis.settings import KafkaSettings
from covey_contracts.membership import Address, BillingUnit, BrokerOfRecord, GroupChanged, GroupPlan

RENEWAL_DATE = date(2030, 2, 1)
GROUPS = 500


def a_group(group_id: UUID) -> GroupChanged:
    """A group of usual size."""
    return GroupChanged(
        group_id=group_id,
        group_number=f"G-{group_id.hex[:8]}",
        legal_name="Quillfern Ceramics LLC",
        ein="12-3456789",
        market_region="California",
        principal_address=Address(street="1 Oak St", city="Fresno", county="Fresno", state="CA", zip="93650"),
        billing_units=(BillingUnit(code="001", name="Studio"),),
        effective_date=date(2021, 2, 1),
        renewal_date=RENEWAL_DATE,
        plans=(GroupPlan(plan_year=2030, plan_id="GOLD-80"),),
        broker=BrokerOfRecord(firm_number="F-1", firm_name="Brokers LLC", acquired_date=date(2024, 6, 17)),
        sealed="e30.a.b.c.d",
    )


class Book:
    """Groups that renewals has copies of, and the changes of them that others tell of."""

    def __init__(self) -> None:
        self.groups = [a_group(new_id()) for _ in range(GROUPS)]
        self.told = 0
        self._changes = self._endless()

    async def keep(self, database_url: str) -> None:
        """Put the copies there, as they were before the first change."""
        connection = await asyncpg.connect(database_url)
        try:
            await connection.executemany(
                "INSERT INTO book (group_id, sequence, group_number, legal_name, renewal_date) VALUES ($1, 0, $2, $3, $4)",
                [(group.group_id, group.group_number, group.legal_name, group.renewal_date) for group in self.groups],
            )
        finally:
            await connection.close()

    async def tell(self, kafka: KafkaSettings, topic: str, events: int) -> None:
        """So many changes, the groups in turn, into the topic."""
        async with AIOKafkaProducer(**connection(kafka), **PRODUCER) as producer:
            for group, sequence in self.changes(events):
                headers = to_headers(envelope(group, sequence))
                value, key = group.model_dump_json().encode(), group.key.encode()
                await producer.send(topic, value, key=key, headers=headers)
            await producer.flush()

    def changes(self, events: int) -> Iterator[tuple[GroupChanged, int]]:
        """The next so many changes, with their sequences."""
        self.told += events
        return islice(self._changes, events)

    async def check(self, database_url: str) -> None:
        """Raises AssertionError unless the copies are those of the last changes that were told."""
        connection = await asyncpg.connect(database_url)
        try:
            assert await connection.fetchval("SELECT sum(sequence) FROM book") == self.told, "not every effect is there"
        finally:
            await connection.close()

    def _endless(self) -> Iterator[tuple[GroupChanged, int]]:
        sequence = 0
        while True:
            sequence += 1
            for group in self.groups:
                yield group, sequence


def envelope(group: GroupChanged, sequence: int) -> Envelope:
    """What travels around one change."""
    event_id = str(new_id())
    return Envelope(
        id=event_id,
        source="/membership",
        type=group.topic.name,
        time=datetime.now(UTC),
        subject=group.key,
        sequence=sequence,
        correlation_id=event_id,
        causation_id=None,
        traceparent=None,
    )
