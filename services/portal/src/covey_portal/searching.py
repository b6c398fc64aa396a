"""What one looks for among transactions: as an address says it, as a form does, and as it is saved."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlencode

from starlette.requests import Request

from covey_portal.calling import Json, To
from covey_portal.signed_on import SignedOn
from covey_portal.words import SORTED_BY, TRANSACTION_STATUSES

FILTERS = ("status", "group_number", "created_from", "created_to", "q")
"""Those that the page has fields for. Programs may save others."""
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
        sort = said("sort")
        return cls(filters, sort if sort.removeprefix("-") in SORTED_BY else NEWEST)

    @classmethod
    def asked_by(cls, request: Request) -> Self:
        """As the address of the page says it."""
        return cls.read(lambda name: request.query_params.get(name, ""))

    @classmethod
    def kept(cls, search: Json | None) -> Self | None:
        """As transactions keeps it; None where these pages have no fields or no words for it."""
        if search is None:
            return None
        wanted = {name: value for name, value in search.items() if value is not None}
        sort, descending = wanted.pop("sort"), wanted.pop("order") == "desc"
        if wanted.keys() - FILTERS or sort not in SORTED_BY:
            return None
        if wanted.get("status", "open") not in TRANSACTION_STATUSES:
            return None
        return cls(wanted, f"-{sort}" if descending else sort)

    @property
    def order(self) -> dict[str, str]:
        """The order, as transactions is asked for it."""
        return {"sort": self.sort.removeprefix("-"), "order": "desc" if self.sort.startswith("-") else "asc"}

    @property
    def pairs(self) -> dict[str, str]:
        """As an address says it; never empty."""
        return {**self.filters, "sort": self.sort}

    @property
    def address(self) -> str:
        """Whoever opens it looks for the same, and finds what they may see."""
        return f"/transactions?{urlencode(self.pairs)}"


EVERYTHING = Search({})


@dataclass(frozen=True)
class Saved:
    """A search that its owner has given a name; without ``search`` it cannot be looked for here."""

    id: str
    name: str
    search: Search | None
    is_default: bool


async def searches_of(me: SignedOn) -> list[Saved]:
    """One's own, by name.

    Raises:
        Refused: of transactions.
        Away: it does not answer.
    """
    found = await me.get(To.TRANSACTIONS, "/v1/saved-searches")
    return [
        Saved(each["saved_search_id"], each["name"], Search.kept(each["search"]), each["is_default"])
        for each in found["items"]
    ]
