"""A pytest plugin: real PostgreSQL and Kafka, a database of its own for each test, and what came of it in one line.

Where a container engine answers, testcontainers starts them, else the embedded stack of ``deploy/local``: the tests are the
same. A service's tests need no Kafka: ``Harness.deliver`` hands an event to the service's consumers as Kafka would, through
the real inbox, and ``Harness.published`` reads what waits in the outbox.
"""

import io
import json
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from aiokafka import TopicPartition
from covey_contracts import EVENTS, Event, SealedBody
from covey_contracts.acts import ActRecorded
from covey_local.databases import DatabaseUrls, Passwords, copy_database, create_databases, database_urls, drop_database
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from joserfc.jwk import KeySet, OKPKey
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from covey_chassis import clock, failpoints
from covey_chassis.access import Right, StaffRight
from covey_chassis.access.facts import Fact, FactKind, keep_facts
from covey_chassis.access.tokens import issue
from covey_chassis.app import create_app
from covey_chassis.clock import Clock
from covey_chassis.consumer import Arrived, Consumer, E
from covey_chassis.consuming import Span, take
from covey_chassis.db import make_engine
from covey_chassis.envelope import Envelope, Headers, to_headers
from covey_chassis.http import TransactionRoute
from covey_chassis.ids import new_id
from covey_chassis.logs import configure_logging
from covey_chassis.migrate import migrate
from covey_chassis.probes import Check
from covey_chassis.running import Running
from covey_chassis.service import Context, Service
from covey_chassis.settings import KafkaSettings, ServiceSettings
from covey_chassis.testing.machinery import Machinery, start_machinery

_NOT_YET = httpx.AsyncClient()


# --- the machinery, once for a test run ---


def pytest_configure() -> None:
    """Log as a service does: structlog's own renderer takes seconds for a traceback."""
    configure_logging()


@pytest.fixture
def logged() -> Iterator[Callable[[], str]]:
    """What has been logged since the test began, as a service writes it, from DEBUG on."""
    stream = io.StringIO()
    configure_logging("DEBUG", stream)
    yield stream.getvalue
    configure_logging()


@pytest.fixture(scope="session")
async def servers() -> AsyncIterator[Machinery]:
    """PostgreSQL and Kafka."""
    async with start_machinery() as started:
        yield started


@pytest.fixture(scope="session")
def postgres(servers: Machinery) -> str:
    """The URL of PostgreSQL's superuser."""
    return servers.admin_url


@pytest.fixture(scope="session")
def kafka(servers: Machinery) -> KafkaSettings:
    """Kafka, by its super user."""
    return servers.kafka


@pytest.fixture(scope="session")
def sealing_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``public.jwks.json`` and ``private.jwks.json`` of whoever opens what is sealed."""
    folder = tmp_path_factory.mktemp("keys")
    holders = {kind.sealed_for for kind in SealedBody.__subclasses__()}  # of the services under test, too
    keys = KeySet([OKPKey.generate_key("X25519", {"kid": f"{name}-1", "use": "enc"}) for name in sorted(holders)])
    (folder / "public.jwks.json").write_text(json.dumps(keys.as_dict(private=False)))
    (folder / "private.jwks.json").write_text(json.dumps(keys.as_dict(private=True)))
    return folder


@pytest.fixture(scope="session")
def signing_key(sealing_keys: Path) -> OKPKey:
    """What access tokens are signed with; its public half is ``tokens.jwks.json`` beside the sealing keys."""
    key = OKPKey.generate_key("Ed25519", {"kid": "tokens-1", "use": "sig"})
    (sealing_keys / "tokens.jwks.json").write_text(json.dumps(KeySet([key]).as_dict(private=False)))
    (sealing_keys / "signing.jwks.json").write_text(json.dumps(KeySet([key]).as_dict(private=True)))
    return key


NewDatabase = Callable[[str], AbstractAsyncContextManager[DatabaseUrls]]


@pytest.fixture(scope="session")
def new_database(postgres: str) -> NewDatabase:
    """``new_database(package)``: a fresh, migrated database for that service's package, gone after the block.

    Made from a template that is migrated once: the chassis's own tables for ``covey_chassis``.
    """
    passwords = Passwords.generate()
    templates: set[str] = set()
    numbers = count(1)

    @asynccontextmanager
    async def fresh(package: str) -> AsyncIterator[DatabaseUrls]:
        service = package.removeprefix("covey_")
        template = database_urls(postgres, service, passwords)
        if package not in templates:
            await create_databases(postgres, template)
            await migrate(template.owner, package, request_url=template.request, worker_url=template.worker)
            templates.add(package)
        urls = database_urls(postgres, service, passwords, database=f"test_{service}_{next(numbers)}")
        await copy_database(postgres, urls, template=template.database)
        try:
            yield urls
        finally:
            await drop_database(postgres, urls.database)

    return fresh


@contextmanager
def armed(plan: str) -> Iterator[None]:
    """Arm failpoints for a block (``covey_chassis.failpoints``)."""
    failpoints.arm(plan)
    try:
        yield
    finally:
        failpoints.arm("")


# --- a service under test ---


@dataclass(frozen=True)
class Published:
    """One event that waits in the outbox."""

    event: Event
    topic: str
    key: str
    sequence: int | None
    event_id: str
    correlation_id: str
    causation_id: str | None


@dataclass(frozen=True)
class Parked:
    """One parked key."""

    consumer: str
    key: str
    state: str
    error: str


@dataclass(frozen=True)
class ArrivedRecord:
    """A record as it would come from Kafka."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass
class Harness:
    """A service with a database of its own, driven by hand: no Kafka, no loops in the background."""

    service: Service
    context: Context
    app: FastAPI
    key: OKPKey
    api: httpx.AsyncClient
    """Of a member of the carrier's staff who has every staff right."""
    _offsets: dict[TopicPartition, int] = field(default_factory=dict)

    @property
    def operator(self) -> dict[str, str]:
        """Headers of an operator's request."""
        return {"Authorization": f"Bearer {self.context.settings.operator_token.get_secret_value()}"}

    def client(self, account_id: UUID | None, session_id: UUID | None = None) -> httpx.AsyncClient:
        """A client that presents an access token of this account; None for somebody who is not signed on."""
        headers = {}
        if account_id is not None:
            now = int(Clock.now().timestamp())
            token = issue(self.key, account_id, session_id or new_id(), now=now)
            headers = {"Authorization": f"Bearer {token}"}
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://covey.test", headers=headers)

    async def know(self, *facts: Fact) -> None:
        """Let the service have these facts of access, as if it had been told of them."""
        async with self.transaction() as session:
            rev = int(await session.scalar(text("SELECT coalesce(max(rev), 0) FROM access_fact")) or 0)
            await keep_facts(session, [fact.model_copy(update={"rev": rev + n}) for n, fact in enumerate(facts, 1)])

    async def person(self, rights: Mapping[UUID, Iterable[Right]] | None = None) -> httpx.AsyncClient:
        """The client of somebody who holds these rights in these groups, and nothing else."""
        account_id = new_id()
        await self.know(
            *(
                Fact(
                    kind=FactKind.GRANT,
                    id=new_id(),
                    group_id=group_id,
                    account_id=account_id,
                    rights=tuple(held),
                    active=True,
                )
                for group_id, held in (rights or {}).items()
            )
        )
        return self.client(account_id)

    async def staff_member(self, *rights: StaffRight) -> httpx.AsyncClient:
        """The client of a member of the carrier's staff who has these rights."""
        account_id = new_id()
        await self.know(
            Fact(kind=FactKind.STAFF, id=account_id, account_id=account_id, rights=tuple(rights), active=True)
        )
        return self.client(account_id)

    def routes(self) -> set[str]:
        """The service's own routes, such as ``GET /v1/groups``: not those that every service has from the chassis."""
        return {
            f"{method} {found.path}"
            for found in iter_route_contexts(self.app.routes)
            if isinstance(found.original_route, TransactionRoute)
            and found.original_route.endpoint.__module__.startswith(self.service.package)
            for method in found.original_route.methods or ()
        }

    def transaction(self) -> AbstractAsyncContextManager[AsyncSession]:
        """A transaction of the worker role."""
        return self.context.workers.transaction()

    @asynccontextmanager
    async def as_owner(self) -> AsyncIterator[AsyncSession]:
        """A transaction of the role that owns the tables, and may do all with them."""
        assert self.context.settings.owner_database_url is not None
        engine = make_engine(self.context.settings.owner_database_url.get_secret_value())
        try:
            async with AsyncSession(engine) as session, session.begin():
                yield session
        finally:
            await engine.dispose()

    async def published(self, kind: type[Event] | None = None) -> list[Published]:
        """What waits in the outbox, in the order in which the relay would send it; acts only when asked for."""
        kinds = {known.topic.name: known for known in EVENTS}
        async with self.transaction() as session:
            rows = await session.execute(text("SELECT * FROM outbox ORDER BY id"))
            return [
                Published(
                    event=kinds[row.topic].model_validate_json(row.payload),
                    topic=row.topic,
                    key=row.key,
                    sequence=row.sequence,
                    event_id=str(row.event_id),
                    correlation_id=row.correlation_id,
                    causation_id=row.causation_id,
                )
                for row in rows
                if (row.topic == kind.topic.name if kind else not issubclass(kinds[row.topic], ActRecorded))
            ]

    async def deliver(self, event: Event, *, sequence: int = 1, event_id: str | None = None) -> str:
        """Hand the event to every consumer that handles it, as a record of its own; its event ID."""
        envelope = _envelope(event, sequence, event_id)
        await self.deliver_record(event.topic.name, event.model_dump_json().encode(), to_headers(envelope), event.key)
        return envelope.id

    async def deliver_at_once(self, events: Sequence[tuple[Event, int]]) -> None:
        """Hand pairs of event and sequence, all of one topic, to its consumers as one batch."""
        (topic,) = {event.topic.name for event, _ in events}
        for consumer in (each for each in self.service.consumers if topic in each.topics):
            partition = TopicPartition(f"{consumer.name}/{topic}", 0)
            start = self._offsets.get(partition, 0)
            records = [
                ArrivedRecord(
                    *(topic, 0, offset, event.key.encode()),
                    event.model_dump_json().encode(),
                    to_headers(_envelope(event, sequence)),
                )
                for offset, (event, sequence) in enumerate(events, start)
            ]
            await self._position(consumer, topic, start)
            span = Span(topic, 0, start, start + len(records))
            await take(consumer, self.context.database_of(consumer), records, [span])
            self._offsets[partition] = span.next

    async def deliver_record(
        self, topic: str, value: bytes | None, headers: Headers, key: str, consumers: Sequence[Consumer] | None = None
    ) -> None:
        """Hand bytes to the consumers of the topic."""
        for consumer in consumers or [c for c in self.service.consumers if topic in c.topics]:
            partition = TopicPartition(f"{consumer.name}/{topic}", 0)
            offset = self._offsets.get(partition, 0)
            record = ArrivedRecord(topic, 0, offset, key.encode(), value, headers)
            await self._position(consumer, topic, offset)
            await take(consumer, self.context.database_of(consumer), [record], [Span(topic, 0, offset, offset + 1)])
            self._offsets[partition] = offset + 1

    async def _position(self, consumer: Consumer, topic: str, offset: int) -> None:
        async with self.transaction() as session:
            await session.execute(
                text("INSERT INTO position VALUES (:consumer, :topic, 0, :next) ON CONFLICT DO NOTHING"),
                {"consumer": consumer.name, "topic": topic, "next": offset},
            )

    async def deliver_twice(self, event: Event, *, sequence: int = 1) -> str:
        """The same event, two records: as a relay does that was cut off before it could delete the row."""
        event_id = await self.deliver(event, sequence=sequence)
        return await self.deliver(event, sequence=sequence, event_id=event_id)

    async def deliver_shuffled(self, events: Sequence[tuple[Event, int]], *, seed: int = 0) -> None:
        """Pairs of event and sequence in an order that only the seed knows, some of them twice."""
        dice = random.Random(seed)  # noqa: S311 - repeatable on purpose
        known = [(event, sequence, str(new_id())) for event, sequence in events]
        arriving = known + dice.sample(known, k=len(known) // 2)
        dice.shuffle(arriving)
        for event, sequence, event_id in arriving:
            await self.deliver(event, sequence=sequence, event_id=event_id)

    async def work(self, name: str) -> None:
        """Run the named worker until it says that nothing more is due."""
        (worker,) = [worker for worker in self.service.workers if worker.name == name]
        while await worker.run(self.context):
            pass

    async def somebody_waits(self) -> bool:
        """Whether a transaction waits for a lock that another one holds."""
        query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        async with self.transaction() as session:
            return bool(await session.scalar(text(query)))

    async def parked(self) -> list[Parked]:
        async with self.transaction() as session:
            rows = await session.execute(text("SELECT consumer, key, state, error FROM parked_key ORDER BY 1, 2"))
            return [Parked(row.consumer, row.key, row.state, row.error) for row in rows]

    async def move_date(self, to: date) -> None:
        """From now on the service's today() is that date."""
        async with self.transaction() as session:
            real = await self.context.clock.today(session) - timedelta(days=await clock.offset_days(session))
            await clock.move_date(session, (to - real).days)


class _App:
    """A service's application, which takes longer to make than most tests: one answers for one test after the other."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.asgi = create_app(
            running.service, running.context, ready=self._ready, live=self._live, lifespan=no_lifespan
        )

    def answer_for(self, running: Running) -> None:
        self.running = running
        self.asgi.state.context = running.context

    def _ready(self) -> Sequence[tuple[str, Check]]:
        return self.running.ready()

    def _live(self) -> Sequence[tuple[str, Check]]:
        return self.running.live()


ServiceHarness = Callable[..., AbstractAsyncContextManager[Harness]]


@pytest.fixture(scope="session")
def service_harness(new_database: NewDatabase, sealing_keys: Path, signing_key: OKPKey) -> ServiceHarness:
    """``service_harness(service, **settings)``: the service with a fresh database, as an async context manager.

    It needs no lease: its facts of access count as its own.
    """
    apps: defaultdict[int, list[_App]] = defaultdict(list)

    @asynccontextmanager
    async def harness(service: Service, **overrides: Any) -> AsyncIterator[Harness]:
        async with new_database(service.package) as urls:
            settings = service_settings(service, urls, sealing_keys, **overrides)
            running = Running(service, settings)
            idle = apps[id(service)]
            app = idle.pop() if idle else _App(running)
            app.answer_for(running)
            harness = Harness(service, running.context, app.asgi, signing_key, _NOT_YET)
            async with harness.transaction() as session:
                await session.execute(text("UPDATE access_applier SET authority = true"))
            try:
                async with await harness.staff_member(*StaffRight) as harness.api:
                    yield harness
            finally:
                idle.append(app)
                await running.context.requests.close()
                await running.context.workers.close()

    return harness


def service_settings(service: Service, urls: DatabaseUrls, keys: Path, **overrides: Any) -> ServiceSettings:
    """Settings of a service under test."""
    return service.settings(
        **{
            "database_url": urls.request,
            "worker_database_url": urls.worker,
            "owner_database_url": urls.owner,
            "kafka": KafkaSettings(bootstrap_servers="127.0.0.1:1"),
            "operator_token": "an operator's token of a test",
            "sealing_public_keys": keys / "public.jwks.json",
            "sealing_private_keys": keys / "private.jwks.json",
            "token_keys": keys / "tokens.jwks.json",
            **overrides,
        }
    )


def arrived(event: E, sequence: int) -> Arrived[E]:
    """The event as a handler of many gets it."""
    return Arrived(event, _envelope(event, sequence))


def _envelope(event: Event, sequence: int, event_id: str | None = None) -> Envelope:
    return Envelope(
        id=event_id or str(new_id()),
        source=f"/{event.topic.owner}",
        type=event.topic.name,
        time=Clock.now(),
        subject=event.key,
        sequence=sequence,
        correlation_id=str(uuid4()),
        causation_id=None,
        traceparent=None,
    )


@asynccontextmanager
async def no_lifespan(_app: object = None) -> AsyncIterator[None]:
    """For an app whose parts a test drives by hand."""
    yield
