"""A group is there, or something about it is different now: the book and its renewal follow.

Locks, everywhere in this service: a group's row in the book first, its renewals after it; whoever makes a renewal or
moves it to another date holds the group's row. Who follows a transaction holds one renewal and waits for nothing after it.
Messages wait for locks, the sweep never does (SKIP LOCKED): no circle.
"""

from datetime import date

from covey_chassis.copies import keep_newer
from covey_chassis.outbox import emit
from covey_contracts.membership import GroupState
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from covey_renewals.domain.book import Group
from covey_renewals.domain.plan_years import first_cycle
from covey_renewals.domain.renewal import Renewal


async def take_group(session: AsyncSession, group: GroupState, *, sequence: int, today: date) -> None:
    """Keep the group as it is now, if this is news. Only another renewal date than before touches its renewal."""
    known = await session.scalar(
        text("SELECT renewal_date FROM book WHERE group_id = :group_id FOR UPDATE"), {"group_id": group.group_id}
    )
    is_news = await keep_newer(
        session,
        Group,
        sequence=sequence,
        group_id=group.group_id,
        group_number=group.group_number,
        legal_name=group.legal_name,
        renewal_date=group.renewal_date,
    )
    if not is_news:
        return
    if known is None:
        renewal, begun = Renewal.upcoming(group.group_id, *first_cycle(group.renewal_date, today))
        session.add(renewal)
        emit(session, renewal, begun)
    elif known != group.renewal_date:
        await _move_renewal(session, group)


async def _move_renewal(session: AsyncSession, group: GroupState) -> None:
    """The current renewal begins on the new date as given. If that is past, the sweep lets it pass and makes the next."""
    query = select(Renewal).where(Renewal.group_id == group.group_id, Renewal.current)
    renewal = (await session.scalars(query.with_for_update())).one()
    if renewal.effective_date != group.renewal_date:
        emit(session, renewal, renewal.move_to(group.renewal_date))
