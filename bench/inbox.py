"""``inbox``: from Kafka's records to committed effects, events a second, with renewals' copies of groups.

The peer is what FastStream's documents show, made reliable in the usual way: a message, a transaction, an inbox row and the
same effect by the same use case. Ours is measured from when it has its partitions, the peer from its first commit, to the
last commit; then every copy must be the newest.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from covey_chassis.consuming import HANDLED
from covey_chassis.db import make_engine
from covey_chassis.envelope import from_headers
from covey_chassis.kafka import broker_security
from covey_chassis.running import Running
from covey_chassis.settings import Role
from covey_contracts.membership import GroupChanged, GroupRegistered
from covey_local.databases import DatabaseUrls
from covey_renewals.app import service
from covey_renewals.consumers import groups
from covey_renewals.settings import RenewalsSettings
from covey_renewals.use_cases.take_group import take_group
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import async_sessionmaker

from bench.figure import Figure, growth
from bench.groups import RENEWAL_DATE, Book
from bench.rounds import interleaved
from bench.stand import Stand

EVENTS = 10_000
PEERS_EVENTS = 1_000
BACKLOGS = (1_000, 10_000, 100_000)
TOPIC = GroupChanged.topic.name


async def measure(stand: Stand) -> list[Figure]:
    await stand.infrastructure.apply_topics([GroupRegistered.topic, GroupChanged.topic])
    async with stand.database("covey_renewals") as database, stand.database("covey_renewals") as peers:
        ours, theirs = await _Ours.create(stand, database), await _Peer.create(stand, peers)
        rates = await interleaved(
            stand.rounds,
            {
                "ours": partial(ours.rate, stand.size(EVENTS)),
                "peer": partial(theirs.rate, stand.size(PEERS_EVENTS)),
            },
        )
        sizes = [stand.size(size) for size in BACKLOGS]
        grown = await interleaved(max(1, stand.rounds - 2), {str(size): partial(ours.rate, size) for size in sizes})
    costs_us = [1e6 / grown[str(size)] for size in sizes]
    return [
        Figure(
            what="records to committed effects, against FastStream",
            unit="events/s",
            ours=rates["ours"],
            peer=rates["peer"],
            at_least=8,
            note="What remains is parsing each event, and one statement in a batch's transaction for each copy.",
        ),
        *growth("cost of a record", sizes, costs_us),
    ]


class _Ours:
    """Renewals with the one consumer."""

    def __init__(self, stand: Stand, database: DatabaseUrls) -> None:
        self._stand = stand
        self._database = database
        self._book = Book()

    @classmethod
    async def create(cls, stand: Stand, database: DatabaseUrls) -> "_Ours":
        ours = cls(stand, database)
        await ours._book.keep(database.worker)
        return ours

    async def rate(self, events: int) -> float:
        await self._book.tell(self._stand.kafka, TOPIC, events)
        before = _done()
        alone = replace(service, consumers=[groups], workers=[], acts=None)
        running = Running(alone, settings(self._stand, self._database))
        async with running.lifespan():
            await _until(lambda: running.subscriptions[0].assigned)
            rate = await _rate(lambda: _done() - before, events)
        await self._book.check(self._database.worker)
        return rate


class _Peer:
    """A FastStream application with an inbox."""

    def __init__(self, stand: Stand, database: DatabaseUrls, topic: str) -> None:
        self._stand = stand
        self._database = database
        self._topic = topic
        self._book = Book()

    @classmethod
    async def create(cls, stand: Stand, database: DatabaseUrls) -> "_Peer":
        peer = cls(stand, database, await stand.topic())
        await peer._book.keep(database.worker)
        return peer

    async def rate(self, events: int) -> float:
        kafka = self._stand.kafka
        await self._book.tell(kafka, self._topic, events)
        engine = make_engine(self._database.worker)
        sessions = async_sessionmaker(engine, expire_on_commit=False)
        broker = KafkaBroker(kafka.bootstrap_servers, security=broker_security(kafka), logger=None)
        done = 0

        @broker.subscriber(
            self._topic, group_id="peer", auto_offset_reset="earliest", ack_policy=AckPolicy.NACK_ON_ERROR
        )
        async def on_group(group: GroupChanged, message: KafkaMessage) -> None:
            nonlocal done
            envelope = from_headers((name, value.encode()) for name, value in message.headers.items())
            async with sessions.begin() as session:
                entered = await session.execute(
                    text(
                        "INSERT INTO inbox (consumer, source, event_id) VALUES ('peer', :source, :id)"
                        " ON CONFLICT DO NOTHING RETURNING 1"
                    ),
                    {"source": envelope.source, "id": envelope.id},
                )
                if entered.first():
                    await take_group(session, group, sequence=envelope.place, today=RENEWAL_DATE)
            done += 1

        async with broker:
            await broker.start()
            await _until(lambda: done > 0)
            rate = await _rate(lambda: done, events)
        await engine.dispose()
        await self._book.check(self._database.worker)
        return rate


def settings(stand: Stand, database: DatabaseUrls) -> RenewalsSettings:
    """Of a process that only consumes."""
    return RenewalsSettings(
        database_url=SecretStr(database.request),
        worker_database_url=SecretStr(database.worker),
        kafka=stand.kafka,
        operator_token=SecretStr("an operator's token of a benchmark"),
        roles=frozenset({Role.CONSUMERS}),
    )


def _done() -> float:
    return float(HANDLED.labels(groups.name, TOPIC, "done")._value.get())


async def _rate(done: Callable[[], float], events: int) -> float:
    """Events a second from now on to the last."""
    began, before = time.perf_counter(), done()
    await _until(lambda: done() >= events)
    return (events - before) / (time.perf_counter() - began)


async def _until(is_so: Callable[[], bool]) -> None:
    while not is_so():  # noqa: ASYNC110 - a counter wakes nobody
        await asyncio.sleep(0.001)
