"""Somebody has forgotten their password."""

from covey_chassis.outbox import emit_rows
from covey_chassis.service import Context
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.attempts import may_write_to
from covey_identity.audit import NOBODY, Entry, audit
from covey_identity.domain.mail import Addressee
from covey_identity.domain.mailed_token import MailedToken
from covey_identity.queries_accounts import holder_of_address

PURPOSE = "forgotten-password"


async def ask_for_new_password(
    context: Context, session: AsyncSession, email: str, language: str, *, minutes: int
) -> None:
    """Write to the address: a token to choose a new password with, or that it has no account. Nothing here tells which.

    Args:
        email: as it was typed. Any address will do that the holder has proven.
        language: to write in to somebody of whom no language is known.
        minutes: how long the token is good.
    """
    if not await may_write_to(context, PURPOSE, email):
        return
    to = await holder_of_address(session, email) or Addressee(email, language)
    await audit(
        session, Entry(act="password.asked-for", author=NOBODY, subjects=[to.account_id] if to.account_id else [])
    )
    token, mail = MailedToken.reset_password(to, at=context.clock.now(), minutes=minutes, seal=context.keyring.seal)
    session.add(token)
    await emit_rows(session, [(mail, None)])
