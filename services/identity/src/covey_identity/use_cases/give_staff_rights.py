"""An operator says what somebody who has an account may do as a member of the carrier's staff: a person, or a program."""

from collections.abc import Collection
from uuid import UUID

from covey_chassis.access import StaffRight
from covey_chassis.access.facts import Fact, FactKind
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.audit import Author
from covey_identity.domain.account import Account
from covey_identity.ledger import Ledger, lock_ledger
from covey_identity.queries_accounts import load_account, staff_rights


async def give_staff_rights(
    session: AsyncSession, account_id: UUID, rights: Collection[StaffRight], *, operator: str
) -> Account:
    """The account, which has these staff rights now and no others.

    Raises:
        AccountNotFound: nobody has this ID.
    """
    ledger = await lock_ledger(session)
    account = await load_account(session, account_id)
    await record_staff_rights(session, ledger, account_id, rights, operator=operator)
    return account


async def record_staff_rights(
    session: AsyncSession, ledger: Ledger, account_id: UUID, rights: Collection[StaffRight], *, operator: str
) -> None:
    """The same for whoever has locked the ledger. The rights that somebody has already are no change."""
    wanted = tuple(sorted(set(rights)))
    if (await staff_rights(session, [account_id])).get(account_id) != list(wanted):
        fact = Fact(kind=FactKind.STAFF, id=account_id, account_id=account_id, rights=wanted, active=True)
        await ledger.record("staff.rights-given", Author(f"operator {operator}"), [fact])
