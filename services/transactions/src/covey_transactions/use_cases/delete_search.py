"""Somebody does not look for that any more."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from covey_transactions import queries_searches as queries


async def delete_search(session: AsyncSession, account_id: UUID, saved_search_id: UUID) -> None:
    """Delete it, for good. If it was the default, there is none.

    Raises:
        SavedSearchNotFound: they have none with this ID.
    """
    await session.delete(await queries.own_search(session, account_id, saved_search_id))
