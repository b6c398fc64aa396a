"""Staff lock an account."""

from datetime import datetime
from uuid import UUID

from covey_chassis.access import Actor
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.audit import Author
from covey_identity.domain.account import Account
from covey_identity.ledger import lock_ledger
from covey_identity.queries_accounts import load_account
from covey_identity.use_cases.end_session import end_sessions


async def lock_account(session: AsyncSession, account_id: UUID, actor: Actor, *, at: datetime) -> Account:
    """Nobody signs on with it or does anything with it from now on, and all of its sessions end.

    Raises:
        AccountNotFound: no account has this ID.
    """
    ledger = await lock_ledger(session)
    account = await load_account(session, account_id)
    if locked := account.lock(at=at):
        ended = await end_sessions(session, account_id, at=at)
        await ledger.record("account.locked", Author.of(actor, "staff"), [locked, *ended])
    return account
