"""The holder of an account is told by email what was done with it."""

from covey_chassis.outbox import emit_rows
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.domain.account import Account
from covey_identity.domain.mail import Purpose, Seal, mail


async def tell_holder(session: AsyncSession, account: Account, purpose: Purpose, *, seal: Seal) -> None:
    """Write to them at their main address, if the transaction commits."""
    await emit_rows(session, [(mail(purpose, account.addressee(), seal), None)])
