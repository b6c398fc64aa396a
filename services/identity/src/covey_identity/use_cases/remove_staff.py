"""An operator takes all staff rights away from somebody."""

from uuid import UUID

from covey_chassis.access.facts import Fact, FactKind
from covey_chassis.errors import NotFound
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.audit import Author
from covey_identity.ledger import lock_ledger
from covey_identity.queries_accounts import staff_rights


class NotStaff(NotFound):
    """No member of the staff has this account."""


async def remove_staff(session: AsyncSession, account_id: UUID, *, operator: str) -> None:
    """The account stays, without any staff right.

    Raises:
        NotStaff: it has none.
    """
    ledger = await lock_ledger(session)
    if account_id not in await staff_rights(session, [account_id]):
        raise NotStaff(id=account_id)
    fact = Fact(kind=FactKind.STAFF, id=account_id, account_id=account_id, active=False)
    await ledger.record("staff.rights-removed", Author(f"operator {operator}"), [fact])
