"""Keep the copy of a group."""

from covey_chassis.copies import keep_newer
from covey_contracts.membership import GroupState
from sqlalchemy.ext.asyncio import AsyncSession

from covey_notifications.domain.group import GroupCopy


async def keep_group(session: AsyncSession, event: GroupState, *, sequence: int) -> bool:
    """Keep the group as it is now; False when a newer copy is there already."""
    return await keep_newer(
        session,
        GroupCopy,
        sequence=sequence,
        group_id=event.group_id,
        group_number=event.group_number,
        legal_name=event.legal_name,
        has_broker=event.broker is not None,
        sealed_contacts=event.sealed,
    )
