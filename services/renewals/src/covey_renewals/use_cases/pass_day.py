"""The renewals whose plan year has begun leave their place to the next ones, which are made here."""

from datetime import date

from covey_chassis.outbox import emit_rows
from covey_contracts.renewals import RenewalChanged, RenewalStatus
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncSession

from covey_renewals.domain.plan_years import next_cycle
from covey_renewals.domain.renewal import Renewal

FIRST = 1
"""The sequence of a renewal's first event."""

PASS_DAY = text(
    """
    WITH passed AS MATERIALIZED (
        SELECT renewal.id, book.renewal_date
          FROM renewal JOIN book USING (group_id)
         WHERE current AND effective_date <= :today
         ORDER BY effective_date
         LIMIT :page
           FOR UPDATE OF book, renewal SKIP LOCKED
    )
    UPDATE renewal
       SET current = false,
           status = CASE WHEN status IN ('upcoming', 'available', 'in progress') THEN 'rolled over' ELSE status END,
           version = version + 1,
           sequence = sequence + CAST(status IN ('upcoming', 'available', 'in progress') AS int)
      FROM passed
     WHERE renewal.id = passed.id
    RETURNING renewal.id AS renewal_id, group_id, plan_year, effective_date, status, available_on, sequence,
              passed.renewal_date
    """
)


async def pass_day(session: AsyncSession, today: date, *, page: int) -> int:
    """Do what ``Renewal.pass_day`` says for a page of those whose day has come; how many it were.

    Each group's next renewal begins in the same transaction: it is never without a current one.
    """
    passed = (await session.execute(PASS_DAY, {"today": today, "page": page})).all()
    if not passed:
        return 0
    begun = [Renewal.upcoming(row.group_id, *next_cycle(row.plan_year, row.renewal_date, today)) for row in passed]
    await session.execute(
        insert(Renewal),
        [
            {
                "id": renewal.id,
                "group_id": renewal.group_id,
                "plan_year": renewal.plan_year,
                "effective_date": renewal.effective_date,
                "current": renewal.current,
                "status": renewal.status,
                "sequence": FIRST,
            }
            for renewal, _ in begun
        ],
    )
    rolled_over = [row for row in passed if row.status == RenewalStatus.ROLLED_OVER]  # no current one was so before
    await emit_rows(
        session,
        [(RenewalChanged.model_validate(row, from_attributes=True), row.sequence) for row in rolled_over]
        + [(event, FIRST) for _, event in begun],
    )
    return len(passed)
