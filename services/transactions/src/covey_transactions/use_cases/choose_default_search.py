"""What somebody looks for whenever they do not say what."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from covey_transactions import queries_searches as queries
from covey_transactions.domain.saved_search import SavedSearch


async def choose_default_search(session: AsyncSession, account_id: UUID, saved_search_id: UUID) -> SavedSearch:
    """Use this one by default from now on, and no other.

    Raises:
        SavedSearchNotFound: they have none with this ID.
    """
    chosen = await queries.own_search(session, account_id, saved_search_id)
    before = await queries.default_of(session, account_id)
    if before is not None:
        before.is_default = False
        await session.flush()  # at no moment are there two: the table's index sees each row by itself
    chosen.is_default = True
    return chosen


async def forgo_default_search(session: AsyncSession, account_id: UUID, saved_search_id: UUID) -> SavedSearch:
    """Use this one by default no longer.

    Raises:
        SavedSearchNotFound: they have none with this ID.
    """
    found = await queries.own_search(session, account_id, saved_search_id)
    found.is_default = False
    return found
