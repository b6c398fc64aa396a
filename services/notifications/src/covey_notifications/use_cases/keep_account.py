"""Keep the copy of an account."""

from covey_chassis.copies import keep_newer
from covey_contracts.identity import AccountState
from sqlalchemy.ext.asyncio import AsyncSession

from covey_notifications.domain.account import AccountCopy


async def keep_account(session: AsyncSession, event: AccountState, *, sequence: int) -> bool:
    """Keep the account as it is now; False when a newer copy is there already."""
    return await keep_newer(
        session, AccountCopy, sequence=sequence, account_id=event.account_id, sealed_person=event.sealed
    )
