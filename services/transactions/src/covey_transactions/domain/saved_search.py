"""What somebody looks for in the history again and again: the filters and the order, by a name of their own.

It is its owner's alone, and holds nothing that was found: whoever looks finds what they may see at that time.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Self
from uuid import UUID

from covey_chassis.db import Base
from covey_chassis.errors import NotFound, Refusal
from covey_chassis.ids import new_id
from covey_chassis.paging import Order
from covey_contracts.transactions import TransactionKind, TransactionStatus
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from covey_transactions.domain.words import Day, SoughtText

SAVED_SEARCHES_MAX = 30
"""So many somebody has at a time."""


class SavedSearchNotFound(NotFound):
    """You have no saved search with this ID."""


class SearchNameTaken(Refusal):
    """You have a saved search with this name already."""


class TooManySavedSearches(Refusal):
    """You have as many saved searches as you can have: delete one first."""


class SortedBy(StrEnum):
    """What the history can be sorted by."""

    CREATED = "created"
    UPDATED = "updated"
    EFFECTIVE_DATE = "effective_date"
    STATUS = "status"
    GROUP = "group"


class Filters(BaseModel):
    """What one looks for in the history: all that is said has to fit. Days are the carrier's."""

    model_config = ConfigDict(frozen=True)

    status: Annotated[TransactionStatus | None, Field(description="Only those that stand so.")] = None
    kind: Annotated[TransactionKind | None, Field(description="Only those of this kind.")] = None
    group_id: Annotated[UUID | None, Field(description="Only this group's.")] = None
    group_number: Annotated[SoughtText | None, Field(description="Only the group's with this number.")] = None
    owner_id: Annotated[UUID | None, Field(description="Only those that this account opened.")] = None
    created_from: Annotated[Day | None, Field(description="Only those opened on this day or later.")] = None
    created_to: Annotated[Day | None, Field(description="Only those opened on this day or before.")] = None
    q: Annotated[SoughtText | None, Field(description="Any part of the group's name or number.")] = None


class Search(Filters):
    """Filters, and the order in which what fits is listed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sort: SortedBy = SortedBy.CREATED
    order: Order = Order.DESCENDING


class SavedSearch(Base, kw_only=True):
    """One of somebody's searches. Whoever changes one has locked all of theirs."""

    __tablename__ = "saved_search"

    id: Mapped[UUID] = mapped_column(primary_key=True, default_factory=new_id)
    account_id: Mapped[UUID]
    name: Mapped[str] = mapped_column(repr=False)
    stored: Mapped[dict[str, Any]] = mapped_column("search", JSONB, repr=False)
    is_default: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]

    @classmethod
    def keep(
        cls, account_id: UUID, name: str, search: Search, *, beside: Sequence["SavedSearch"], at: datetime
    ) -> Self:
        """Another one, beside those that its owner has.

        Raises:
            SearchNameTaken: one of them has the name, in whatever case.
            TooManySavedSearches: they are as many as there can be.
        """
        if any(each.name.casefold() == name.casefold() for each in beside):
            raise SearchNameTaken
        if len(beside) >= SAVED_SEARCHES_MAX:
            raise TooManySavedSearches(most=SAVED_SEARCHES_MAX)
        stored = search.model_dump(mode="json", exclude_none=True)
        return cls(account_id=account_id, name=name, stored=stored, created_at=at)

    @property
    def search(self) -> Search | None:
        """What is looked for; None where another version of the service has stored what this one does not know."""
        try:
            return Search.model_validate(self.stored)
        except ValidationError:
            return None
