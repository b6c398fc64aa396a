"""The relay: outbox rows to Kafka, in the order of their IDs, woken after each commit.

One relay is active for a service's database, others stand by: whoever holds the lease row, with a fence number that goes
up with each new holder. Rows are sent through one idempotent producer, a batch for each partition at a time, and are
deleted, under the fence, once Kafka has them. What is in the table is what is not sent: there is no position to lose, and a
row whose transaction commits late is still found.

Two rules keep a key's order. A producer is abandoned, never flushed, at the first failed send, and before any of its
batches can expire (`OLDEST_UNACKED_S`): an idempotent aiokafka producer stays broken for a partition after an error, and a
batch that expires inside a live producer lets later rows overtake it. And the next producer begins again at the first row
that is not deleted. Copies that this sends twice carry the same event ID.

A partition that has no leader, or does not acknowledge, makes its keys wait, in all topics, until it does; so do a topic
that is not there, and a key that Kafka refuses. All other keys flow.

A sweep reads page after page, so what comes to be meanwhile must wait for the next one: a row that is committed behind the
page that was read, or a key that an operator gives back, would else be overtaken by a later row of its key. Hence a sweep's
bounds (``_Bounds``), settled before its first page.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import uuid4

import asyncpg
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from prometheus_client import Counter, Gauge, Histogram

from covey_chassis.clock import Clock
from covey_chassis.envelope import Envelope, to_headers
from covey_chassis.failpoints import failpoint
from covey_chassis.outgoing import Batch, Outgoing, SendFailed, partition_of
from covey_chassis.settings import KafkaSettings
from covey_chassis.waiting import wait_until

log = structlog.get_logger(__name__)

CHANNEL = "covey_outbox"
LEASE_S = 5.0
RENEW_S = 1.0
POLL_S = 0.5
DEBOUNCE_S = 0.01
PAGE_ROWS = 1000
PAUSE_MIN_S = 0.1
PAUSE_MAX_S = 5.0
IN_VAIN_S = 2e-5
"""The pause after a sweep, for each row that it read in vain: some times longer than the reading takes."""
CONNECTION = {"application_name": "relay", "synchronous_commit": "off"}
"""Of its connection. A deletion that a crash of the database undoes costs copies, which carry the same event IDs."""
TOPIC_S = 3.0
"""How long a topic that the producer does not know is waited for, before its keys wait and all others go on."""

SENT = Counter("covey_relay_sent_total", "Events that Kafka has acknowledged", ["topic"])
ABANDONED = Counter("covey_relay_producers_abandoned_total", "Producers given up after a failed or overdue send")
BLOCKED = Gauge("covey_relay_blocked_keys", "Keys whose first waiting event Kafka refuses for good")
MISSING = Gauge("covey_relay_missing_topics", "Topics that events wait for and that Kafka does not have")
STALLED = Gauge("covey_relay_stalled_partitions", "Partitions that events wait for: no leader, or no acknowledgement")
WAITING = Gauge("covey_outbox_oldest_seconds", "Age of the first event that waits and is not blocked")
ACTIVE = Gauge("covey_relay_active", "1 where this process holds the relay's lease")
DELAY = Histogram(
    "covey_relay_delay_seconds",
    "From the making of a batch's first event to Kafka's acknowledgement",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300),
)


class LeaseLost(Exception):
    """Another relay has taken over. Everything in hand is dropped."""


@dataclass(frozen=True)
class _Bounds:
    """What a sweep sends: rows up to ``last``, but for those of the keys that are ``held``.

    A row that is not visible yet when ``last`` is read may have a lower ID, but no later row of its key can: that key's
    aggregate is still locked, so its next row will be numbered after ``last``.
    """

    last: int
    held: list[str]


@dataclass
class _Waiting:
    """What waits for Kafka in this sweep: partitions, and the keys that have a row for one of them. It only grows."""

    partitions: set[TopicPartition]
    keys: set[str] = field(default_factory=set)
    rows: int = 0


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
        self._stalled = 0
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
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, KafkaError, LeaseLost) as error:
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
        database = await asyncpg.connect(self._database_url, timeout=10, command_timeout=20, server_settings=CONNECTION)
        try:
            await database.add_listener(CHANNEL, lambda *_: self.wake())
            while True:
                if await self._hold_lease(database):
                    await self._send_while_held(database)
                else:
                    await asyncio.sleep(RENEW_S)
        finally:
            with contextlib.suppress(Exception):  # the connection may be broken: nothing of it is needed any more
                async with asyncio.timeout(2):
                    await database.close()

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
            for gauge in (WAITING, BLOCKED, MISSING, STALLED):
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
        STALLED.set(self._stalled)

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
            outgoing = Outgoing(self._kafka, f"{self.service}-relay")
            try:
                await outgoing.start()
                while True:
                    self._woken.clear()
                    in_vain = await self._sweep(database, outgoing, careful=careful)
                    careful = False
                    self._pause = PAUSE_MIN_S
                    await asyncio.sleep(min(in_vain * IN_VAIN_S, RENEW_S))
                    await self._wait(database)
            except SendFailed as failed:
                log.warning("relay.producer_abandoned", error=str(failed))
                ABANDONED.inc()
                await self._delete_delivered(database, outgoing)
                careful = failed.for_good and len(failed.batch.rows) > 1
                if failed.for_good and not careful:
                    await self._set_aside(database, failed.batch.rows[0], failed.error)
            finally:
                await outgoing.abandon()
            await self._renew_if_due(database)
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

    async def _page(self, database: asyncpg.Connection, bounds: _Bounds, after: int) -> list[asyncpg.Record]:
        page: list[asyncpg.Record] = await database.fetch(
            """
            SELECT id, event_id::text, topic, key, sequence, occurred_at, correlation_id, causation_id, traceparent,
                   payload
              FROM outbox
             WHERE id > $1 AND id <= $2 AND key <> ALL($3::text[])
             ORDER BY id
             LIMIT $4
            """,
            after,
            bounds.last,
            bounds.held,
            PAGE_ROWS,
        )
        return page

    async def _sweep(self, database: asyncpg.Connection, outgoing: Outgoing, *, careful: bool) -> int:
        """Send all that waits, from the first row on; how many rows were read in vain, as they have to wait.

        A careful sweep sends row by row: so it is the row that cannot be sent whose batch is refused.
        """
        await self._look_again(outgoing)
        await self._settle(database, outgoing)
        waiting = _Waiting(outgoing.under_way())
        bounds = await self._bounds(database)
        rows = await self._page(database, bounds, 0)
        while rows and not await self._miss(database, outgoing, rows):
            await failpoint("relay.after_select")
            following = asyncio.ensure_future(self._next_page(database, outgoing, bounds, rows))
            try:
                await asyncio.sleep(0)  # the database is at it while these rows are made into batches
                batches = self._batches(outgoing, rows, waiting, careful=careful)
                rows = await following
            finally:
                following.cancel()
            await self._send(database, outgoing, batches, waiting)
        while outgoing.moves():
            await outgoing.change(RENEW_S)
            await self._settle(database, outgoing)
        self._stalled = len(waiting.partitions)
        return waiting.rows

    async def _next_page(
        self, database: asyncpg.Connection, outgoing: Outgoing, bounds: _Bounds, rows: Sequence[asyncpg.Record]
    ) -> list[asyncpg.Record]:
        """The rows after these; what Kafka has of those before them is deleted first."""
        await self._settle(database, outgoing)
        return await self._page(database, bounds, rows[-1]["id"]) if len(rows) == PAGE_ROWS else []

    async def _send(
        self,
        database: asyncpg.Connection,
        outgoing: Outgoing,
        batches: dict[TopicPartition, deque[Batch]],
        waiting: _Waiting,
    ) -> None:
        """Hand over all batches of a page, those of a partition one after the other, but for what has to wait."""
        while batches:
            for partition in list(batches):
                if outgoing.waits(partition):
                    waiting.partitions.add(partition)
                    waiting.keys.update(row["key"] for batch in batches.pop(partition) for row in batch.rows)
                elif outgoing.is_free(partition):
                    await outgoing.send(batches[partition].popleft())
                    await failpoint("relay.after_send")
                    if not batches[partition]:
                        del batches[partition]
            if batches:
                await outgoing.change(RENEW_S)
                outgoing.check()
                await self._renew_if_due(database)

    def _batches(
        self, outgoing: Outgoing, rows: Sequence[asyncpg.Record], waiting: _Waiting, *, careful: bool
    ) -> dict[TopicPartition, deque[Batch]]:
        """The rows that can be sent, by partition, in as few batches as hold them."""
        found: dict[TopicPartition, deque[Batch]] = {}
        partitions = {topic: outgoing.partitions(topic) for topic in {row["topic"] for row in rows}}
        for row in rows:
            topic, key = row["topic"], row["key"]
            partition = partition_of(topic, key, partitions[topic])
            if key in waiting.keys or partition in waiting.partitions:
                waiting.keys.add(key)
                waiting.rows += 1
                continue
            batches = found.setdefault(partition, deque())
            headers = to_headers(self._envelope(row))
            if not batches or careful or not batches[-1].append(row, headers):
                batches.append(outgoing.empty_batch(partition, partitions[topic]))
                batches[-1].append(row, headers)
        return found

    async def _miss(self, database: asyncpg.Connection, outgoing: Outgoing, rows: Sequence[asyncpg.Record]) -> bool:
        """Whether a topic of these rows is not there. Their keys wait from the next sweep on, which begins at once."""
        missing = set()
        for topic in {row["topic"] for row in rows}:
            if not await outgoing.has_topic(topic, TOPIC_S):
                log.error("relay.topic_missing", topic=topic)
                missing.add(topic)
            await self._renew_if_due(database)
        if missing:
            self._missing |= missing
            self._looked = time.monotonic()
            self.wake()
        return bool(missing)

    async def _look_again(self, outgoing: Outgoing) -> None:
        """Are the topics and leaders there by now that were missing?"""
        if (self._missing or self._stalled) and time.monotonic() - self._looked > RENEW_S:
            self._missing = {topic for topic in self._missing if not await outgoing.has_topic(topic, 0.2)}
            if self._stalled:
                outgoing.look_for_leaders()
            self._looked = time.monotonic()

    def _envelope(self, row: asyncpg.Record) -> Envelope:
        return Envelope(
            id=row["event_id"],
            source=f"/{self.service}",
            type=row["topic"],
            time=row["occurred_at"],
            subject=row["key"],
            sequence=row["sequence"],
            correlation_id=row["correlation_id"],
            causation_id=row["causation_id"],
            traceparent=row["traceparent"],
        )

    async def _settle(self, database: asyncpg.Connection, outgoing: Outgoing) -> None:
        """Delete what Kafka has acknowledged, and see that the rest may still come."""
        await self._renew_if_due(database)
        await self._delete_delivered(database, outgoing)
        outgoing.check()

    async def _delete_delivered(self, database: asyncpg.Connection, outgoing: Outgoing) -> None:
        delivered = outgoing.delivered()
        if not delivered:
            return
        await failpoint("relay.after_ack")
        await self._delete(database, [row for batch in delivered for row in batch.rows])
        await failpoint("relay.after_delete")
        for batch in delivered:
            SENT.labels(batch.partition.topic).inc(len(batch.rows))
            DELAY.observe(_age_s(batch.rows[0]))

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
        log.error("relay.key_blocked", topic=row["topic"], event_id=row["event_id"], error=repr(error))


def _age_s(row: asyncpg.Record) -> float:
    age: timedelta = Clock.now() - row["occurred_at"]
    return age.total_seconds()


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
                async with asyncio.timeout(2):
                    await database.close()
