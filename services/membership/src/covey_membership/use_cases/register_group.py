"""The carrier takes a group on."""

from covey_chassis.outbox import emit
from sqlalchemy.ext.asyncio import AsyncSession

from covey_membership.domain.group import Group, GroupNumberTaken, Seal
from covey_membership.domain.profile import NewGroup
from covey_membership.queries import hold_numbers


async def register_group(session: AsyncSession, new: NewGroup, *, seal: Seal) -> Group:
    """Register one group, and tell the world.

    Raises:
        GroupNumberTaken: there is one with this number.
    """
    if await hold_numbers(session, [new.group_number]):
        raise GroupNumberTaken(group_number=new.group_number)
    group, registered = Group.register(new.group_number, new.profile, seal=seal)
    session.add(group)
    emit(session, group, registered)
    return group
