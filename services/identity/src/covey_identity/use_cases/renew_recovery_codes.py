"""Somebody wants other recovery codes."""

from covey_chassis.access import Actor
from covey_chassis.service import Context
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.audit import Author, Entry, audit, refusals_audited
from covey_identity.confirming import Confirmed, check_confirmed
from covey_identity.domain.mail import Purpose
from covey_identity.domain.second_factor import RecoveryCode
from covey_identity.mailing import tell_holder
from covey_identity.queries_accounts import forget_recovery_codes, load_factor
from covey_identity.second_factors import check_factor


async def renew_recovery_codes(
    context: Context, session: AsyncSession, actor: Actor, confirmed: Confirmed, code: str
) -> list[str]:
    """A new set, which is shown once; none of the former is good any more, and the holder is told.

    Raises:
        PasswordWrong: it was changed while it was confirmed.
        SecondFactorOff: no second factor is on.
        FactorCodeWrong: the code is not good.
    """
    author = Author.of(actor, "own account")
    async with refusals_audited(context, "recovery-codes.renewed", author, session=session):
        account = await check_confirmed(session, actor, confirmed)
        factor = await load_factor(session, account.id)
        await check_factor(context, session, account, factor, code)
        await forget_recovery_codes(session, account.id)
        kept, codes = RecoveryCode.draw_all(account.id)
        session.add_all(kept)
        await audit(session, Entry(act="recovery-codes.renewed", author=author, subjects=[account.id]))
        await tell_holder(session, account, Purpose.RECOVERY_CODES_RENEWED, seal=context.keyring.seal)
        return codes
