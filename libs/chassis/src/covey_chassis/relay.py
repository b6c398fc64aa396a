"""The relay: outbox rows to Kafka, in the order of their IDs, woken after each commit.

One relay is active for a service's database, others stand by: whoever holds the lease row, with a fence number that goes
up with each new holder. Rows are sent through one idempotent producer without waiting between them, and are deleted, under
the fence, once Kafka has them all. What is in the table is what is not sent: there is no position to lose, and a row whose
transaction commits late is still found.

Two rules keep a key's order. A producer is abandoned, never flushed, at the first failed send, and before any of its
batches can expire (`OLDEST_UNACKED_S`): an idempotent aiokafka producer stays broken for a partition after an error, and a
batch that expires inside a live producer lets later rows overtake it. And the next producer begins again at the first row
that is not deleted. Copies that this sends twice carry the same event ID.

A sweep reads page after page, so what comes to be meanwhile must wait for the next one: a row that is committed behind the
page that was read, or a key that an operator gives back, would else be overtaken by a later row of its key. Hence a sweep's
bounds (``_Bounds``), settled before its first page.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import asyncpg
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from prometheus_client import Counter, Gauge, Histogram

from covey_chassis.clock import Clock
from covey_chassis.envelope import Envelope, to_headers
from covey_chassis.failpoints import failpoint
from covey_chassis.kafka import connection
from covey_chassis.settings import KafkaSettings
from covey_chassis.waiting import wait_until

log = structlog.get_logger(__name__)

CHANNEL = "covey_outbox"
LEASE_S = 5.0
RENEW_S = 1.0
POLL_S = 0.5
DEBOUNCE_S = 0.01
PAGE_ROWS = 500
PAGES_IN_FLIGHT = 4
OLDEST_UNACKED_S = 30.0
REQUEST_TIMEOUT_MS = 120_000
PAUSE_MIN_S = 0.1
PAUSE_MAX_S = 5.0
TOPIC_S = 3.0
"""How long a topic that the producer does not know is waited for, before its keys wait and all others go on."""

SENT = Counter("covey_relay_sent_total", "Events that Kafka has acknowledged", ["topic"])
ABANDONED = Counter("covey_relay_producers_abandoned_total", "Producers given up after a failed or overdue send")
BLOCKED = Gauge("covey_relay_blocked_keys", "Keys whose first waiting event Kafka refuses for good")
MISSING = Gauge("covey_relay_missing_topics", "Topics that events wait for and that Kafka does not have")
WAITING = Gauge("covey_outbox_oldest_seconds", "Age of the first event that waits and is not blocked")
ACTIVE = Gauge("covey_relay_active", "1 where this process holds the relay's lease")
DELAY = Histogram(
    "covey_relay_delay_seconds",
    "From the event's making to Kafka's acknowledgement",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300),
)

REFUSED_FOR_GOOD = (MessageSizeTooLargeError, RecordTooLargeError, InvalidTopicError, TopicAuthorizationFailedError)
"""Errors that sending the same row again cannot mend. All others are tried again for as long as it takes."""


class LeaseLost(Exception):
    """Another relay has taken over. Everything in hand is dropped."""


class SendFailed(Exception):
    """A send failed or took too long: the producer that it went through must not be used again."""


@dataclass(frozen=True)
class _Bounds:
    """What a sweep sends: rows up to ``last``, but for those of the keys that are ``held``.

    A row that is not visible yet when ``last`` is read may have a lower ID, but no later row of its key can: that key's
    aggregate is still locked, so its next row will be numbered after ``last``.
    """

    last: int
    held: list[str]


@dataclass(frozen=True)
class _Page:
    """Rows whose sends are under way."""

    rows: Sequence[asyncpg.Record]
    sent: asyncio.Future[list[object]]
    since: float


class Relay:
    """Sends one service's outbox. ``run()`` goes on until it is cancelled; ``wake()`` says that there may be rows."""

    def __init__(self, *, service: str, database_url: str, kafka: KafkaSettings) -> None:
        self.service = service
        self._database_url = database_url
        self._kafka = kafka
        self._holder = uuid4()
        self._fence = 0
        self._renewed = 0.0
        self._pause = PAUSE_MIN_S
        self._missing: set[str] = set()
        self._looked = 0.0
        self._woken = asyncio.Event()
        self.active = False

    def wake(self) -> None:
        self._woken.set()

    async def run(self) -> None:
        """Hold the lease and send, or stand by; begin anew after whatever goes wrong."""
        while True:
            try:
                await self._connected()
            except asyncio.CancelledError:
                raise
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, KafkaError, SendFailed, LeaseLost) as error:
                log.warning("relay.interrupted", error=repr(error))
                await self._rest()
            finally:
                self.active = False
                ACTIVE.set(0)

    async def _rest(self) -> None:
        """Pause after a failure: for longer each time, until a sweep gets through."""
        await asyncio.sleep(self._pause)
        self._pause = min(self._pause * 2, PAUSE_MAX_S)

    async def _connected(self) -> None:
        database = await asyncpg.connect(
            self._database_url, timeout=10, command_timeout=20, server_settings={"application_name": "relay"}
        )
        try:
            await database.add_listener(CHANNEL, lambda *_: self.wake())
            while True:
                if await self._hold_lease(database):
                    await self._send_while_held(database)
                else:
                    await asyncio.sleep(RENEW_S)
        finally:
            with contextlib.suppress(Exception):  # the connection may be broken: nothing of it is needed any more
                await asyncio.wait_for(database.close(), 2)

    # --- the lease ---

    async def _hold_lease(self, database: asyncpg.Connection) -> bool:
        """Take or renew the lease, by the database's clock. A new holder raises the fence."""
        fence = await database.fetchval(
            """
            UPDATE relay_lease
               SET holder = $1,
                   fence = fence + (holder IS DISTINCT FROM $1)::int,
                   expires_at = clock_timestamp() + make_interval(secs => $2)
             WHERE shard = 0 AND (holder = $1 OR expires_at < clock_timestamp())
            RETURNING fence
            """,
            self._holder,
            LEASE_S,
        )
        self._renewed = time.monotonic()
        if fence is None:
            for gauge in (WAITING, BLOCKED, MISSING):
                gauge.set(0)  # the active relay tells
            return False
        if fence != self._fence:
            log.info("relay.active", fence=fence)
        self._fence = fence
        self.active = True
        ACTIVE.set(1)
        await self._measure(database)
        return True

    async def _measure(self, database: asyncpg.Connection) -> None:
        """Bring the gauges up to date: with each renewal, so also while Kafka is away or nothing gets through."""
        found = await database.fetchrow(
            """
            SELECT (SELECT count(*) FROM outbox_blocked) AS blocked,
                   (SELECT occurred_at FROM outbox o WHERE NOT EXISTS (SELECT FROM outbox_blocked b WHERE b.key = o.key)
                     ORDER BY id LIMIT 1) AS occurred_at
            """
        )
        BLOCKED.set(found["blocked"])
        WAITING.set(_age_s(found) if found["occurred_at"] else 0)
        MISSING.set(len(self._missing))

    async def _renew_if_due(self, database: asyncpg.Connection) -> None:
        if time.monotonic() - self._renewed > RENEW_S and not await self._hold_lease(database):
            raise LeaseLost

    async def release(self) -> None:
        """Let a standby take over at once instead of after the lease's end. For a clean stop."""
        if not self._fence:
            return
        database = await asyncpg.connect(self._database_url, timeout=5, command_timeout=5)
        try:
            await database.execute(
                "UPDATE relay_lease SET expires_at = '-infinity' WHERE shard = 0 AND holder = $1", self._holder
            )
        finally:
            await database.close()

    # --- sending ---

    async def _send_while_held(self, database: asyncpg.Connection) -> None:
        careful = False
        while True:
            producer = AIOKafkaProducer(
                **connection(self._kafka),
                client_id=f"{self.service}-relay",
                enable_idempotence=True,
                acks="all",
                request_timeout_ms=REQUEST_TIMEOUT_MS,
                max_batch_size=262_144,
                linger_ms=0,
            )
            try:
                await producer.start()
                if careful:
                    await self._sweep_row_by_row(database, producer)
                    careful = False
                while True:
                    self._woken.clear()
                    await self._sweep(database, producer)
                    self._pause = PAUSE_MIN_S
                    await self._wait(database)
            except SendFailed as error:
                log.warning("relay.producer_abandoned", error=str(error))
                ABANDONED.inc()
                careful = True
            finally:
                await _abandon(producer)
            await self._rest()
            await self._renew_if_due(database)

    async def _wait(self, database: asyncpg.Connection) -> None:
        """Until there may be rows. The poll is the safety net: a lost wake-up costs half a second, never an event."""
        await wait_until(self._woken, POLL_S)
        await self._renew_if_due(database)

    async def _bounds(self, database: asyncpg.Connection) -> _Bounds:
        found = await database.fetchrow(
            """
            SELECT coalesce((SELECT max(id) FROM outbox), 0) AS last,
                   ARRAY(SELECT key FROM outbox_blocked
                          UNION SELECT key FROM outbox WHERE topic = ANY($1::text[])) AS held
            """,
            sorted(self._missing),
        )
        return _Bounds(found["last"], found["held"])

    async def _page(self, database: asyncpg.Connection, bounds: _Bounds, after: int, rows: int) -> list[asyncpg.Record]:
        page: list[asyncpg.Record] = await database.fetch(
            """
            SELECT id, event_id, topic, key, sequence, occurred_at, correlation_id, causation_id, traceparent, payload
              FROM outbox
             WHERE id > $1 AND id <= $2 AND key <> ALL($3::text[])
             ORDER BY id
             LIMIT $4
            """,
            after,
            bounds.last,
            bounds.held,
            rows,
        )
        return page

    async def _sweep(self, database: asyncpg.Connection, producer: AIOKafkaProducer) -> None:
        """Send all that waits, from the first row on, some pages ahead of the acknowledgements."""
        in_flight: deque[_Page] = deque()
        await self._look_again(producer)
        bounds = await self._bounds(database)
        rows = await self._page(database, bounds, 0, PAGE_ROWS)
        try:
            while rows and not await self._miss(producer, rows):
                await failpoint("relay.after_select")
                in_flight.append(await self._send(producer, rows))
                if len(in_flight) == PAGES_IN_FLIGHT:
                    await self._settle(database, in_flight.popleft())
                full = len(rows) == PAGE_ROWS
                rows = await self._page(database, bounds, rows[-1]["id"], PAGE_ROWS) if full else []
            while in_flight:
                await self._settle(database, in_flight.popleft())
        finally:
            for page in in_flight:
                page.sent.cancel()

    async def _miss(self, producer: AIOKafkaProducer, rows: Sequence[asyncpg.Record]) -> bool:
        """Whether a topic of these rows is not there. Their keys wait from the next sweep on, which begins at once."""
        missing = {topic for topic in {row["topic"] for row in rows} if not await _is_there(producer, topic, TOPIC_S)}
        for topic in missing:
            log.error("relay.topic_missing", topic=topic)
        if missing:
            self._missing |= missing
            self._looked = time.monotonic()
            self.wake()
        return bool(missing)

    async def _look_again(self, producer: AIOKafkaProducer) -> None:
        """Are the topics there by now that were missing?"""
        if self._missing and time.monotonic() - self._looked > RENEW_S:
            self._missing = {topic for topic in self._missing if not await _is_there(producer, topic, 0.2)}
            self._looked = time.monotonic()

    async def _send(self, producer: AIOKafkaProducer, rows: Sequence[asyncpg.Record]) -> _Page:
        futures: list[asyncio.Future[object]] = []
        try:
            async with asyncio.timeout(OLDEST_UNACKED_S):
                for row in rows:
                    headers = to_headers(self._envelope(row))
                    sent = await producer.send(row["topic"], row["payload"], key=row["key"].encode(), headers=headers)
                    futures.append(sent)
        except (KafkaError, TimeoutError) as error:
            for future in futures:
                future.cancel()
            raise SendFailed(repr(error)) from error
        return _Page(rows, asyncio.gather(*futures, return_exceptions=True), time.monotonic())

    def _envelope(self, row: asyncpg.Record) -> Envelope:
        return Envelope(
            id=str(row["event_id"]),
            source=f"/{self.service}",
            type=row["topic"],
            time=row["occurred_at"],
            subject=row["key"],
            sequence=row["sequence"],
            correlation_id=row["correlation_id"],
            causation_id=row["causation_id"],
            traceparent=row["traceparent"],
        )

    async def _settle(self, database: asyncpg.Connection, page: _Page) -> None:
        """Wait for Kafka to have the whole page, then delete its rows."""
        while not page.sent.done():
            left = OLDEST_UNACKED_S - (time.monotonic() - page.since)
            if left <= 0:
                raise SendFailed("the oldest row was not acknowledged in time")
            await asyncio.wait([page.sent], timeout=min(left, RENEW_S))
            await self._renew_if_due(database)
        failures = [result for result in page.sent.result() if isinstance(result, BaseException)]
        if failures:
            raise SendFailed(repr(failures[0]))
        await failpoint("relay.after_ack")
        await self._delete(database, page.rows)
        await failpoint("relay.after_delete")
        for row in page.rows:
            SENT.labels(row["topic"]).inc()
            DELAY.observe(_age_s(row))

    async def _delete(self, database: asyncpg.Connection, rows: Sequence[asyncpg.Record]) -> None:
        held = await database.fetchval(
            """
            WITH held AS (SELECT 1 AS yes FROM relay_lease WHERE shard = 0 AND fence = $2),
                 gone AS (DELETE FROM outbox USING held WHERE id = ANY($1::bigint[]))
            SELECT yes FROM held
            """,
            [row["id"] for row in rows],
            self._fence,
        )
        if held is None:
            raise LeaseLost

    async def _sweep_row_by_row(self, database: asyncpg.Connection, producer: AIOKafkaProducer) -> None:
        """After a failed send: find the row that cannot be sent, set its key aside, and let all others flow."""
        rows = await self._page(database, await self._bounds(database), 0, PAGE_ROWS * PAGES_IN_FLIGHT)
        if await self._miss(producer, rows):
            return
        for row in rows:
            try:
                page = await self._send(producer, [row])
            except SendFailed as error:
                if isinstance(error.__cause__, REFUSED_FOR_GOOD):
                    await self._set_aside(database, row, error.__cause__)
                    return
                raise
            await asyncio.wait([page.sent], timeout=OLDEST_UNACKED_S)
            failure = page.sent.result()[0] if page.sent.done() else None
            if isinstance(failure, REFUSED_FOR_GOOD):
                await self._set_aside(database, row, failure)
                raise SendFailed(f"set aside {row['topic']} {row['event_id']}")
            await self._settle(database, page)

    async def _set_aside(self, database: asyncpg.Connection, row: asyncpg.Record, error: BaseException) -> None:
        """Block the key behind its first row: order is kept for when an operator has mended the cause."""
        await database.execute(
            """
            INSERT INTO outbox_blocked (key, outbox_id, topic, error)
            SELECT $1, $2, $3, $4 FROM relay_lease WHERE shard = 0 AND fence = $5
            ON CONFLICT (key) DO NOTHING
            """,
            row["key"],
            row["id"],
            row["topic"],
            repr(error),
            self._fence,
        )
        self._pause = PAUSE_MIN_S
        log.error("relay.key_blocked", topic=row["topic"], event_id=str(row["event_id"]), error=repr(error))


async def _is_there(producer: AIOKafkaProducer, topic: str, within_s: float) -> bool:
    try:
        async with asyncio.timeout(within_s):
            return bool(await producer.partitions_for(topic))
    except (TimeoutError, UnknownTopicOrPartitionError):
        return False
    except TopicAuthorizationFailedError:
        return True  # sending will say so


def _age_s(row: asyncpg.Record) -> float:
    age: timedelta = Clock.now() - row["occurred_at"]
    return age.total_seconds()


async def _abandon(producer: AIOKafkaProducer) -> None:
    """Close the producer's sockets without flushing: what it still holds must not be written any more.

    aiokafka has no public way to stop without a flush, hence its two private names.
    """
    producer._closed = True
    for close in (producer._sender.close, producer.client.close):
        with contextlib.suppress(KafkaError, OSError, TimeoutError):
            await asyncio.wait_for(close(), 2)


class Notifier:
    """Wakes the relay after a commit: at once in this process, by a debounced NOTIFY in others.

    NOTIFY runs on a connection of its own, after the commit: inside a business transaction it would take a lock that is
    shared by the whole database server.
    """

    def __init__(self, database_url: str, relay: Relay | None) -> None:
        self._database_url = database_url
        self._relay = relay
        self._emitted = asyncio.Event()

    def __call__(self) -> None:
        if self._relay is not None:
            self._relay.wake()
        if self._relay is None or not self._relay.active:
            self._emitted.set()

    async def run(self) -> None:
        """Send the notifications. A lost one costs the relay's poll interval, so errors only delay the next."""
        while True:
            try:
                await self._connected()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("notifier.interrupted", error=repr(error))
                await asyncio.sleep(1)

    async def _connected(self) -> None:
        await self._emitted.wait()
        database = await asyncpg.connect(self._database_url, timeout=10, command_timeout=10)
        try:
            while True:
                await self._emitted.wait()
                self._emitted.clear()
                await database.execute(f"NOTIFY {CHANNEL}")
                await asyncio.sleep(DEBOUNCE_S)
        finally:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(database.close(), 2)
