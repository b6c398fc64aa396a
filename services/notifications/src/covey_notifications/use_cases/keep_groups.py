"""Keep the copies of groups."""

from collections.abc import Sequence

from covey_chassis.consumer import Arrived
from covey_chassis.copies import keep_all_newer
from covey_contracts.membership import GroupState
from sqlalchemy.ext.asyncio import AsyncSession

from covey_notifications.domain.group import GroupCopy


async def keep_groups(session: AsyncSession, arrived: Sequence[Arrived[GroupState]]) -> None:
    """Keep the groups as they are now, as far as this is news."""
    copies = [
        {
            "group_id": each.event.group_id,
            "sequence": each.envelope.place,
            "group_number": each.event.group_number,
            "legal_name": each.event.legal_name,
            "has_broker": each.event.broker is not None,
            "broker_firm_number": each.event.broker.firm_number if each.event.broker else None,
            "sealed_contacts": each.event.sealed,
        }
        for each in arrived
    ]
    await keep_all_newer(session, GroupCopy, copies)
