"""Which groups a transaction sees, whatever its queries ask for: PostgreSQL's own row-level security.

``checking`` names the group, or the account, with the check itself; ``guarding`` made the policies.
"""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession


async def see_all_groups(session: AsyncSession) -> None:
    """From now on, until its end, this transaction sees the rows of every group, as the worker role does.

    For carrier staff where no group is named, once it is known that they are; and for what has to be found before anybody
    knows in which group it is. Every call says why.
    """
    await session.execute(text("SELECT see_all_groups()"))
