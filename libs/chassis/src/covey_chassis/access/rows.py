"""Which groups a transaction sees, whatever its queries ask for: PostgreSQL's own row-level security.

``checking`` names the group, or the account, with the check itself; ``guarding`` made the policies.
"""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession


async def see_all_groups(session: AsyncSession) -> None:
    """From now on, until its end, this transaction sees the rows of every group, as the worker role does.

    For carrier staff where no group is named, once it is known that they are; and for what has to be found before anybody
    knows in which group it is. Every call says why.
    """
    await session.execute(text("SELECT see_all_groups()"))


async def see_group(session: AsyncSession, group_id: UUID | None) -> None:
    """From now on it sees this group's rows alone, or none: once it is known which group it was."""
    await session.execute(_SEE_GROUP, {"group": str(group_id or "")})


_SEE_GROUP = text(
    """
    SELECT set_config('role', 'none', true), set_config('covey.group', :group, true),
           set_config('covey.account', '', true)
    """
)
