"""Named reads: what somebody has saved to look for again."""

from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from covey_transactions.domain.saved_search import SavedSearch, SavedSearchNotFound


async def searches_of(session: AsyncSession, account_id: UUID, *, locked: bool = False) -> list[SavedSearch]:
    """All of somebody's, by name; locked until this database transaction ends, when one is to be changed or added."""
    if locked:
        await session.execute(_LOCK, {"account_id": account_id})  # and read what others have committed until then
    query = select(SavedSearch).where(SavedSearch.account_id == account_id)
    return list(await session.scalars(query.order_by(func.lower(SavedSearch.name), SavedSearch.id)))


async def own_search(session: AsyncSession, account_id: UUID, saved_search_id: UUID) -> SavedSearch:
    """The one of somebody's that has this ID; all of theirs are locked.

    Raises:
        SavedSearchNotFound: there is none, or it is another one's.
    """
    for each in await searches_of(session, account_id, locked=True):
        if each.id == saved_search_id:
            return each
    raise SavedSearchNotFound(id=saved_search_id)


_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('saved searches of ' || CAST(:account_id AS uuid), 0))")
