"""When a change of access is true everywhere, and not before: only then anybody is told so.

Either every service has acknowledged it, or this process has known the committed change for longer than any service
could still go by a lease, or finish a transaction, from before it; by its own monotonic clock, so that neither restarts
nor other instances nor a clock that is set can make that time short.
"""

import time
from datetime import datetime
from uuid import UUID

import structlog
from covey_chassis.access.applier import acknowledge
from covey_chassis.access.facts import SILENT_S
from covey_chassis.service import Context
from covey_chassis.waiting import wait_until
from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.domain.access_change import AccessChange, ChangeKind, Progress
from covey_identity.feed import EVERYWHERE
from covey_identity.ledger import Ledger
from covey_identity.signals import Signal, signals_of, tell

log = structlog.get_logger(__name__)

LOOK_S = 0.25
"""How often it is looked, should a signal have been lost, or nobody else settle."""
FIRST_LOOK_S = 0.02
"""When whoever waits looks for the first time: a change that made nothing different is done without any signal."""
BARRIER_LOOK_S = 1.0
PENDING_MAX = 1000

_known_since: dict[str, dict[UUID, float]] = {}
"""When this process first saw each pending change committed, by its monotonic clock; by database."""


def start_change(
    session: AsyncSession,
    ledger: Ledger,
    kind: ChangeKind,
    *,
    group_id: UUID,
    account_id: UUID | None = None,
    firm_id: UUID | None = None,
    requested_by: UUID | None,
    at: datetime,
) -> AccessChange:
    """Send a change on its way, with all that the ledger has recorded so far."""
    change = AccessChange(
        rev=ledger.rev,
        kind=kind,
        group_id=group_id,
        account_id=account_id,
        firm_id=firm_id,
        requested_by=requested_by,
        at=at,
    )
    session.add(change)
    return change


def progress_of(change: AccessChange) -> Progress:
    """How far it is. A removal is superseded, for good, once something later gives the person a right in the group."""
    if change.superseded_at is not None:
        return Progress.SUPERSEDED
    if change.done_at is None:
        return Progress.PENDING
    return Progress.REMOVED if change.kind is ChangeKind.REMOVED else Progress.EVERYWHERE


async def settle(context: Context) -> None:
    """Note which of the pending changes are done."""
    async with context.workers.transaction() as session:
        pending = (await session.execute(_PENDING, {"most": PENDING_MAX, "silent_s": SILENT_S})).all()
        known_since = _known_since.setdefault(context.workers.url, {})
        if not pending:
            known_since.clear()
            return
        now = time.monotonic()  # after the read: what it found had been committed before
        done = 0
        for change_id, rev, acknowledged_rev in pending:
            since = known_since.setdefault(change_id, now)
            how = "acknowledged" if rev <= acknowledged_rev else "silence" if now - since >= SILENT_S else None
            if how is not None:
                noted = await session.execute(
                    update(AccessChange)
                    .where(AccessChange.id == change_id, AccessChange.done_at.is_(None))
                    .values(done_at=context.clock.now(), how=how)
                    .returning(AccessChange.id)
                )
                done += len(noted.all())  # none, where another process was quicker
                known_since.pop(change_id, None)
                log.info("access.change_done", change_id=str(change_id), rev=rev, how=how)
        if done:
            await tell(session, Signal.DONE)


async def wait_until_done(context: Context, change_id: UUID, *, seconds: float) -> Progress:
    """Wait for a committed change, but no longer than so; how far it is then. No connection is held meanwhile."""
    deadline = time.monotonic() + seconds
    patience = FIRST_LOOK_S
    while True:
        done = signals_of(context).next(Signal.DONE)
        async with context.workers.session() as session:
            found = progress_of(await session.get_one(AccessChange, change_id))
        left = deadline - time.monotonic()
        if found is not Progress.PENDING or left <= 0:
            return found
        await wait_until(done, min(left, patience))
        if not done.is_set():
            await settle(context)  # whoever does so all the time may be away
            patience = LOOK_S


async def keep_settling(context: Context) -> None:
    """See to it that changes are done also when nobody waits for them, and after a restart."""
    while True:
        acked = signals_of(context).next(Signal.ACKED)
        try:
            await settle(context)
        except Exception as error:  # the database is away: it is tried again
            log.warning("access.not_settled", error=type(error).__name__)
        await wait_until(acked, LOOK_S)


async def keep_acknowledging(context: Context) -> None:
    """This service is its own listener: wait for whoever may act by facts of before, and note that they are done."""
    while True:
        news = signals_of(context).next(Signal.NEWS)
        try:
            if await acknowledge(context.workers):
                async with context.workers.transaction() as session:
                    await tell(session, Signal.ACKED)
        except Exception as error:  # a lock that was not to be had in time, or a database that is away
            log.warning("access.not_acknowledged", error=type(error).__name__)
        await wait_until(news, BARRIER_LOOK_S)


_PENDING = text(
    f"SELECT id, rev, ({EVERYWHERE}) FROM access_change WHERE done_at IS NULL ORDER BY id LIMIT :most"  # noqa: S608 - ours
)
