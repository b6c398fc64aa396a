"""What somebody looks for in the history again and again. It is theirs alone; what it finds is what they may see then."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from covey_chassis.access import By, signed_on
from covey_chassis.acts import tells_of
from covey_chassis.http import Ctx, IdempotencyKey, Session, refuses, service_router
from pydantic import BaseModel, ConfigDict, Field

from covey_transactions import queries_searches as queries
from covey_transactions.domain.saved_search import (
    SAVED_SEARCHES_MAX,
    SavedSearch,
    SavedSearchNotFound,
    Search,
    SearchNameTaken,
    TooManySavedSearches,
)
from covey_transactions.domain.words import SearchName
from covey_transactions.use_cases.choose_default_search import choose_default_search, forgo_default_search
from covey_transactions.use_cases.delete_search import delete_search
from covey_transactions.use_cases.save_search import save_search

router = service_router(prefix="/v1/saved-searches", tags=["saved searches"], dependencies=[signed_on()])


class NewSearch(BaseModel):
    """What to look for, and what it is called."""

    model_config = ConfigDict(extra="forbid")

    name: SearchName
    search: Search
    is_default: Annotated[bool, Field(description="It is looked for whenever you do not say what.")] = False


class SavedSearchView(BaseModel):
    """One of your saved searches."""

    saved_search_id: UUID
    name: str
    search: Annotated[Search | None, Field(description="Null: it cannot be looked for here any more, or not yet.")]
    is_default: bool
    created_at: datetime

    @classmethod
    def of(cls, saved: SavedSearch) -> Self:
        return cls(
            saved_search_id=saved.id,
            name=saved.name,
            search=saved.search,
            is_default=saved.is_default,
            created_at=saved.created_at,
        )


class SavedSearches(BaseModel):
    """All of yours."""

    items: Annotated[list[SavedSearchView], Field(description=f"At most {SAVED_SEARCHES_MAX}.")]


@router.get("", summary="Your saved searches, by name")
async def list_searches(by: By, session: Session) -> SavedSearches:
    found = await queries.searches_of(session, by.account_id)
    return SavedSearches(items=[SavedSearchView.of(each) for each in found])


@router.post("", status_code=201, responses=refuses(SearchNameTaken, TooManySavedSearches), summary="Save a search")
async def save_new_search(new: NewSearch, by: By, session: Session, ctx: Ctx, key: IdempotencyKey) -> SavedSearchView:
    """Names differ by more than their case. As the default it takes the place of the one before."""
    saved = await save_search(
        session, by.account_id, new.name, new.search, is_default=new.is_default, at=ctx.clock.now()
    )
    tells_of(session, saved_search_id=saved.id)
    return SavedSearchView.of(saved)


@router.put("/{saved_search_id}/default", responses=refuses(SavedSearchNotFound), summary="Make it the default")
async def use_by_default(saved_search_id: UUID, by: By, session: Session, key: IdempotencyKey) -> SavedSearchView:
    """It takes the place of the one before."""
    return SavedSearchView.of(await choose_default_search(session, by.account_id, saved_search_id))


@router.delete("/{saved_search_id}/default", responses=refuses(SavedSearchNotFound), summary="Have no default")
async def use_no_default(saved_search_id: UUID, by: By, session: Session, key: IdempotencyKey) -> SavedSearchView:
    """If it is not the default, another one stays so."""
    return SavedSearchView.of(await forgo_default_search(session, by.account_id, saved_search_id))


@router.delete("/{saved_search_id}", status_code=204, responses=refuses(SavedSearchNotFound), summary="Delete one")
async def delete_saved_search(saved_search_id: UUID, by: By, session: Session, key: IdempotencyKey) -> None:
    await delete_search(session, by.account_id, saved_search_id)
