"""A person ends one of their sessions."""

from datetime import datetime
from uuid import UUID

from covey_chassis.access import Actor
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.domain.session import AccountSession, SessionNotFound
from covey_identity.ledger import Author, lock_ledger


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
