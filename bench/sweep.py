"""``sweep``: renewals becoming available, a million of them due, and what requests to the same process feel of it.

The limit does the same in SQL alone: one statement a page, UPDATE and INSERT of the same fields, and a commit. Both work
off one backlog in turn. Then the service itself, a real process, has some days pass while it is being asked; and at last
days on which ten and a hundred times as many are due, when nobody asks.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import cycle
from pathlib import Path

import asyncpg
from covey_chassis.access.tokens import issue
from covey_chassis.clock import Clock
from covey_chassis.ids import new_id
from covey_chassis.running import Running
from covey_chassis.service import Context
from covey_chassis.settings import Role
from covey_chassis.testing.broker import eventually
from covey_contracts.renewals import RenewalAvailable
from covey_local import keys, ports
from covey_local.processes import Command
from covey_local.services import ServiceProcess
from covey_renewals.app import service
from covey_renewals.domain.renewal import last_date_in_reach
from covey_renewals.workers import PAGE, sweep
from joserfc.jwk import KeySet, OKPKey

from bench import http_load
from bench.asking import Asking
from bench.due import Book, Shelf, filled
from bench.figure import Figure, growth
from bench.memory import memory_of
from bench.rounds import in_turn, interleaved, percentile
from bench.stand import Stand

ASKED = 20_000
"""How many become due on each of the days on which the service is asked meanwhile."""
ASKED_LEAST = 3_000
"""Fewer are done before anybody has an answer."""
BACKLOGS = (10_000, 100_000, 1_000_000)
SLICE = 100_000
"""Of a round, out of the same backlog."""
OPERATOR_TOKEN = "an operator's token of a benchmark"  # noqa: S105
PATIENCE_S = 600
IDLE_S = 1.5
"""How long nothing is due between two days."""

LIMIT = """
WITH due AS MATERIALIZED (
    SELECT id FROM renewal
     WHERE status = 'upcoming' AND effective_date > $1 AND effective_date <= $2
     ORDER BY effective_date
     LIMIT $3
       FOR UPDATE SKIP LOCKED
), moved AS (
    UPDATE renewal
       SET status = 'available', available_on = $1, version = version + 1, sequence = sequence + 1
      FROM due
     WHERE renewal.id = due.id
    RETURNING renewal.id, group_id, plan_year, effective_date, status, available_on, sequence
)
INSERT INTO outbox (event_id, topic, key, sequence, occurred_at, correlation_id, payload)
SELECT uuidv7(), $4, id::text, sequence, now(), $5,
       convert_to(
           json_build_object(
               'renewal_id', id, 'group_id', group_id, 'plan_year', plan_year, 'effective_date', effective_date,
               'status', status, 'available_on', available_on
           )::text,
           'UTF8'
       )
  FROM moved
"""
ONCE_EACH = """
SELECT (SELECT count(*) FROM outbox) AS events, (SELECT count(DISTINCT key) FROM outbox) AS renewals,
       (SELECT count(*) FROM renewal WHERE status = 'available') AS available
"""


async def measure(stand: Stand) -> list[Figure]:
    asked_days = [max(stand.size(ASKED), ASKED_LEAST)] * 2 * stand.rounds
    backlogs = [max(stand.size(groups), 2 * PAGE) for groups in BACKLOGS]  # the first page of each is not timed
    stand.say(f"filling a book of {sum(asked_days) + sum(backlogs):,} groups")
    async with filled(stand, [*asked_days, *backlogs]) as shelf:
        figures = [await _beside_the_limit(stand, shelf, len(asked_days) + len(backlogs))]
        async with shelf.copy() as book:
            figures += await _while_asked(stand, book, len(asked_days))
            figures += await _growth(stand, book, len(asked_days), backlogs)
    return figures


# --- the speed ---


async def _beside_the_limit(stand: Stand, shelf: Shelf, last_day: int) -> Figure:
    groups = stand.size(SLICE) // PAGE * PAGE
    async with shelf.copy() as book, _context(stand, book) as context:
        due = await book.pass_to(last_day)
        measures = {"ours": partial(_ours, context, groups), "limit": partial(_limit, book.database, context, groups)}
        await in_turn(1, measures)  # it gets warm
        rates = await interleaved(stand.rounds, measures)
        found = await book.database.fetchrow(ONCE_EACH)
        moved = 2 * (1 + stand.rounds) * groups
        assert tuple(found) == (moved, moved, moved), f"not once each: {dict(found)} of {moved}"
    return Figure(
        what=f"renewals becoming available, {due:,} due, against SQL alone",
        unit="events/s",
        ours=rates["ours"],
        limit=rates["limit"],
        at_least=0.35,
        note="What is left is Python: rows to events, events to JSON and to the driver, and five round trips a page.",
    )


async def _ours(context: Context, groups: int) -> float:
    began = time.perf_counter()
    for _ in range(groups // PAGE):
        assert await sweep(context), "less was due than has to be measured"
    return groups / (time.perf_counter() - began)


async def _limit(database: asyncpg.Connection, context: Context, groups: int) -> float:
    async with context.workers.session() as session:
        today = await context.clock.today(session)
    topic, conversation = RenewalAvailable.topic.name, str(new_id())
    began = time.perf_counter()
    for _ in range(groups // PAGE):
        await database.execute(LIMIT, today, last_date_in_reach(today), PAGE, topic, conversation)
    return groups / (time.perf_counter() - began)


@asynccontextmanager
async def _context(stand: Stand, book: Book) -> AsyncIterator[Context]:
    """What the sweep gets in a running service."""
    settings = service.settings(
        database_url=book.urls.request,
        worker_database_url=book.urls.worker,
        kafka=stand.kafka,
        operator_token=OPERATOR_TOKEN,
        roles=frozenset({Role.WORKERS}),
    )
    context = Running(replace(service, acts=None), settings).context
    try:
        yield context
    finally:
        await context.requests.close()
        await context.workers.close()


# --- while it is being asked ---


async def _while_asked(stand: Stand, book: Book, days: int) -> list[Figure]:
    """How long requests take while the whole service sweeps and relays, and between the days, when it does nothing else."""
    await stand.infrastructure.apply_topics()
    async with _running(stand, book, roles="http,consumers,relay,workers") as process:
        requests = await _requests(stand, book, process.url)
        async with Asking(process.url, requests) as asking:
            await asyncio.sleep(IDLE_S)  # it gets warm
            for day in range(1, days + 1):
                asking.meanwhile = "idle"
                await asyncio.sleep(IDLE_S)
                asking.meanwhile = None
                due = await book.pass_to(day)
                await _until(book.due, below=due)
                asking.meanwhile = "sweeping"
                await _until(book.due, below=1)
                asking.meanwhile = None
                await _until(book.events, below=1)
    return [
        Figure(
            what=f"p95 of {name} while it sweeps, against idle",
            unit="ms",
            ours=1000 * percentile(asking.took_s["sweeping", name], 95),
            limit=1000 * percentile(asking.took_s["idle", name], 95),
            at_most=2,
            note="After each page the sweep rests for as long as the page took, when somebody waits for an answer.",
        )
        for name in requests
    ]


async def _until(count: Callable[[], Awaitable[int]], *, below: int) -> None:
    """Wait until there are fewer than so many."""

    async def fewer() -> bool:
        return await count() < below

    await eventually(fewer, within_s=PATIENCE_S)


async def _requests(stand: Stand, book: Book, url: str) -> dict[str, Iterator[bytes]]:
    """What a broker asks for, without end, by what it is."""
    token = issue(_signing_key(stand), await book.broker(), new_id(), now=int(Clock.now().timestamp()))
    renewals = await book.brokers_renewals()
    paths = {
        "a renewal": [f"/v1/renewals/{each['id']}" for each in renewals],
        "a group's renewals": [f"/v1/groups/{each['group_id']}/renewals" for each in renewals],
        "renewals to review": ["/v1/renewals?limit=50"],
        "renewals by month": ["/v1/renewals/months"],
        "the book": ["/v1/book?limit=50"],
        "a search in the book": ["/v1/book?limit=50&q=Bakery"],
    }
    headers = {"Authorization": f"Bearer {token}"}
    return {
        name: cycle([http_load.request(url, "GET", path, headers) for path in asked]) for name, asked in paths.items()
    }


# --- how the cost grows, and the memory ---


async def _growth(stand: Stand, book: Book, day: int, backlogs: Sequence[int]) -> list[Figure]:
    """What one event costs when ten times and a hundred times as many are due, in a process that does nothing else."""
    costs_us = []
    async with _running(stand, book, roles="workers") as process:
        for backlog in backlogs:
            day += 1
            before = await _last_event(book)
            await book.pass_to(day)
            await _until(book.due, below=backlog - backlog // 10)
            at_a_tenth = _memory(stand, process)
            await _until(book.due, below=1)
            took_s = await _took_s(book, before)
            costs_us.append(1e6 * took_s / (backlog - PAGE))
        at_the_end = _memory(stand, process)
    return [
        *growth("cost of an event", backlogs, costs_us),
        Figure(
            what=f"memory at the end of {backlogs[-1]:,}, against a tenth of them",
            unit="MB",
            ours=at_the_end,
            limit=at_a_tenth,
            at_most=1.05,
            note="A page at a time, each in a transaction of its own.",
        ),
    ]


async def _last_event(book: Book) -> int:
    """The ID of the newest event."""
    return int(await book.database.fetchval("SELECT coalesce(max(id), 0) FROM outbox"))


async def _took_s(book: Book, before: int) -> float:
    """From the first page after that event to the last one."""
    took: timedelta = await book.database.fetchval(
        "SELECT max(occurred_at) - min(occurred_at) FROM outbox WHERE id > $1", before
    )
    return took.total_seconds()


def _memory(stand: Stand, process: ServiceProcess) -> float:
    return memory_of(stand.infrastructure.home.running.pids()[process.name]).rss_mb


# --- the service, as a process ---


@asynccontextmanager
async def _running(stand: Stand, book: Book, *, roles: str) -> AsyncIterator[ServiceProcess]:
    """The service on this book for the block."""
    home = stand.infrastructure.home
    keys.make_keys(_keys(stand), keys.holders())
    keys.make_signing_key(_keys(stand))
    port = ports.choose(home.folder / "renewals.json", {"renewals": None})["renewals"]
    process = ServiceProcess(
        name="renewals",
        command=Command(
            arguments=[sys.executable, "-m", "covey_chassis", "serve", service.package],
            log=home.logs / "renewals.log",
            environment={
                **os.environ,
                **book.urls.environment(),
                **stand.kafka.environment(),
                "COVEY_HTTP_PORT": str(port),
                "COVEY_OPERATOR_TOKEN": OPERATOR_TOKEN,
                "COVEY_TOKEN_KEYS": str(keys.token_file(_keys(stand))),
                "COVEY_SEALING_PUBLIC_KEYS": str(keys.public_file(_keys(stand))),
                "COVEY_ROLES": roles,
            },
        ),
        url=f"http://127.0.0.1:{port}",
    )
    await home.running.start(process)
    try:
        yield process
    finally:
        await home.running.stop(process.name)


def _keys(stand: Stand) -> Path:
    return stand.infrastructure.home.folder / "keys"


def _signing_key(stand: Stand) -> OKPKey:
    (key,) = KeySet.import_key_set(json.loads(keys.signing_file(_keys(stand)).read_text())).keys
    assert isinstance(key, OKPKey)
    return key
