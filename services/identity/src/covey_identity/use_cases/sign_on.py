"""A person signs on."""

from covey_chassis.access import AccountLocked
from covey_chassis.errors import Refusal
from covey_chassis.service import Context
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.attempts import begin_attempt, clear_attempts, subject_of
from covey_identity.audit import Author, Entry, audit, refusals_audited
from covey_identity.domain.bearer_secret import new_secret
from covey_identity.domain.session import AccountSession, SignOnChallenge
from covey_identity.domain.user_ids import as_stored
from covey_identity.passwords import passwords_of
from covey_identity.queries_accounts import credentials_of, factor_asked_for, load_account
from covey_identity.settings import Settings

PURPOSE = "sign-on"


class SignOnRefused(Refusal):
    """The user ID or the password is not right."""

    status = 401


async def sign_on(
    context: Context, settings: Settings, session: AsyncSession, user_id: str, password: str
) -> tuple[AccountSession | SignOnChallenge, str]:
    """A new session, or a challenge where a second factor is asked for too, and its token, which is shown once.

    What is refused takes the same work whatever the reason. Until the password is verified only the columns for that are
    read: one statement, for whatever name.

    Raises:
        TooManyAttempts: there were too many for this user ID, whether or not there is one.
        SignOnRefused: there is no such user ID, it is a program's, or the password is another one.
        AccountLocked: the password is right, but the account is locked.
    """
    async with refusals_audited(context, "sign-on", session=session) as about:
        subject = subject_of(as_stored(user_id))
        await begin_attempt(context, PURPOSE, subject)
        async with context.requests.transaction() as reading:
            found = await credentials_of(reading, user_id)
        about.account_id = found.account_id if found else None
        stored = found.password_hash if found else None
        passwords = passwords_of(settings)
        right = await passwords.verify(stored, password)
        if found is None or stored is None or not right:
            raise SignOnRefused
        renewed = await passwords.hash(password) if passwords.is_outdated(stored) else None

        account = await load_account(session, found.account_id)
        if account.locked_at is not None:
            raise AccountLocked
        if account.password_hash != stored:
            raise SignOnRefused  # changed while it was verified
        if renewed is not None:
            account.password_hash = renewed
        at, token = context.clock.now(), new_secret()
        begun: AccountSession | SignOnChallenge
        if await factor_asked_for(session, account.id) is not None:
            begun = SignOnChallenge.begin(account.id, token, at=at)
        else:
            begun = AccountSession.start(account.id, token, at=at, hours=settings.session_hours)
        session.add(begun)
        started_id = begun.id if isinstance(begun, AccountSession) else None
        act = "sign-on" if started_id else "sign-on.password-shown"
        await audit(session, Entry(act=act, author=Author("password", account.id, started_id), subjects=[account.id]))
        await clear_attempts(session, PURPOSE, subject)
        return begun, token
