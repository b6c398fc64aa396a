"""Whoever had forgotten their password chooses a new one, by a token that was mailed to them."""

from covey_chassis.service import Context
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.attempts import clear_attempts, subject_of
from covey_identity.audit import Author, refusals_audited
from covey_identity.domain.account import Account
from covey_identity.domain.bearer_secret import digest
from covey_identity.domain.mail import Purpose
from covey_identity.domain.mailed_token import MailedToken, MailedTokenNotGood, TokenUse
from covey_identity.ledger import lock_ledger
from covey_identity.mailing import tell_holder
from covey_identity.passkeys import take_passkeys
from covey_identity.passwords import check_password, passwords_of
from covey_identity.queries_accounts import (
    forget_begun,
    load_account,
    mailed_token,
    owner_of_address,
)
from covey_identity.settings import Settings
from covey_identity.use_cases.end_session import end_sessions
from covey_identity.use_cases.sign_on import PURPOSE as SIGN_ON


async def reset_password(
    context: Context, settings: Settings, session: AsyncSession, token: str, password: str
) -> Account:
    """Replace the password. All sessions end, nobody is signed on by this, and the holder is told at their main address.

    The pauses after failures to sign on are over, too: whoever reads the holder's mail is no stranger. An account that is
    locked stays so. The token is good once, and with it goes all else that was begun and not ended for this account. So do
    all passkeys: this is how a holder shuts out whoever has added one in their name.

    Raises:
        MailedTokenNotGood: the token is not, or not any more, or its address is the account's no longer.
        PasswordNotGood: the password is not; the token still is.
    """
    async with refusals_audited(context, "password.reset", session=session) as about:
        async with context.requests.transaction() as reading:
            account = await reading.get_one(Account, (await _good(context, reading, token)).account_id)
            own_words, about.account_id = account.own_words, account.id
        check_password(password, own_words)
        password_hash = await passwords_of(settings).hash(password)

        at = context.clock.now()
        ledger = await lock_ledger(session)
        account = await load_account(session, account.id)
        await _good(context, session, token)  # the account is locked: neither token nor address can go any more
        account.password_hash = password_hash
        await forget_begun(session, account.id)
        await clear_attempts(session, SIGN_ON, subject_of(account.user_id))
        ended = await end_sessions(session, account.id, at=at)
        author = Author("mailed token", account.id)
        await ledger.record("password.reset", author, ended, about=account.id)
        await take_passkeys(context, session, account, author)
        await tell_holder(session, account, Purpose.PASSWORD_CHANGED, seal=context.keyring.seal)
        return account


async def _good(context: Context, session: AsyncSession, token: str) -> MailedToken:
    kept = await mailed_token(session, digest(token), TokenUse.RESET_PASSWORD)
    if kept is None or kept.account_id is None or not kept.is_good(at=context.clock.now()):
        raise MailedTokenNotGood
    if await owner_of_address(session, kept.email) != kept.account_id:
        raise MailedTokenNotGood
    return kept
