"""Somebody shows that their app works."""

from covey_chassis.access import Actor
from covey_chassis.service import Context
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.audit import Author, refusals_audited
from covey_identity.confirming import renew_session
from covey_identity.domain.mail import Purpose
from covey_identity.domain.second_factor import RecoveryCode, SecondFactorOff, SecondFactorOn
from covey_identity.ledger import lock_ledger
from covey_identity.mailing import tell_holder
from covey_identity.queries_accounts import factor_of, load_account
from covey_identity.second_factors import check_factor
from covey_identity.use_cases.end_session import end_sessions


async def turn_on_second_factor(
    context: Context, session: AsyncSession, actor: Actor, code: str, *, session_token: str
) -> list[str]:
    """From now on it is asked for; the recovery codes, which are shown once.

    All other sessions end, this one goes on by the token; the holder is told.

    Raises:
        SecondFactorOff: none was begun.
        SecondFactorOn: it is on already.
        FactorCodeWrong: the app shows something else.
    """
    author = Author.of(actor, "own account")
    async with refusals_audited(context, "second-factor.on", author, session=session):
        at = context.clock.now()
        ledger = await lock_ledger(session)
        account = await load_account(session, actor.account_id)
        factor = await factor_of(session, account.id)
        if factor is None:
            raise SecondFactorOff
        if factor.on_since is not None:
            raise SecondFactorOn
        await check_factor(context, session, account, factor, code)
        await renew_session(session, actor, session_token)
        factor.on_since = at
        kept, codes = RecoveryCode.draw_all(account.id)
        session.add_all(kept)
        ended = await end_sessions(session, account.id, at=at, but=actor.session_id)
        await ledger.record("second-factor.on", author, ended, about=account.id)
        await tell_holder(session, account, Purpose.SECOND_FACTOR_ON, seal=context.keyring.seal)
        return codes
