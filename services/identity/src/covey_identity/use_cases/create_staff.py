"""An operator makes somebody a member of the carrier's staff, or says anew what they may do."""

from collections.abc import Collection
from dataclasses import dataclass

from covey_chassis.access import StaffRight
from covey_chassis.outbox import emit
from covey_chassis.service import Context
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.domain.account import Account
from covey_identity.ledger import lock_ledger
from covey_identity.passwords import new_password, passwords_of
from covey_identity.queries_accounts import (
    free_user_id,
    hold_address,
    load_account,
    owner_of_address,
)
from covey_identity.settings import Settings
from covey_identity.use_cases.give_staff_rights import record_staff_rights


@dataclass(frozen=True, kw_only=True)
class NewStaff:
    """Whom, and what they may do."""

    first_name: str
    last_name: str
    email: str
    rights: Collection[StaffRight]


async def create_staff(
    context: Context, settings: Settings, session: AsyncSession, new: NewStaff, *, operator: str
) -> tuple[Account, str | None]:
    """The account with these staff rights and no others, and its password, if it is new: that is shown once.

    Whoever has the address already keeps their account, name and password.
    """
    async with context.workers.transaction() as reading:
        known = await owner_of_address(reading, new.email) is not None
    password = None if known else new_password()
    password_hash = password and await passwords_of(settings).hash(password)

    ledger = await lock_ledger(session)
    owner = await hold_address(session, new.email)
    if owner is not None:
        password = None
        account = await load_account(session, owner)
    else:
        assert password_hash is not None  # an address that was somebody's stays theirs
        user_id = await free_user_id(session)
        account, registered = Account.employ(
            user_id,
            password_hash,
            first_name=new.first_name,
            last_name=new.last_name,
            email=new.email,
            at=context.clock.now(),
            seal=context.keyring.seal,
        )
        session.add(account)
        emit(session, account, registered)
    await record_staff_rights(session, ledger, account.id, new.rights, operator=operator)
    return account, password
