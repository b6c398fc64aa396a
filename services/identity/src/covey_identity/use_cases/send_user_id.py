"""Somebody has forgotten their user ID."""

from covey_chassis.outbox import emit_rows
from covey_chassis.service import Context
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.attempts import may_write_to
from covey_identity.audit import NOBODY, Entry, audit
from covey_identity.domain.mail import Addressee, Purpose, mail
from covey_identity.queries_accounts import holder_of_address

PURPOSE = "forgotten-user-id"


async def send_user_id(context: Context, session: AsyncSession, email: str, language: str) -> None:
    """Write to the address: its account's user ID, or that it has no account. Nothing here tells which.

    Args:
        email: as it was typed.
        language: to write in to somebody of whom no language is known.
    """
    if not await may_write_to(context, PURPOSE, email):
        return
    holder = await holder_of_address(session, email)
    known = [holder.account_id] if holder and holder.account_id else []
    await audit(session, Entry(act="user-id.asked-for", author=NOBODY, subjects=known))
    purpose = Purpose.FORGOTTEN_USER_ID if holder else Purpose.NO_ACCOUNT
    asked = mail(purpose, holder or Addressee(email, language), context.keyring.seal)
    await emit_rows(session, [(asked, None)])
