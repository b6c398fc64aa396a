"""Keeps a service's facts of access up to date, and its lease: news is asked for, applied, and acknowledged.

One applier works in a service's database, however many processes the service has; the others stand by. How far it is
stands in the database and is read there before every poll. Facts and lease are one commit. After it, for each fact, the
exclusive lock of those who act is taken and given back: so whoever acted by the facts of before is done.
Only then the fact is acknowledged. A slow writer delays that, never the lease.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from uuid import uuid4

import httpx
import structlog
from prometheus_client import Gauge
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from covey_chassis.access.facts import LEASE_S, News, Poll, keep_facts
from covey_chassis.db import Database
from covey_chassis.failpoints import failpoint
from covey_chassis.waiting import wait_until

log = structlog.get_logger(__name__)

FEED_PATH = "/internal/access/feed"
HOLD_S = 1.0
"""How long the others wait for a sign of life of the applier at work. Less than a lease, which so outlives it."""
POLL_TIMEOUT_S = 1.5
"""Less than a lease: an answer that is later than that is of no use, and another instance may answer in time."""
QUICK_ACK_S = 0.03
"""So long the next poll waits for the acknowledgement of the last one's facts, to carry it."""
PAUSES_S = (0.05, 1.0)
KEYS_AT_ONCE = 200
"""So many locks one transaction takes: PostgreSQL has room for some thousands in all."""

SEEN = Gauge("covey_access_seen_revision", "Up to which revision the facts of access are applied")
ACKED = Gauge("covey_access_acknowledged_revision", "Up to which revision nobody acts by older facts any more")
FAILING = Gauge("covey_access_applier_failing", "Whether the last try to get news of access failed")


class Overtaken(Exception):
    """Another process has moved the applier's row: drop everything and begin again from what stands there."""


class Applier:
    """The applier of one process."""

    def __init__(self, database: Database, *, url: str, credential: str) -> None:
        self._database = database
        self._url = f"{url.rstrip('/')}{FEED_PATH}"
        self._credential = credential
        self._me = uuid4()
        self._seen = asyncio.Event()
        self._acked = asyncio.Event()

    async def run(self) -> None:
        """Poll and acknowledge until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._acknowledge(), name="access barrier")
            tasks.create_task(self._poll(), name="access poll")

    async def _poll(self) -> None:
        pause = PAUSES_S[0]
        headers = {"Authorization": f"Bearer {self._credential}"}
        async with httpx.AsyncClient(timeout=POLL_TIMEOUT_S, trust_env=False, headers=headers) as http:
            while True:
                try:
                    if not await self.step(http):
                        await asyncio.sleep(HOLD_S / 4)
                    pause = PAUSES_S[0]
                    FAILING.set(0)
                except Overtaken:
                    log.warning("access.overtaken")
                except Exception as error:
                    # Whatever it is: the lease is withheld and runs out, nothing is skipped, and it is tried again.
                    FAILING.set(1)
                    log.error("access.applier_failed", error=type(error).__name__, why=str(error)[:300])
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, PAUSES_S[1])

    async def step(self, http: httpx.AsyncClient) -> bool:
        """Ask once and apply what came; False when another process is at work.

        Raises:
            Overtaken: another process took over meanwhile.
            httpx.HTTPError: the owner of the facts did not answer, or refused.
        """
        self._acked.clear()
        state = await self._hold()
        if state is None:
            return False
        poll = Poll(seen_rev=state.seen_rev, seen_id=state.seen_id, acked_rev=state.acked_rev, server=state.server)
        answer = await self._unless_acked(http.post(self._url, content=poll.model_dump_json(), headers=_JSON))
        if answer is None:
            return True
        news = News.model_validate_json(answer.raise_for_status().content)
        await failpoint("access.before_apply")
        await apply(self._database, state, news)
        SEEN.set(0 if news.reload else news.rev)
        if news.facts:
            self._seen.set()
            await wait_until(self._acked, QUICK_ACK_S)
        return True

    async def _unless_acked(self, asking: Awaitable[httpx.Response]) -> httpx.Response | None:
        """The answer; None when there is an acknowledgement to tell of meanwhile, which then is told at once."""
        asked = asyncio.ensure_future(asking)
        acked = asyncio.create_task(self._acked.wait())
        try:
            await asyncio.wait((asked, acked), return_when=asyncio.FIRST_COMPLETED)
            return asked.result() if asked.done() else None
        finally:
            for each in (asked, acked):
                each.cancel()
            await asyncio.gather(asked, acked, return_exceptions=True)

    async def _hold(self) -> Row[tuple[object, ...]] | None:
        """Take or keep the work, by the database's clock, and read how far it is; None when another process has it."""
        async with self._database.transaction() as session:
            return (await session.execute(_HOLD, {"me": self._me, "hold_s": HOLD_S})).one_or_none()

    async def _acknowledge(self) -> None:
        while True:
            try:
                if await acknowledge(self._database):
                    self._acked.set()
                await wait_until(self._seen, HOLD_S)
                self._seen.clear()
            except Exception as error:  # a lock that was not to be had in time, or a database that is away
                log.warning("access.not_acknowledged", error=type(error).__name__)
                await asyncio.sleep(PAUSES_S[0])


async def apply(database: Database, state: Row[tuple[object, ...]], news: News) -> None:
    """Write the facts down and, if nothing newer was there, lease the service more time, in one commit.

    Raises:
        Overtaken: the applier's row is no longer as it was before the poll, or this is another database server.
    """
    known = {name: getattr(state, name) for name in ("fence", "seen_rev", "seen_id", "server")}
    async with database.transaction() as session:
        if news.reload:
            await _move(session, _RELOAD, known)
            await session.execute(text("DELETE FROM access_fact"))
            log.error("access.reload", seen_rev=state.seen_rev)
            return
        await _move(
            session,
            _ADVANCE,
            known | {"rev": news.rev, "id": news.id, "head": news.head, "t0": state.t0, "lease_s": LEASE_S},
        )
        await keep_facts(session, news.facts)
    await failpoint("access.after_apply")


async def _move(session: AsyncSession, statement: object, known: dict[str, object]) -> None:
    moved = await session.execute(statement, known)  # type: ignore[call-overload]  # one of the texts below
    if moved.first() is None:
        raise Overtaken


async def acknowledge(database: Database) -> bool:
    """Wait for everybody who may act by facts of before, and note that they are done; whether that was any news.

    For each group and person of the facts that were applied and not acknowledged: nobody can hold their lock from before
    once it has been had exclusively. Most are free, and had together at once; those that are not are waited for one at a
    time. Where no lease was ever held, nobody can have acted.
    """
    async with database.transaction() as session:
        pending = (await session.execute(_PENDING)).one()
        # A page tells of each fact only as it is now: what it left out, for it changed again, is on a later page.
        if not pending.at_head or pending.acked_rev >= pending.seen_rev:
            return False
        keys = pending.keys if pending.leased else []
        held = await _not_free(session, keys[:KEYS_AT_ONCE])
    for start in range(KEYS_AT_ONCE, len(keys), KEYS_AT_ONCE):
        async with database.transaction() as session:
            held += await _not_free(session, keys[start : start + KEYS_AT_ONCE])
    for key in held:
        async with database.transaction() as session:
            await session.execute(_BARRIER, {"key": key})
    await failpoint("access.before_ack")
    async with database.transaction() as session:
        moved = (await session.execute(_ACK, {"rev": pending.seen_rev, "fence": pending.fence})).first() is not None
    ACKED.set(pending.seen_rev)
    return moved


async def _not_free(session: AsyncSession, keys: Sequence[int]) -> list[int]:
    """Those of the keys that cannot be had exclusively right now. All others are, until this transaction ends."""
    return list(await session.scalars(_NOT_FREE, {"keys": list(keys)})) if keys else []


_JSON = {"Content-Type": "application/json"}
_HOLD = text(
    """
    UPDATE access_applier
       SET holder = :me, holder_until = clock_timestamp() + make_interval(secs => :hold_s),
           fence = fence + (holder IS DISTINCT FROM :me)::int
     WHERE NOT authority AND (holder = :me OR holder_until < clock_timestamp())
    RETURNING fence, seen_rev, seen_id, acked_rev, extract(epoch FROM pg_postmaster_start_time())::text AS server,
              clock_timestamp() AS t0
    """
)
_UNMOVED = """
     fence = :fence AND seen_rev = :seen_rev AND seen_id IS NOT DISTINCT FROM :seen_id
       AND extract(epoch FROM pg_postmaster_start_time())::text = :server
"""
_ADVANCE = text(
    f"""
    UPDATE access_applier
       SET seen_rev = :rev, seen_id = :id, at_head = :head,
           lease_until = CASE WHEN :head THEN CAST(:t0 AS timestamptz) + make_interval(secs => :lease_s)
                              ELSE lease_until END,
           lease_server = CASE WHEN :head THEN pg_postmaster_start_time() ELSE lease_server END
     WHERE {_UNMOVED}
    RETURNING 1
    """  # noqa: S608 - a condition of ours
)
_RELOAD = text(
    f"""
    UPDATE access_applier
       SET seen_rev = 0, seen_id = NULL, acked_rev = 0, at_head = false,
           lease_until = CASE WHEN lease_until IS NOT NULL THEN '-infinity'::timestamptz END, fence = fence + 1
     WHERE {_UNMOVED}
    RETURNING 1
    """  # noqa: S608
)
_PENDING = text(
    """
    SELECT fence, seen_rev, acked_rev, at_head, lease_until IS NOT NULL OR authority AS leased,
           ARRAY(SELECT DISTINCT CASE WHEN group_id IS NOT NULL THEN access_key('group', group_id)
                                      ELSE access_key('person', account_id) END
                   FROM access_fact
                  WHERE rev > applier.acked_rev AND rev <= applier.seen_rev) AS keys
      FROM access_applier AS applier
    """
)
_NOT_FREE = text("SELECT key FROM unnest(CAST(:keys AS bigint[])) AS key WHERE NOT pg_try_advisory_xact_lock(key)")
_BARRIER = text("SELECT pg_advisory_xact_lock(:key)")
_ACK = text(
    """
    UPDATE access_applier SET acked_rev = :rev WHERE fence = :fence AND acked_rev < :rev AND seen_rev >= :rev
    RETURNING 1
    """
)
