"""Something about a group is to be different."""

from collections.abc import Callable
from uuid import UUID

from covey_chassis.db import load
from covey_chassis.outbox import emit
from covey_chassis.versions import check_version
from sqlalchemy.ext.asyncio import AsyncSession

from covey_membership.domain.group import Group, GroupNotFound, Seal
from covey_membership.domain.profile import Profile


async def change_group(
    session: AsyncSession, group_id: UUID, version: int, edit: Callable[[Profile], Profile], *, seal: Seal
) -> Group:
    """Edit the group as it was at that version; tell the world if that makes it any different.

    Raises:
        GroupNotFound: there is none.
        StaleVersion: it has changed since.
    """
    group = await load(session, Group, group_id, missing=GroupNotFound)
    check_version(group, version)
    changed = group.change(edit(group.profile), seal=seal)
    if changed is not None:
        emit(session, group, changed)
    return group
