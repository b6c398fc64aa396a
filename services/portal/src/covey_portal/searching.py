"""What one looks for among transactions: as an address says it, as a form does, and as it is saved."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlencode

from covey_portal.calling import Json, To
from covey_portal.signed_on import SignedOn
from covey_portal.words import TRANSACTION_STATUSES

IN_FIELDS = ("status", "group_number", "created_from", "created_to", "q")
"""The filters that the page has fields for."""
FILTERS = (*IN_FIELDS, "kind", "group_id", "owner_id")
"""And those of searches that programs save, and of addresses that are written by hand."""
SORTED_BY = ("group", "status", "effective_date", "created", "updated")
NEWEST = "-created"


@dataclass(frozen=True)
class Search:
    """Filters that are set, by their names, and the order: ``created``, or ``-created`` for the newest first."""

    filters: Mapping[str, str]
    sort: str = NEWEST

    @classmethod
    def read(cls, said: Callable[[str], str]) -> Self:
        """As an address or a form says it: ``said`` gives what is there under a name, empty when there is nothing."""
        filters = {name: value for name in FILTERS if (value := said(name).strip())}
        if filters.get("status") not in TRANSACTION_STATUSES:
            filters.pop("status", None)
        sort = said("sort")
        return cls(filters, sort if sort.removeprefix("-") in SORTED_BY else NEWEST)

    @classmethod
    def kept(cls, search: Json) -> Self:
        """As transactions keeps it."""
        filters = {name: str(search[name]) for name in FILTERS if search[name] is not None}
        return cls(filters, ("-" if search["order"] == "desc" else "") + search["sort"])

    @property
    def order(self) -> dict[str, str]:
        """The order, as transactions is asked for it."""
        return {"sort": self.sort.removeprefix("-"), "order": "desc" if self.sort.startswith("-") else "asc"}

    @property
    def query(self) -> str:
        """As an address says it; never empty."""
        return urlencode({**self.filters, "sort": self.sort})

    @property
    def address(self) -> str:
        """Whoever opens it looks for the same, and finds what they may see."""
        return f"/transactions?{self.query}"


EVERYTHING = Search({})


@dataclass(frozen=True)
class Saved:
    """A search that its owner has given a name."""

    id: str
    name: str
    search: Search
    is_default: bool


async def searches_of(me: SignedOn) -> list[Saved]:
    """One's own, by name."""
    found = await me.get(To.TRANSACTIONS, "/v1/saved-searches")
    return [
        Saved(each["saved_search_id"], each["name"], Search.kept(each["search"]), each["is_default"])
        for each in found["items"]
    ]
