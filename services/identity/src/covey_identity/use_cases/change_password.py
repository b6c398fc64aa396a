"""Somebody replaces their password by another one."""

from covey_chassis.access import Actor
from covey_chassis.service import Context
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.audit import Author
from covey_identity.confirming import NewPassword, check_confirmed
from covey_identity.domain.mail import Purpose
from covey_identity.ledger import lock_ledger
from covey_identity.mailing import tell_holder
from covey_identity.queries_accounts import forget_begun
from covey_identity.use_cases.end_session import end_sessions


async def change_password(context: Context, session: AsyncSession, actor: Actor, new: NewPassword) -> None:
    """From now on the new one is good, and nothing that was begun with the former one.

    All other sessions end, and the holder is told.

    Raises:
        PasswordWrong: it was changed while it was confirmed.
    """
    at = context.clock.now()
    ledger = await lock_ledger(session)
    account = await check_confirmed(session, actor, new.confirmed)
    account.password_hash = new.hashed
    await forget_begun(session, account.id)
    ended = await end_sessions(session, account.id, at=at, but=actor.session_id)
    await ledger.record("password.changed", Author.of(actor, "own account"), ended, about=account.id)
    await tell_holder(session, account, Purpose.PASSWORD_CHANGED, seal=context.keyring.seal)
