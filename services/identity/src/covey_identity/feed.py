"""The feed of access facts: how a service that listens hears of every change, and says how far it is.

Every answer follows a commit on the primary, in which the listener's own row was written: so no server that has been
replaced, and does not know it, can make anybody believe that there is nothing new.
"""

import time

from covey_chassis.access.facts import SILENT_S, Fact, News, Poll
from covey_chassis.errors import NotFound, Refusal
from covey_chassis.service import Context
from covey_chassis.waiting import wait_until
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.signals import Signal, signals_of, tell

WAIT_S = 0.5
"""How long a poll waits for news. Well below a lease: with no news, every poll still renews it."""
LOOK_S = 0.1
"""How often it is looked, should a signal have been lost."""
PAGE = 1000


class ListenerRetired(Refusal):
    """This service has been retired: it is told nothing of access any more."""

    status = 403


class ServerLeft(Refusal):
    """This listener has moved on to another database server: the old one gets no lease."""


class ListenerNotFound(NotFound):
    """No service of this name listens."""


async def answer(context: Context, name: str, poll: Poll) -> News:
    """What is new since what the listener has seen; waits a moment when nothing is.

    Raises:
        ListenerRetired: an operator has retired it.
        ServerLeft: its database has moved on to another server, and this comes from the old one.
    """
    async with context.workers.transaction() as session:
        known = await _hear(session, name, poll)
    if known and poll.wait:
        await _wait_for_news(context, poll.seen_rev)
    async with context.workers.transaction() as session:
        if not (await session.execute(_POLLED, {"name": name})).first():
            raise ListenerRetired
        return await read_news(session, poll.seen_rev) if known else News(rev=0, id=None, head=False, reload=True)


async def _hear(session: AsyncSession, name: str, poll: Poll) -> bool:
    """Write down how far the listener is; whether what it has seen is known here."""
    known = (await session.execute(_KNOWN, {"rev": poll.seen_rev, "id": poll.seen_id})).first() is not None
    acked_rev = poll.acked_rev if known else 0
    row = {"name": name, "seen_rev": poll.seen_rev, "acked_rev": acked_rev, "server": poll.server}
    listener = (await session.execute(_LISTENER, {"name": name})).one_or_none()
    if listener is None:
        await session.execute(_REGISTER, row)
        await session.execute(_SERVER, {"name": name, "server": poll.server})
        return known
    if listener.retired_at is not None:
        raise ListenerRetired
    if listener.server != poll.server:
        moved = await session.execute(_SERVER, {"name": name, "server": poll.server})
        if moved.first() is None:
            raise ServerLeft
        await session.execute(_MOVE, row | {"silent_s": SILENT_S})
    await session.execute(_HEARD, row)
    if acked_rev > listener.acked_rev:
        await tell(session, Signal.ACKED)
    return known


async def _wait_for_news(context: Context, seen_rev: int) -> None:
    deadline = time.monotonic() + WAIT_S
    while True:
        news = signals_of(context).next(Signal.NEWS)
        async with context.workers.session() as session:
            rev = await session.scalar(text("SELECT rev FROM access_ledger"))
        left = deadline - time.monotonic()
        if rev != seen_rev or left <= 0:
            return
        await wait_until(news, min(left, LOOK_S))
        if news.is_set():
            return


async def read_news(session: AsyncSession, seen_rev: int) -> News:
    """The facts that changed after a revision, by revision, and the head, all of one snapshot.

    One statement: else a fact that is overwritten between two of them would be missing from an answer that says "head".
    """
    rows = (await session.execute(_NEWS, {"seen_rev": seen_rev, "page": PAGE})).all()
    facts = tuple(Fact.model_validate(row, from_attributes=True) for row in rows if row.rev is not None)
    if len(facts) == PAGE:
        return News(facts=facts, rev=rows[-1].rev, id=rows[-1].rev_id, head=False)
    return News(facts=facts, rev=rows[0].head_rev, id=rows[0].head_id, head=True)


async def retire(session: AsyncSession, name: str) -> None:
    """Refuse a listener's polls from now on. It counts as silent for as long as it may still act, then not at all."""
    if not (await session.execute(_RETIRE, {"name": name})).first():
        raise ListenerNotFound(name=name)


_KNOWN = text(
    """
    SELECT 1 WHERE CAST(:rev AS bigint) = 0 AND CAST(:id AS uuid) IS NULL
    UNION ALL
    SELECT 1 FROM access_log WHERE rev = :rev AND id = CAST(:id AS uuid)
    """
)
_LISTENER = text("SELECT acked_rev, server, retired_at FROM listener WHERE name = :name FOR UPDATE")
_REGISTER = text(
    """
    INSERT INTO listener (name, seen_rev, acked_rev, server, counts_from, polled_at)
    VALUES (:name, :seen_rev, :acked_rev, :server, clock_timestamp(), clock_timestamp())
    """
)
_SERVER = text("INSERT INTO listener_server (name, server) VALUES (:name, :server) ON CONFLICT DO NOTHING RETURNING 1")
_MOVE = text(
    """
    UPDATE listener SET server = :server, counts_from = clock_timestamp() + make_interval(secs => :silent_s)
     WHERE name = :name
    """
)
_HEARD = text(
    "UPDATE listener SET seen_rev = :seen_rev, acked_rev = :acked_rev, polled_at = clock_timestamp() WHERE name = :name"
)
_POLLED = text(
    "UPDATE listener SET polled_at = clock_timestamp() WHERE name = :name AND retired_at IS NULL RETURNING 1"
)
_RETIRE = text(
    "UPDATE listener SET retired_at = coalesce(retired_at, clock_timestamp()) WHERE name = :name RETURNING 1"
)
_NEWS = text(
    """
    SELECT head.rev AS head_rev, head.id AS head_id, fact.*, log.id AS rev_id
      FROM access_ledger AS head
      LEFT JOIN LATERAL (SELECT * FROM access_fact WHERE rev > :seen_rev ORDER BY rev LIMIT :page) AS fact ON true
      LEFT JOIN access_log AS log ON log.rev = fact.rev
     ORDER BY fact.rev
    """
)
EVERYWHERE = """
    SELECT least(
        (SELECT acked_rev FROM access_applier),
        (SELECT min(CASE WHEN counts_from <= clock_timestamp() AND retired_at IS NULL THEN acked_rev ELSE 0 END)
           FROM listener
          WHERE retired_at IS NULL OR retired_at > clock_timestamp() - make_interval(secs => :silent_s))
    )
"""
"""Up to which revision every service, this one included, has said that nobody acts by older facts.

The list of listeners is read anew each time: whoever registers after a change has read it before their first lease.
"""
