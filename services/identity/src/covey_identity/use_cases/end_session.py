"""A person ends one of their sessions; or all of an account's end, because what it is signed on with is another."""

from datetime import datetime
from uuid import UUID

from covey_chassis.access import Actor
from covey_chassis.access.facts import Fact
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.audit import Author
from covey_identity.domain.session import AccountSession, SessionNotFound
from covey_identity.ledger import lock_ledger
from covey_identity.queries_accounts import forget_challenges, lock_sessions


async def end_session(session: AsyncSession, session_id: UUID, actor: Actor, *, at: datetime) -> None:
    """End it everywhere. One that has ended stays so.

    Raises:
        SessionNotFound: it is not one of theirs.
    """
    ledger = await lock_ledger(session)
    ending = await session.get(AccountSession, session_id, with_for_update=True)
    if ending is None or ending.account_id != actor.account_id:
        raise SessionNotFound(id=session_id)
    if fact := ending.end(at=at):
        await ledger.record("session.ended", Author.of(actor, "own session"), [fact])


async def end_sessions(session: AsyncSession, account_id: UUID, *, at: datetime, but: UUID | None = None) -> list[Fact]:
    """End all of an account's sessions but this one; the facts, to be recorded. Ledger and account must be locked.

    Nor does any begin of a password that was shown before.
    """
    await forget_challenges(session, account_id)
    ending = [each for each in await lock_sessions(session, account_id, at=at) if each.id != but]
    return [fact for each in ending if (fact := each.end(at=at))]
