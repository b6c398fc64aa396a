"""``latency``: from a command's commit, its own time included, to the committed effect of a consumer in another process.

At idle, and at 500 events a second. The limit is the same way with nothing of ours on it, added up for each: a commit, a
record sent and received by the other process, a commit. All times are of the one clock that a machine's processes share.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from statistics import median

import asyncpg
from aiokafka import AIOKafkaProducer
from covey_chassis.envelope import to_headers
from covey_chassis.kafka import connection
from covey_chassis.outgoing import PRODUCER
from covey_chassis.relay import Relay
from covey_chassis.settings import KafkaSettings
from covey_chassis.testing.broker import eventually, in_background
from covey_contracts.membership import GroupChanged, GroupRegistered
from covey_local.databases import DatabaseUrls

from bench.figure import Figure
from bench.groups import Book, envelope
from bench.rounds import in_turn, percentile
from bench.stand import Stand

PACES = {"at idle": (20, 200), "at 500 events/s": (500, 5_000)}
"""Events a second, and how many."""
NOTES = {
    "at 500 events/s": "Relay and consumer each take what came while they were at work: an event waits for half a turn of "
    "each. The limit adds up what three steps take that wait for nobody.",
}
ROUNDS = 3
COMMITS_AT_ONCE = 10
WARM_UP = 20
"""So many first events don't count: connections and statements are made then."""


async def measure(stand: Stand) -> list[Figure]:
    await stand.infrastructure.apply_topics([GroupRegistered.topic, GroupChanged.topic])
    async with stand.database() as sender, stand.database("covey_renewals") as listener:
        book = Book()
        await book.keep(listener.worker)
        figures: list[Figure] = []
        for pace, (per_s, full) in PACES.items():
            events = stand.size(full) + WARM_UP
            found = await in_turn(
                min(ROUNDS, stand.rounds),
                {
                    "ours": partial(_ours, stand, sender, listener, book, per_s, events),
                    "limit": partial(_limit, stand, sender, book, per_s, events),
                },
            )
            for percent, at_most in ((50, 2.5), (99, 4.0)):
                at = {name: median(percentile(values, percent) for values in found[name]) for name in found}
                figures.append(
                    Figure(
                        what=f"commit to committed effect {pace}, p{percent}",
                        unit="ms",
                        ours=at["ours"],
                        limit=at["limit"],
                        at_most=at_most,
                        note=NOTES.get(pace, ""),
                    )
                )
        return figures


async def _ours(
    stand: Stand, sender: DatabaseUrls, listener: DatabaseUrls, book: Book, per_s: int, events: int
) -> list[float]:
    relay = Relay(service="membership", database_url=sender.worker, kafka=stand.kafka)
    begun: dict[str, float] = {}
    changes = book.changes(events)
    async with _listener(stand.kafka, "ours", listener.worker) as effects, _pool(sender) as pool:
        async with in_background(relay.run()):

            async def commit() -> None:
                group, sequence = next(changes)
                payload, began = _payload(group), time.monotonic()
                event_id = await pool.fetchval(INSERT, group.topic.name, group.key, sequence, payload)
                begun[str(event_id)] = began
                relay.wake()

            await _paced(per_s, events, commit)

            async def is_sent() -> bool:
                return not await pool.fetchval("SELECT count(*) FROM outbox")

            await eventually(is_sent)
        await relay.release()
        had = await effects(events)
    return [(had[event_id] - since) * 1000 for event_id, since in list(begun.items())[WARM_UP:]]


async def _limit(stand: Stand, sender: DatabaseUrls, book: Book, per_s: int, events: int) -> list[float]:
    topic = await stand.topic()
    commits_s: list[float] = []
    sent: dict[str, float] = {}
    changes = book.changes(events)
    async with (
        _listener(stand.kafka, "bare", topic) as arrivals,
        _pool(sender) as pool,
        AIOKafkaProducer(**connection(stand.kafka), **PRODUCER) as producer,
    ):

        async def commit_and_send() -> None:
            group, sequence = next(changes)
            payload, around = _payload(group), envelope(group, sequence)
            headers = to_headers(around)
            began = time.monotonic()
            await pool.fetchval(INSERT, group.topic.name, group.key, sequence, payload)
            sent[around.id] = time.monotonic()
            commits_s.append(sent[around.id] - began)
            await producer.send(topic, payload, key=group.key.encode(), headers=headers)

        await _paced(per_s, events, commit_and_send)
        await producer.flush()
        await pool.execute("DELETE FROM outbox")
        arrived = await arrivals(events)
    ways_s = [arrived[event_id] - since for event_id, since in sent.items()]
    return [
        (before + way + after) * 1000
        for (before, after), way in list(zip(pairwise(commits_s), ways_s, strict=False))[WARM_UP:]
    ]


INSERT = """
INSERT INTO outbox (topic, key, sequence, occurred_at, correlation_id, payload)
VALUES ($1, $2, $3, clock_timestamp(), uuidv7()::text, $4) RETURNING event_id
"""


def _payload(group: GroupChanged) -> bytes:
    return group.model_dump_json().encode()


async def _paced(per_s: int, events: int, act: Callable[[], Awaitable[None]]) -> None:
    """Begin so many acts a second, whether the ones before have ended or not."""
    began = time.monotonic()
    acts: list[asyncio.Future[None]] = []
    for number in range(events):
        await asyncio.sleep(max(0.0, began + number / per_s - time.monotonic()))
        acts.append(asyncio.ensure_future(act()))
    await asyncio.gather(*acts)


@asynccontextmanager
async def _pool(database: DatabaseUrls) -> AsyncIterator[asyncpg.Pool]:
    async with asyncpg.create_pool(database.worker, min_size=COMMITS_AT_ONCE, max_size=COMMITS_AT_ONCE) as pool:
        yield pool


Times = Callable[[int], Awaitable[dict[str, float]]]


@asynccontextmanager
async def _listener(kafka: KafkaSettings, *words: str) -> AsyncIterator[Times]:
    """The other process; when it is asked for so many events' times, it ends once it has had them."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.listener", *words),
        env=os.environ | kafka.environment(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**26,
    )
    said, asked = process.stdout, process.stdin
    assert said, "it was asked for"
    assert asked, "it was asked for"

    async def times(events: int) -> dict[str, float]:
        asked.write(f"{events}\n".encode())
        return dict(json.loads(await said.readline()))

    try:
        async with asyncio.timeout(60):
            assert await said.readline() == b"ready\n", "the listener did not start"
        yield times
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
