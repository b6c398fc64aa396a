"""The renewals whose day has come, 75 days ahead, are opened to their groups and brokers."""

from datetime import date

from covey_chassis.outbox import emit_rows
from covey_contracts.renewals import RenewalAvailable
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from covey_renewals.domain.renewal import last_date_in_reach

# The page is MATERIALIZED: as a plain subquery it could run more than once, and lock and take more rows than its limit.
BECOME_AVAILABLE = text(
    """
    WITH due AS MATERIALIZED (
        SELECT id FROM renewal
         WHERE status = 'upcoming' AND effective_date > :today AND effective_date <= :last_date
         ORDER BY effective_date
         LIMIT :page
           FOR UPDATE SKIP LOCKED
    )
    UPDATE renewal
       SET status = 'available', available_on = :today, version = version + 1, sequence = sequence + 1
      FROM due
     WHERE renewal.id = due.id
    RETURNING renewal.id AS renewal_id, group_id, plan_year, effective_date, status, available_on, sequence
    """
)


async def become_available(session: AsyncSession, today: date, *, page: int) -> int:
    """Do what ``Renewal.become_available`` says for a page of those that are due; how many it were."""
    rows = (
        await session.execute(BECOME_AVAILABLE, {"today": today, "last_date": last_date_in_reach(today), "page": page})
    ).all()
    await emit_rows(
        session, [(RenewalAvailable.model_validate(row, from_attributes=True), row.sequence) for row in rows]
    )
    return len(rows)
