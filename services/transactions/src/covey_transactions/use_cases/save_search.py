"""Somebody keeps what they look for, to look for it again."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from covey_transactions import queries_searches as queries
from covey_transactions.domain.saved_search import SavedSearch, Search
from covey_transactions.use_cases.choose_default_search import choose_default_search


async def save_search(
    session: AsyncSession, account_id: UUID, name: str, search: Search, *, is_default: bool, at: datetime
) -> SavedSearch:
    """Keep it, and use it by default from now on if so wanted.

    Raises:
        SearchNameTaken: they have one with this name.
        TooManySavedSearches: they have as many as they can have.
    """
    await queries.lock_searches_of(session, account_id)
    beside = await queries.searches_of(session, account_id)
    saved = SavedSearch.keep(account_id, name, search, beside=beside, at=at)
    session.add(saved)
    if is_default:
        await choose_default_search(session, account_id, saved.id)
    return saved
