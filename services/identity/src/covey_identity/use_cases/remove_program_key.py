"""Staff remove a key of a program."""

from datetime import datetime
from uuid import UUID

from covey_chassis.access import Actor
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity import queries
from covey_identity.audit import Author
from covey_identity.domain.program_key import ProgramKey, ProgramKeyNotFound
from covey_identity.ledger import lock_ledger


async def remove_program_key(
    session: AsyncSession, account_id: UUID, key_id: UUID, actor: Actor, *, at: datetime
) -> None:
    """Nothing is done any more that is signed with it, from the moment when a service knows that.

    Raises:
        ProgramKeyNotFound: the program has no such key.
    """
    ledger = await lock_ledger(session)
    await queries.still_operates(session, actor.account_id)
    key = await session.get(ProgramKey, key_id)
    if key is None or key.account_id != account_id or key.removed_at is not None:
        raise ProgramKeyNotFound(id=key_id)
    await ledger.record("program.key-removed", Author.of(actor, "staff"), [key.remove(at=at)])
