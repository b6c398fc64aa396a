"""Many groups at once: what is true of most of them, that their renewal date is as it was, is kept by one statement."""

from collections.abc import Sequence
from datetime import date

from covey_chassis.consumer import Arrived
from covey_chassis.copies import keep_all_newer
from covey_contracts.membership import GroupState
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from covey_renewals.domain.book import Group
from covey_renewals.use_cases.take_group import take_group


async def take_groups(session: AsyncSession, arrived: Sequence[Arrived[GroupState]], *, today: date) -> None:
    """Keep the groups as they are now, as far as this is news. A new one, or another date, is taken by itself."""
    known = await _known_dates(session, arrived)
    moving = {each.event.group_id for each in arrived if known.get(each.event.group_id) != each.event.renewal_date}
    await keep_all_newer(session, Group, [_copy(each) for each in arrived if each.event.group_id not in moving])
    for each in arrived:
        if each.event.group_id in moving:
            with each.taken():
                await take_group(session, each.event, sequence=each.envelope.place, today=today)


async def _known_dates(session: AsyncSession, arrived: Sequence[Arrived[GroupState]]) -> dict[object, date]:
    """The renewal dates of those of the groups that are in the book: their rows are held, in the order of their IDs."""
    found = await session.execute(
        text(
            "SELECT group_id, renewal_date FROM book WHERE group_id = ANY(CAST(:ids AS uuid[]))"
            " ORDER BY group_id FOR UPDATE"
        ),
        {"ids": [each.event.group_id for each in arrived]},
    )
    return {row.group_id: row.renewal_date for row in found}


def _copy(each: Arrived[GroupState]) -> dict[str, object]:
    group = each.event
    return {
        "group_id": group.group_id,
        "sequence": each.envelope.place,
        "group_number": group.group_number,
        "legal_name": group.legal_name,
        "renewal_date": group.renewal_date,
    }
