"""Staff unlock an account."""

from uuid import UUID

from covey_chassis.access import Actor
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.audit import Author
from covey_identity.domain.account import Account
from covey_identity.ledger import lock_ledger
from covey_identity.queries_accounts import load_account


async def unlock_account(session: AsyncSession, account_id: UUID, actor: Actor) -> Account:
    """It can be signed on with again. Its sessions stay ended.

    Raises:
        AccountNotFound: no account has this ID.
    """
    ledger = await lock_ledger(session)
    account = await load_account(session, account_id)
    if unlocked := account.unlock():
        await ledger.record("account.unlocked", Author.of(actor, "staff"), [unlocked])
    return account
