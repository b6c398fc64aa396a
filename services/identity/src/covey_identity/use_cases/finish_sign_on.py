"""A person who has shown their password shows their second factor."""

from covey_chassis.service import Context
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.audit import Author, Entry, audit, refusals_audited
from covey_identity.domain.bearer_secret import digest, new_secret
from covey_identity.domain.session import AccountSession, ChallengeNotGood
from covey_identity.queries_accounts import challenge_of_token, factor_asked_for, load_account
from covey_identity.second_factors import check_factor, count_attempt
from covey_identity.settings import Settings


async def finish_sign_on(
    context: Context, settings: Settings, session: AsyncSession, challenge: str, code: str
) -> tuple[AccountSession, str]:
    """A new session, and its token, which is shown once. A challenge is good until its session begins.

    Raises:
        ChallengeNotGood: there is no such challenge, or not any more: the account was locked, say.
        TooManyAttempts: there were too many.
        FactorCodeWrong: the code is not good; the challenge still is.
    """
    async with refusals_audited(context, "sign-on.second-factor", session=session) as about:
        async with context.requests.transaction() as reading:
            found = await challenge_of_token(reading, digest(challenge), at=context.clock.now())
        if found is None:
            raise ChallengeNotGood
        about.account_id = found.account_id
        await count_attempt(context, found.account_id)
        account = await load_account(session, found.account_id)
        asked = await challenge_of_token(session, digest(challenge), at=context.clock.now())
        factor = await factor_asked_for(session, account.id)
        if asked is None or factor is None:
            raise ChallengeNotGood
        await check_factor(context, session, account, factor, code)
        await session.delete(asked)
        token = new_secret()
        started = AccountSession.start(account.id, token, at=context.clock.now(), hours=settings.session_hours)
        session.add(started)
        author = Author("password and second factor", account.id, started.id)
        await audit(session, Entry(act="sign-on", author=author, subjects=[account.id]))
        return started, token
