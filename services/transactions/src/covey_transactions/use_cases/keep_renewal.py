"""A group's coming plan year is there, or stands differently now: the copy follows."""

from covey_chassis.copies import keep_newer
from covey_contracts.renewals import RenewalState
from sqlalchemy.ext.asyncio import AsyncSession

from covey_transactions.domain.renewal import Renewal


async def keep_renewal(session: AsyncSession, renewal: RenewalState, *, sequence: int) -> None:
    """Keep the renewal as it is now, if this is news. Its group may still be unknown."""
    await keep_newer(
        session,
        Renewal,
        sequence=sequence,
        renewal_id=renewal.renewal_id,
        group_id=renewal.group_id,
        plan_year=renewal.plan_year,
        effective_date=renewal.effective_date,
        status=renewal.status,
    )
