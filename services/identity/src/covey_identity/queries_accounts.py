"""Named reads of accounts, their addresses, registrations and sessions, and the locks that they are found under."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from covey_chassis.access.tokens import TOKEN_S
from covey_chassis.db import load
from sqlalchemy import Select, case, delete, func, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from covey_identity.domain.account import Account, AccountAddress, AccountKind, AccountNotFound, ProgramNotFound
from covey_identity.domain.mail import Addressee
from covey_identity.domain.mailed_token import MailedToken, TokenUse
from covey_identity.domain.passkey import Passkey, PasskeyNotFound
from covey_identity.domain.person_fields import address_key
from covey_identity.domain.program_key import ProgramKey
from covey_identity.domain.registration import Registration
from covey_identity.domain.second_factor import RecoveryCode, SecondFactor, SecondFactorOff
from covey_identity.domain.session import AccountSession, SignOnChallenge
from covey_identity.domain.user_ids import as_stored, draw_user_id

# --- accounts ---


async def load_account(session: AsyncSession, account_id: UUID) -> Account:
    """The account, locked.

    Raises:
        AccountNotFound: there is none.
    """
    return await load(session, Account, account_id, missing=AccountNotFound)


async def find_program(session: AsyncSession, account_id: UUID, *, lock: bool = False) -> Account:
    """The account, if it is a program's.

    Raises:
        ProgramNotFound: it is not, or there is none.
    """
    account = await session.get(Account, account_id, with_for_update=lock)
    if account is None or account.kind is not AccountKind.PROGRAM:
        raise ProgramNotFound(id=account_id)
    return account


def keys_of(account_id: UUID) -> Select[ProgramKey]:
    """All keys that a program ever had."""
    return select(ProgramKey).where(ProgramKey.account_id == account_id)


@dataclass(frozen=True)
class Credentials:
    """What is kept of an account's password, or of a program's secret."""

    account_id: UUID
    password_hash: str | None = field(repr=False)
    secret_sha256: bytes | None = field(repr=False)


async def credentials_of(session: AsyncSession, user_id: str) -> Credentials | None:
    """What whoever gives this user ID, typed in whatever case, is to prove.

    These columns, not the account: it would be read in more statements when there is one than when there is none, and
    it would be an old version by the time it is locked.
    """
    found = await session.execute(
        select(Account.id, Account.password_hash, Account.secret_sha256).where(Account.user_id == as_stored(user_id))
    )
    row = found.one_or_none()
    return None if row is None else Credentials(*row)


async def free_user_id(session: AsyncSession, draw: Callable[[], str] = draw_user_id) -> str:
    """A user ID that nobody has, and nobody else can take until the transaction ends."""
    while True:
        user_id = draw()
        if not await session.scalar(
            text("SELECT pg_try_advisory_xact_lock(hashtextextended('user-id ' || :user_id, 0))"), {"user_id": user_id}
        ):
            continue
        # A statement of its own: it must see what the holder of the lock before us has committed.
        if await session.scalar(select(Account.id).where(Account.user_id == user_id)) is None:
            return user_id


# --- addresses ---


async def owner_of_address(session: AsyncSession, email: str) -> UUID | None:
    """The account that this address has been proven for, if there is one."""
    return await session.scalar(select(AccountAddress.account_id).where(AccountAddress.email_key == address_key(email)))


async def hold_address(session: AsyncSession, email: str) -> UUID | None:
    """The address's owner; until the transaction ends nobody else can give it to an account.

    Whoever adds an address asks this first, and after the ledger's lock where that is taken too.
    """
    await session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended('address ' || :key, 0))"), {"key": address_key(email)}
    )
    return await owner_of_address(session, email)


async def addresses_of(session: AsyncSession, account_id: UUID) -> list[str]:
    """The addresses that the account's holder has proven, the one that they are written to first."""
    found = await session.scalars(
        select(AccountAddress.email)
        .where(AccountAddress.account_id == account_id)
        .order_by(AccountAddress.is_primary.desc(), AccountAddress.verified_at, AccountAddress.email_key)
    )
    return list(found)


async def holder_of_address(session: AsyncSession, email: str) -> Addressee | None:
    """Whom to write to about the account that this address has been proven for, if there is one.

    At this address or, where it does not recover the account, at the main one: nothing about an account is written to
    whoever reads a mailbox that only an access code went to.
    """
    main = aliased(AccountAddress)
    found = await session.execute(
        select(
            case((AccountAddress.recovers, AccountAddress.email), else_=main.email),
            Account.language,
            Account.first_name,
            Account.last_name,
            Account.user_id,
            Account.id.label("account_id"),
        )
        .join(AccountAddress, AccountAddress.account_id == Account.id)
        .join(main, (main.account_id == Account.id) & main.is_primary)
        .where(AccountAddress.email_key == address_key(email))
    )
    row = found.one_or_none()
    return None if row is None else Addressee(*row)


# --- registrations ---


async def registration_of_token(session: AsyncSession, digest: bytes) -> Registration | None:
    """The registration that this token verifies."""
    return await session.scalar(select(Registration).where(Registration.token_sha256 == digest))


async def forget_registrations(session: AsyncSession, email: str) -> None:
    """Forget all registrations that wait for this address. The address must be held."""
    await session.execute(delete(Registration).where(Registration.email_key == address_key(email)))


# --- mailed tokens ---


async def mailed_token(session: AsyncSession, digest: bytes, use: TokenUse) -> MailedToken | None:
    """What is kept of this token, if it is one for this use."""
    return await session.scalar(select(MailedToken).where(MailedToken.token_sha256 == digest, MailedToken.use == use))


async def forget_mailed_tokens(session: AsyncSession, account_id: UUID, use: TokenUse, *, email: str) -> None:
    """None of an account's tokens for this use that went to this address is good any more. The account must be locked."""
    await session.execute(
        delete(MailedToken).where(
            MailedToken.account_id == account_id, MailedToken.use == use, MailedToken.email_key == address_key(email)
        )
    )


async def forget_begun(session: AsyncSession, account_id: UUID) -> None:
    """What was begun with a former password comes to nothing: mailed tokens, a second factor that is not on yet.

    The account must be locked.
    """
    await session.execute(delete(MailedToken).where(MailedToken.account_id == account_id))
    await session.execute(
        delete(SecondFactor).where(SecondFactor.account_id == account_id, SecondFactor.on_since.is_(None))
    )


# --- sessions ---


def sessions_of(account_id: UUID, *, at: datetime, idle_minutes: int) -> Select[AccountSession]:
    """Sessions that an account has now."""
    return select(AccountSession).where(
        AccountSession.account_id == account_id,
        AccountSession.ended_at.is_(None),
        or_(
            AccountSession.expires_at.is_(None),
            (AccountSession.expires_at > at) & (AccountSession.used_at > at - timedelta(minutes=idle_minutes)),
        ),
    )


async def lock_sessions(session: AsyncSession, account_id: UUID, *, at: datetime) -> list[AccountSession]:
    """All sessions of the account that are not over, locked. The account must be locked: no new one can begin.

    Not over is one, too, whose last access token may still be good.
    """
    over = at - timedelta(seconds=2 * TOKEN_S)
    found = await session.scalars(
        select(AccountSession)
        .where(
            AccountSession.account_id == account_id,
            AccountSession.ended_at.is_(None),
            or_(AccountSession.expires_at.is_(None), AccountSession.expires_at > over),
        )
        .order_by(AccountSession.id)
        .with_for_update()
    )
    return list(found)


async def challenge_of_token(session: AsyncSession, digest: bytes, *, at: datetime) -> SignOnChallenge | None:
    """Who has shown their password, and has this token for it, if it is good still."""
    return await session.scalar(
        select(SignOnChallenge).where(SignOnChallenge.token_sha256 == digest, SignOnChallenge.expires_at > at)
    )


async def forget_challenges(session: AsyncSession, account_id: UUID) -> None:
    """Whoever has shown the account's password alone begins anew. The account must be locked."""
    await session.execute(delete(SignOnChallenge).where(SignOnChallenge.account_id == account_id))


# --- second factors ---


async def factor_of(session: AsyncSession, account_id: UUID) -> SecondFactor | None:
    """The account's app, on or not yet. Whoever changes it has locked the account."""
    return await session.get(SecondFactor, account_id, populate_existing=True)


async def factor_asked_for(session: AsyncSession, account_id: UUID) -> SecondFactor | None:
    """The account's app, if its holder is asked for what it shows."""
    factor = await factor_of(session, account_id)
    return None if factor is None or factor.on_since is None else factor


async def load_factor(session: AsyncSession, account_id: UUID) -> SecondFactor:
    """The same. The account must be locked.

    Raises:
        SecondFactorOff: none is on.
    """
    factor = await factor_asked_for(session, account_id)
    if factor is None:
        raise SecondFactorOff
    return factor


async def use_recovery_code(session: AsyncSession, account_id: UUID, digest: bytes, *, at: datetime) -> bool:
    """Use one of the account's codes up; False when it has none like this, or has used it."""
    used = await session.execute(
        update(RecoveryCode)
        .where(
            RecoveryCode.code_sha256 == digest,
            RecoveryCode.account_id == account_id,
            RecoveryCode.used_at.is_(None),
        )
        .values(used_at=at)
        .returning(RecoveryCode.account_id)
    )
    return used.one_or_none() is not None


async def recovery_codes_left(session: AsyncSession, account_id: UUID) -> int:
    """How many of the account's codes have not been used."""
    query = select(func.count()).where(RecoveryCode.account_id == account_id, RecoveryCode.used_at.is_(None))
    return await session.scalar(query) or 0


async def forget_recovery_codes(session: AsyncSession, account_id: UUID) -> None:
    """None of them is good any more. The account must be locked."""
    await session.execute(delete(RecoveryCode).where(RecoveryCode.account_id == account_id))


# --- passkeys ---


async def passkeys_of(session: AsyncSession, account_id: UUID) -> list[Passkey]:
    """The account's passkeys, the oldest first."""
    found = await session.scalars(select(Passkey).where(Passkey.account_id == account_id).order_by(Passkey.id))
    return list(found)


async def load_passkey(session: AsyncSession, account_id: UUID, passkey_id: UUID) -> Passkey:
    """One of the account's passkeys. The account must be locked.

    Raises:
        PasskeyNotFound: it has none with this ID.
    """
    passkey = await session.get(Passkey, passkey_id, populate_existing=True)
    if passkey is None or passkey.account_id != account_id:
        raise PasskeyNotFound(id=passkey_id)
    return passkey


async def passkey_shown(session: AsyncSession, credential_id: bytes, user_handle: bytes) -> Passkey | None:
    """The passkey with this ID, if it is of the account that its authenticator names."""
    return await session.scalar(
        select(Passkey)
        .join(Account, Account.id == Passkey.account_id)
        .where(Passkey.credential_id == credential_id, Account.passkey_handle == user_handle)
    )


async def hold_credential(session: AsyncSession, credential_id: bytes) -> bool:
    """Whether somebody has a passkey with this ID; until the transaction ends nobody else can add one."""
    await session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended('passkey ' || :id, 0))"), {"id": credential_id.hex()}
    )
    return await session.scalar(select(Passkey.id).where(Passkey.credential_id == credential_id)) is not None


async def forget_passkeys(session: AsyncSession, account_id: UUID) -> int:
    """None of the account's passkeys is good any more; how many there were. The account must be locked."""
    gone = await session.execute(delete(Passkey).where(Passkey.account_id == account_id).returning(Passkey.id))
    return len(gone.all())


async def use_challenge(session: AsyncSession, challenge: bytes, *, expires_at: datetime) -> bool:
    """Use a challenge up; False when somebody has."""
    used = await session.execute(_USE_CHALLENGE, {"digest": hashlib.sha256(challenge).digest(), "until": expires_at})
    return used.one_or_none() is not None


_USE_CHALLENGE = text(
    """
    INSERT INTO passkey_challenge_used (challenge_sha256, expires_at) VALUES (:digest, :until)
    ON CONFLICT DO NOTHING RETURNING 1
    """
)

# --- staff ---

STAFF_RIGHTS = text(
    "SELECT id, rights FROM access_fact WHERE kind = 'staff' AND active AND id = ANY(CAST(:account_ids AS uuid[]))"
)


def staff() -> Select[Account]:
    """Accounts of the carrier's staff."""
    return select(Account).where(
        text("account.id IN (SELECT fact.id FROM access_fact AS fact WHERE kind = 'staff' AND active)")
    )


async def staff_rights(session: AsyncSession, account_ids: list[UUID]) -> dict[UUID, list[str]]:
    """Which staff rights each of these accounts has; those that have none are left out."""
    found = await session.execute(STAFF_RIGHTS, {"account_ids": account_ids})
    return {row.id: list(row.rights) for row in found}
