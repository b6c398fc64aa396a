"""Many groups at once: those of which the book names the broker that it did, which is most, are kept by one statement."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from covey_chassis.consumer import Arrived
from covey_chassis.copies import keep_all_newer
from covey_contracts.membership import GroupState
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity import queries
from covey_identity.domain.group import GroupCopy
from covey_identity.use_cases.take_group import copy_of, take_group


async def take_groups(
    session: AsyncSession, arrived: Sequence[Arrived[GroupState]], *, today: date, at: datetime
) -> None:
    """Keep the groups as they are now, as far as this is news. Where another broker is told of, it is taken by itself."""
    appointing = await _appointing(session, arrived)
    settled = [each for each in arrived if each.event.group_id not in appointing]
    await keep_all_newer(session, GroupCopy, [copy_of(each.event, each.envelope.place) for each in settled])
    for each in arrived:
        if each.event.group_id in appointing:
            with each.taken():
                await take_group(session, each.event, sequence=each.envelope.place, today=today, at=at)


async def _appointing(session: AsyncSession, arrived: Sequence[Arrived[GroupState]]) -> set[UUID]:
    """Groups whose broker may change, or be renamed: then every group of that firm has its turn, in order.

    A broker is looked at while the copy is held: another process may be at work on the same group. There is nothing to
    hold of a group that is not known yet, so it has its turn, too.
    """
    group_ids = {each.event.group_id for each in arrived}
    held = await queries.hold_groups(session, group_ids)
    brokers = await queries.brokers_in_book(session, group_ids)
    others = [
        each.event
        for each in arrived
        if each.event.group_id not in held or brokers.get(each.event.group_id) != each.event.broker
    ]
    firms = {event.broker.firm_number for event in others if event.broker}
    of_firms = [each.event for each in arrived if each.event.broker and each.event.broker.firm_number in firms]
    return {event.group_id for event in (*others, *of_firms)}
