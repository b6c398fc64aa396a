"""A running service: what its roles ask for is started with the process, watched, and stopped in order."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager

import structlog
from covey_contracts.acts import Origin
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from sqlalchemy import QueuePool, text

from covey_chassis import idempotency, parking
from covey_chassis.access.applier import Applier
from covey_chassis.access.checking import has_lease
from covey_chassis.access.tokens import Verifier
from covey_chassis.clock import Clock
from covey_chassis.consumer import Consumer
from covey_chassis.db import Database
from covey_chassis.kafka import broker_security
from covey_chassis.relay import Notifier, Relay
from covey_chassis.sealing import Keyring
from covey_chassis.service import Context, Service, Worker
from covey_chassis.settings import Role, ServiceSettings
from covey_chassis.subscribing import Subscription, subscribe
from covey_chassis.waiting import wait_until

log = structlog.get_logger(__name__)

Check = Callable[[], Awaitable[str | None]]

STOP_S = 15.0
REST_MAX_S = 0.05
"""How long a worker that has more to do gives way to requests, at most."""
INBOX_DAYS = 30
"""How long the inbox remembers an arrival."""


class Running:
    """The parts of one process of a service, and how they do."""

    def __init__(self, service: Service, settings: ServiceSettings) -> None:
        self.service = service
        self.settings = settings
        url = settings.worker_database_url.get_secret_value()
        self.relay = (
            Relay(service=service.name, database_url=url, kafka=settings.kafka)
            if Role.RELAY in settings.roles
            else None
        )
        self._notifier = Notifier(url, self.relay)
        clock = Clock(settings.zone)
        keyring = Keyring(settings.sealing_public_keys, settings.sealing_private_keys)
        if service.acts is not None:
            keyring.newest_of(Origin.sealed_for)  # or the first command would fail for want of it, hours later
        pool_size = settings.database_pool_size
        self.context = Context(
            name=service.name,
            settings=settings,
            requests=Database(
                settings.database_url.get_secret_value(),
                clock,
                keyring=keyring,
                may_act=True,
                pool_size=pool_size,
                on_emitted=self._notifier,
            ),
            workers=Database(url, clock, keyring=keyring, pool_size=pool_size, on_emitted=self._notifier),
            clock=clock,
            keyring=keyring,
            verifier=Verifier(settings.token_keys, settings.keys_url),
            acts=service.acts,
        )
        self.applier = self._applier()
        self.subscriptions: list[Subscription] = []
        self._unreachable: str | None = "has not answered yet"
        self._stopping = asyncio.Event()
        self._dead: dict[str, str] = {}

    def _applier(self) -> Applier | None:
        """Beside whatever answers requests: it is for them that rights are kept."""
        settings = self.settings
        if settings.access_url is None or settings.access_credential is None or Role.HTTP not in settings.roles:
            return None
        credential = settings.access_credential.get_secret_value()
        return Applier(self.context.workers, url=settings.access_url, credential=credential)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Start what the roles ask for; stop it in order: consumers, workers, then the relay, then the databases."""
        tasks: dict[str, asyncio.Task[None]] = {}

        def start(name: str, work: Coroutine[object, object, None]) -> None:
            tasks[name] = asyncio.create_task(self._watched(name, work), name=name)

        roles = self.settings.roles
        broker = self._broker() if Role.CONSUMERS in roles and self.service.consumers else None
        starting = asyncio.create_task(self._start_broker(broker)) if broker else None
        for name, work in self._parts():
            start(name, work)
        if broker:
            start("positions", self._loop(Worker("positions", self._check_consumers, every_s=5)))
        try:
            yield
        finally:
            self._stopping.set()
            if starting and broker:
                starting.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await starting
                await self._stop_broker(broker)
            endless = {"relay", "notifier", "access", *(each.name for each in self.service.companions)}
            loops = [task for name, task in tasks.items() if name not in endless]
            if loops:
                await asyncio.wait(loops, timeout=STOP_S)
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)
            if self.relay:
                with contextlib.suppress(Exception):  # a database that is away lets the lease run out by itself
                    await self.relay.release()
            await self.context.requests.close()
            await self.context.workers.close()

    def _parts(self) -> Iterator[tuple[str, Coroutine[object, object, None]]]:
        yield "notifier", self._notifier.run()
        if self.relay:
            yield "relay", self.relay.run()
        if self.applier:
            yield "access", self.applier.run()
        if Role.HTTP in self.settings.roles:
            for companion in self.service.companions:
                yield companion.name, companion.run(self.context)
        if Role.WORKERS in self.settings.roles:
            for worker in (*self.service.workers, *self._own_workers()):
                yield worker.name, self._loop(worker)

    def _broker(self) -> KafkaBroker:
        broker = KafkaBroker(
            self.settings.kafka.bootstrap_servers.split(","),
            security=broker_security(self.settings.kafka),
            client_id=self.service.name,
            ack_policy=AckPolicy.NACK_ON_ERROR,
            graceful_timeout=STOP_S,
            apply_types=False,
            allow_auto_create_topics=False,
            consumer_only=True,
            metadata_max_age_ms=30_000,
            logger=None,
        )
        self.subscriptions = [
            subscribe(
                broker,
                consumer,
                self.context.database_of(consumer),
                session_timeout_ms=self.settings.consumer_session_timeout_ms,
            )
            for consumer in self.service.consumers
        ]
        return broker

    async def _start_broker(self, broker: KafkaBroker) -> None:
        """Each consumer by itself: one whose topic is missing holds up no other."""
        await broker.connect()
        await asyncio.gather(*(self._start_consumer(subscription) for subscription in self.subscriptions))
        self._unreachable = None

    async def _start_consumer(self, subscription: Subscription) -> None:
        """Kafka may be away when the service starts: readiness says so, and this goes on trying."""
        while True:
            try:
                await subscription.start()
                return
            except Exception as error:  # aiokafka raises many kinds while Kafka is away
                self._unreachable = f"cannot connect or sign on: {type(error).__name__}"
                log.warning("kafka.unreachable", error=repr(error)[:500])
                await asyncio.sleep(1)

    async def _stop_broker(self, broker: KafkaBroker) -> None:
        try:
            await broker.stop()
        except Exception:  # whatever it is, the rest has to be stopped too
            log.exception("kafka.not_stopped")

    async def _check_consumers(self, _context: Context) -> bool:
        for subscription in self.subscriptions:
            await subscription.check_positions()
            subscription.measure_lag()
        return False

    async def _watched(self, name: str, work: Coroutine[object, object, None]) -> None:
        """A part that ends is a defect: liveness says so, and whoever supervises the process restarts it."""
        try:
            await work
        except Exception:
            log.exception("service.part_died", part=name)
            self._dead[name] = "died"

    async def _loop(self, worker: Worker) -> None:
        """Call a worker again and again. What it raises is logged, and tried again after growing pauses."""
        pause = worker.every_s
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                more = await worker.run(self.context)
                pause = self._rest_s(time.monotonic() - began) if more else worker.every_s
            except Exception:
                log.exception("worker.failed", worker=worker.name)
                pause = min(max(pause * 2, 1.0), 60.0)
            if pause:
                await wait_until(self._stopping, pause)

    def _rest_s(self, worked_s: float) -> float:
        """Rest for as long as it worked while requests are being answered here; else there is nobody to give way to."""
        pool = self.context.requests.engine.pool
        assert isinstance(pool, QueuePool)
        return min(worked_s, REST_MAX_S) if pool.checkedout() else 0.0

    def _own_workers(self) -> list[Worker]:
        """What the chassis itself has to do now and then in every service."""
        forgetting = Worker("forget", forget, every_s=600)
        consumers = {consumer.name: consumer for consumer in self.service.consumers}
        if not consumers:
            return [forgetting]  # nothing is ever parked
        by_database: dict[Database, dict[str, Consumer]] = {}
        for name, consumer in consumers.items():
            by_database.setdefault(self.context.database_of(consumer), {})[name] = consumer

        async def retry_parked(_context: Context) -> bool:
            return any([await parking.retry_one(database, theirs) for database, theirs in by_database.items()])

        async def measure(context: Context) -> bool:
            async with context.workers.transaction() as session:
                await parking.count(session, consumers)
            return False

        return [
            Worker("parked", retry_parked, every_s=0.5),
            Worker("measure", measure, every_s=5),
            forgetting,
        ]

    # --- probes ---

    def ready(self) -> list[tuple[str, Check]]:
        checks: list[tuple[str, Check]] = [("database", self._database_answers)]
        if self.applier:
            checks.append(("access", self._access_is_verified))
        if self.subscriptions:
            checks.append(("kafka", self._kafka_answers))
        return checks + [(s.consumer.name, s.ready) for s in self.subscriptions]

    def live(self) -> list[tuple[str, Check]]:
        checks: list[tuple[str, Check]] = [("parts", self._parts_live)]
        return checks + [(s.consumer.name, s.alive) for s in self.subscriptions]

    async def _database_answers(self) -> str | None:
        try:
            async with asyncio.timeout(2), self.context.requests.session() as session:
                await session.execute(text("SELECT offset_days FROM clock"))
        except Exception as error:  # whatever it is, the service cannot serve
            return type(error).__name__
        return None

    async def _access_is_verified(self) -> str | None:
        async with asyncio.timeout(2), self.context.requests.session() as session:
            return None if await has_lease(session) else "rights cannot be verified: the owner of access is silent"

    async def _kafka_answers(self) -> str | None:
        """Whether the consumers have started: what becomes of them after that is their own checks' affair."""
        return self._unreachable

    async def _parts_live(self) -> str | None:
        return ", ".join(f"{name} {how}" for name, how in self._dead.items()) or None


async def forget(context: Context) -> bool:
    """Delete what the inbox and the stored answers need not remember any longer, by the page."""
    more = False
    async with context.workers.transaction() as session:
        for table, days in (("inbox", INBOX_DAYS), ("stored_answer", idempotency.KEPT_DAYS)):
            gone = await session.execute(
                text(
                    f"DELETE FROM {table} WHERE ctid IN (SELECT ctid FROM {table}"  # noqa: S608 - a name of ours
                    " WHERE at < now() - make_interval(days => :days) LIMIT 5000) RETURNING 1"
                ),
                {"days": days},
            )
            more = more or len(gone.all()) == 5000
    return more
