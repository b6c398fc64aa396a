"""Whoever asked for an account proves the address, and chooses a password."""

from covey_chassis.outbox import emit
from covey_chassis.service import Context
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.audit import Author, Entry, audit, refusals_audited
from covey_identity.domain.account import Account
from covey_identity.domain.bearer_secret import digest
from covey_identity.domain.registration import VerificationNotGood
from covey_identity.passwords import check_password, passwords_of
from covey_identity.queries_accounts import (
    forget_registrations,
    free_user_id,
    hold_address,
    registration_of_token,
)
from covey_identity.settings import Settings


async def verify_registration(
    context: Context, settings: Settings, session: AsyncSession, token: str, password: str
) -> Account:
    """Make the account, of what was asked for with this token; all that was asked for its address is forgotten then.

    The token is good once. The password is hashed before anything is locked. Of several who verify registrations for one
    address at once, the address's lock lets one through at a time: it comes before any registration is touched, or two
    that delete each other's would wait for each other.

    Raises:
        VerificationNotGood: the token is not, or not any more, or the address has got an account meanwhile.
        PasswordNotGood: the password is not; the token still is.
    """
    async with refusals_audited(context, "account.registered", session=session):
        async with context.requests.transaction() as reading:
            asked = await registration_of_token(reading, digest(token))
        if asked is None or not asked.is_good(at=context.clock.now()):
            raise VerificationNotGood
        check_password(password, asked.own_words)
        password_hash = await passwords_of(settings).hash(password)

        at = context.clock.now()
        if await hold_address(session, asked.email) is not None:
            raise VerificationNotGood
        registration = await registration_of_token(session, digest(token))
        if registration is None or not registration.is_good(at=at):
            raise VerificationNotGood
        user_id = await free_user_id(session)
        account, registered = Account.register(registration, user_id, password_hash, at=at, seal=context.keyring.seal)
        session.add(account)
        await forget_registrations(session, registration.email)
        emit(session, account, registered)
        await audit(
            session, Entry(act="account.registered", author=Author("mailed token", account.id), subjects=[account.id])
        )
        return account
