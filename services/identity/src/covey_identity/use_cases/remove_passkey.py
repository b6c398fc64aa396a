"""Somebody removes a passkey of theirs: its device was lost, say."""

from uuid import UUID

from covey_chassis.access import Actor
from covey_chassis.service import Context
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.audit import Author, refusals_audited
from covey_identity.confirming import Confirmed, check_confirmed
from covey_identity.domain.mail import Purpose
from covey_identity.ledger import lock_ledger
from covey_identity.mailing import tell_holder
from covey_identity.queries_accounts import load_passkey
from covey_identity.use_cases.end_session import end_sessions


async def remove_passkey(
    context: Context, session: AsyncSession, actor: Actor, passkey_id: UUID, confirmed: Confirmed
) -> None:
    """It signs on no longer. All other sessions end, as one may be on that device; the holder is told.

    Raises:
        PasswordWrong: it was changed while it was confirmed.
        PasskeyNotFound: they have no passkey with this ID.
    """
    author = Author.of(actor, "own account")
    async with refusals_audited(context, "passkey.removed", author, session=session):
        ledger = await lock_ledger(session)
        account = await check_confirmed(session, actor, confirmed)
        await session.delete(await load_passkey(session, account.id, passkey_id))
        ended = await end_sessions(session, account.id, at=context.clock.now(), but=actor.session_id)
        details = {"passkey_id": str(passkey_id)}
        await ledger.record("passkey.removed", author, ended, about=account.id, details=details)
        await tell_holder(session, account, Purpose.PASSKEY_REMOVED, seal=context.keyring.seal)
