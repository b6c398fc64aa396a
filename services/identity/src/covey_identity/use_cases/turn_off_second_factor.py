"""A second factor is asked for no longer: its holder says so, or staff do for somebody who has lost app and codes."""

from uuid import UUID

from covey_chassis.access import Actor
from covey_chassis.service import Context
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.audit import Author, refusals_audited
from covey_identity.confirming import Confirmed, check_confirmed
from covey_identity.domain.account import Account, OwnAccount
from covey_identity.domain.mail import Purpose
from covey_identity.domain.second_factor import SecondFactor, SecondFactorOff
from covey_identity.ledger import lock_ledger
from covey_identity.mailing import tell_holder
from covey_identity.passkeys import take_passkeys
from covey_identity.queries_accounts import factor_asked_for, forget_recovery_codes, load_account, load_factor
from covey_identity.second_factors import check_factor
from covey_identity.use_cases.end_session import end_sessions


async def turn_off_second_factor(
    context: Context, session: AsyncSession, actor: Actor, confirmed: Confirmed, code: str
) -> None:
    """Its holder turns it off, by what it shows or a recovery code. All other sessions end; the holder is told.

    Raises:
        PasswordWrong: it was changed while it was confirmed.
        SecondFactorOff: none is on.
        FactorCodeWrong: the code is not good.
    """
    author = Author.of(actor, "own account")
    async with refusals_audited(context, "second-factor.off", author, session=session):
        ledger = await lock_ledger(session)
        account = await check_confirmed(session, actor, confirmed)
        factor = await load_factor(session, account.id)
        await check_factor(context, session, account, factor, code)
        await _take(context, session, account, factor)
        ended = await end_sessions(session, account.id, at=context.clock.now(), but=actor.session_id)
        await ledger.record("second-factor.off", author, ended, about=account.id)


async def take_second_factor(context: Context, session: AsyncSession, account_id: UUID, actor: Actor) -> Account:
    """Staff turn it off for somebody whom they know by other means. All sessions end; the holder is told.

    Passkeys go, too: the device that was lost may have had one. What is left is the password.

    Raises:
        OwnAccount: it is their own: that takes what it shows.
        AccountNotFound: no account has this ID.
        SecondFactorOff: none is on, and there are no passkeys.
    """
    if account_id == actor.account_id:
        raise OwnAccount
    ledger = await lock_ledger(session)
    account = await load_account(session, account_id)
    author = Author.of(actor, "staff")
    factor = await factor_asked_for(session, account_id)
    if factor is not None:
        await _take(context, session, account, factor)
    taken = await take_passkeys(context, session, account, author)
    if factor is None and not taken:
        raise SecondFactorOff
    ended = await end_sessions(session, account_id, at=context.clock.now())
    await ledger.record("second-factor.taken", author, ended, about=account_id)
    return account


async def _take(context: Context, session: AsyncSession, account: Account, factor: SecondFactor) -> None:
    await session.delete(factor)
    await forget_recovery_codes(session, account.id)
    await tell_holder(session, account, Purpose.SECOND_FACTOR_OFF, seal=context.keyring.seal)
