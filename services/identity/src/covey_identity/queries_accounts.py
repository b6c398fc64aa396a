"""Named reads of accounts, their addresses, registrations and sessions, and the locks that they are found under."""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from covey_chassis.db import load
from sqlalchemy import Select, or_, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.domain.account import Account, AccountAddress, AccountNotFound
from covey_identity.domain.person_fields import address_key
from covey_identity.domain.registration import Holder, Registration
from covey_identity.domain.session import AccountSession
from covey_identity.domain.user_ids import as_stored, draw_user_id

# --- accounts ---


async def load_account(session: AsyncSession, account_id: UUID) -> Account:
    """The account, locked.

    Raises:
        AccountNotFound: there is none.
    """
    return await load(session, Account, account_id, missing=AccountNotFound)


async def account_of_user_id(session: AsyncSession, user_id: str) -> Account | None:
    """Who has this user ID, typed in whatever case."""
    return await session.scalar(select(Account).where(Account.user_id == as_stored(user_id)))


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


async def holder_of_address(session: AsyncSession, email: str) -> Holder | None:
    """Who is written to at this address, if it has an account."""
    found = await session.execute(
        select(Account.first_name, Account.last_name, AccountAddress.email, Account.language, Account.user_id)
        .join(AccountAddress, AccountAddress.account_id == Account.id)
        .where(AccountAddress.email_key == address_key(email))
    )
    row = found.one_or_none()
    return None if row is None else Holder(*row)


# --- registrations ---


async def keep_registration(session: AsyncSession, registration: Registration) -> None:
    """Keep it, instead of an older one for the same address."""
    values = {column.name: getattr(registration, column.name) for column in Registration.__table__.columns}
    await session.execute(
        insert(Registration).values(values).on_conflict_do_update(index_elements=["email_key"], set_=values)
    )


async def registration_of_token(session: AsyncSession, digest: bytes, *, lock: bool = False) -> Registration | None:
    """The registration that this token verifies."""
    query = select(Registration).where(Registration.token_sha256 == digest)
    return await session.scalar(query.with_for_update() if lock else query)


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


async def lock_sessions(session: AsyncSession, account_id: UUID) -> list[AccountSession]:
    """All sessions of the account that have not been ended, locked. The account must be locked: no new one can begin."""
    found = await session.scalars(
        select(AccountSession)
        .where(AccountSession.account_id == account_id, AccountSession.ended_at.is_(None))
        .order_by(AccountSession.id)
        .with_for_update()
    )
    return list(found)


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
