"""Somebody sets up a second factor."""

from covey_chassis.access import Actor
from covey_chassis.service import Context
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.audit import Author, Entry, audit
from covey_identity.confirming import Confirmed, check_confirmed
from covey_identity.domain.account import Account
from covey_identity.domain.second_factor import SecondFactor, SecondFactorOn
from covey_identity.queries_accounts import factor_of


async def begin_second_factor(
    context: Context, session: AsyncSession, actor: Actor, confirmed: Confirmed
) -> tuple[Account, str]:
    """The account, and the secret for an app, which is shown once. It is not asked for before it is turned on.

    Raises:
        PasswordWrong: it was changed while it was confirmed.
        SecondFactorOn: there is one.
    """
    account = await check_confirmed(session, actor, confirmed)
    former = await factor_of(session, account.id)
    if former is not None:
        if former.on_since is not None:
            raise SecondFactorOn
        await session.delete(former)
        await session.flush()
    factor, secret = SecondFactor.begin(account.id, at=context.clock.now(), seal=context.keyring.seal)
    session.add(factor)
    author = Author.of(actor, "own account")
    await audit(session, Entry(act="second-factor.begun", author=author, subjects=[account.id]))
    return account, secret
