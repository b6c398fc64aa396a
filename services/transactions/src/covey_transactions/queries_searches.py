"""Named reads: what somebody has saved to look for again. Whoever changes or adds one has locked all of theirs."""

from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from covey_transactions.domain.saved_search import SavedSearch, SavedSearchNotFound


async def lock_searches_of(session: AsyncSession, account_id: UUID) -> None:
    """Until this database transaction ends; what is read afterwards has what others have committed."""
    await session.execute(_LOCK, {"account_id": account_id})


async def searches_of(session: AsyncSession, account_id: UUID) -> list[SavedSearch]:
    """All of somebody's, by name."""
    query = select(SavedSearch).where(SavedSearch.account_id == account_id)
    return list(await session.scalars(query.order_by(func.lower(SavedSearch.name), SavedSearch.id)))


async def own_search(session: AsyncSession, account_id: UUID, saved_search_id: UUID) -> SavedSearch:
    """The one of somebody's that has this ID, to be changed: all of theirs are locked.

    Raises:
        SavedSearchNotFound: there is none, or it is another one's.
    """
    await lock_searches_of(session, account_id)
    found = await session.get(SavedSearch, saved_search_id)
    if found is None or found.account_id != account_id:
        raise SavedSearchNotFound(id=saved_search_id)
    return found


async def default_of(session: AsyncSession, account_id: UUID) -> SavedSearch | None:
    """The one that they look for by default."""
    query = select(SavedSearch).where(SavedSearch.account_id == account_id, SavedSearch.is_default)
    return (await session.scalars(query)).one_or_none()


_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('saved searches of ' || CAST(:account_id AS uuid), 0))")
