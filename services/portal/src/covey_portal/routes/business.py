"""Renewals and transactions, to be listed, opened and read (R-19, R-22, R-23, R-40, R-41)."""

import asyncio
from collections.abc import Mapping
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from covey_portal.calling import Away, Json, Refused, To
from covey_portal.complaints import FILTER_TOO_LONG, NOT_A_DAY
from covey_portal.forms import Form
from covey_portal.languages import N_
from covey_portal.pages import page
from covey_portal.routes.groups import name_of
from covey_portal.routes.live import changes_after
from covey_portal.searching import FILTERS, Saved, Search, searches_of
from covey_portal.signed_on import BACKGROUND, Me, SignedOn
from covey_portal.words import RENEWAL_STATUSES

router = APIRouter()

A_PAGE = 25
NOT_FOUND_SO = N_("These filters cannot be. Clear them, and try again.")
COMPLAINTS = dict.fromkeys(("q", "group_number"), FILTER_TOO_LONG) | dict.fromkeys(
    ("created_from", "created_to"), NOT_A_DAY
)


def _complain(form: Form, refused: Refused) -> None:
    """Of the filters that a service does not take. What was in the address beside them is nobody's field."""
    if refused.status != 422:
        raise refused
    form.refuse(refused, COMPLAINTS)
    if form.problem:
        form.problem = NOT_FOUND_SO


def _firm(me: SignedOn, wanted: str) -> str:
    """One of their firms, to see its groups alone; empty for all that they see."""
    return wanted if wanted in me.who.firm_numbers else ""


@router.get("/renewals")
async def list_months(request: Request, me: Me, firm: str = "") -> Response:
    months = await months_of(me, _firm(me, firm))
    return await page(request, "renewals.html", months=months, firm=_firm(me, firm))


async def months_of(me: SignedOn, firm: str = "") -> Json:
    """The renewals to review by month: without those of groups that are new to one of their firms (R-40)."""
    asked: Json = await me.get(
        To.RENEWALS, "/v1/renewals/months", firm_number=firm or None, not_new_to=me.who.firm_numbers
    )
    return asked


@router.get("/renewals/{month}")
async def list_renewals(
    request: Request, me: Me, month: str, firm: str = "", after: str | None = None, n: int = 1
) -> Response:
    found = await me.get(
        To.RENEWALS,
        "/v1/renewals",
        month=month,
        firm_number=_firm(me, firm) or None,
        not_new_to=me.who.firm_numbers,
        after=after,
        limit=A_PAGE,
    )
    return await page(
        request,
        "renewals_of_month.html",
        found=found,
        of=month,
        firm=_firm(me, firm),
        number=n,
        **_pages(request, found, n),
    )


@router.get("/book")
async def show_book(
    request: Request, me: Me, q: str = "", status: str = "", after: str | None = None, n: int = 1
) -> Response:
    form, found = Form.of(q=q, status=status), None
    try:
        found = await me.get(
            To.RENEWALS,
            "/v1/book",
            q=q.strip() or None,
            status=status if status in RENEWAL_STATUSES else None,
            after=after,
            limit=A_PAGE,
        )
    except Refused as refused:
        _complain(form, refused)
    return await page(
        request, "book.html", form=form, found=found or _NOTHING, number=n, **_pages(request, found or _NOTHING, n)
    )


_NOTHING: Json = {"items": [], "next": None}
_NONE: Json = {"count": 0, "more": False}


@router.get("/groups/{group_id}/renewals")
async def list_renewals_of_group(request: Request, me: Me, group_id: UUID) -> Response:
    found = await me.all(To.RENEWALS, f"/v1/groups/{group_id}/renewals")
    name = await name_of(me, group_id)
    return await page(request, "renewals_of_group.html", found=found, group_id=group_id, name=name)


SENT_BACK = {"status": "action required"}
SEARCH_SAVED = N_("The search was saved.")


@router.get("/transactions")
async def list_transactions(request: Request, me: Me, after: str | None = None, n: int = 1, said: str = "") -> Response:
    """All filters and the order are in the address: a list is a link. Without any, one's default search leads on."""
    search, known = Search.asked_by(request), await _saved_by(me)
    saved = known or []
    default = next((each.search for each in saved if each.is_default), None)
    if default and not request.query_params and BACKGROUND not in request.headers:
        return RedirectResponse(default.address, 303)
    form = Form.of(**{name: search.filters.get(name, "") for name in FILTERS})
    current = next((each for each in saved if each.search == search), None)
    found, asked, counted, changes = _NOTHING, _NOTHING, _NONE, ""
    try:
        listed = {"after": after, "limit": A_PAGE, **search.order, **search.filters}
        answer = await me.ask(To.TRANSACTIONS, "GET", "/v1/transactions", params=listed)
        found, changes = answer.body, changes_after(answer)
        count = me.get(To.TRANSACTIONS, "/v1/transactions/count", **search.filters)
        is_seen_first = search == default or not search.filters
        if not is_seen_first or search.filters == SENT_BACK or after is not None or me.who.staff:
            counted = await count
        else:
            sent_back = me.get(To.TRANSACTIONS, "/v1/transactions", limit=A_PAGE, **SENT_BACK)
            counted, asked = await asyncio.gather(count, sent_back)
    except Refused as refused:
        _complain(form, refused)
    return await page(
        request,
        "transactions.html",
        form=form,
        found=found,
        asked=asked,
        counted=counted,
        changes=changes,
        search=search,
        saved=saved,
        knows_default=known is not None,
        current=current,
        said=SEARCH_SAVED if said == "saved" and current else "",
        number=n,
        **_pages(request, found, n, search.pairs),
    )


async def _saved_by(me: SignedOn) -> list[Saved] | None:
    """Their saved searches; None where they cannot be had: the list is there without them."""
    try:
        return await searches_of(me)
    except (Away, Refused):
        return None


def _pages(request: Request, found: Json, number: int, kept: Mapping[str, str] | None = None) -> Json:
    """The addresses of the next page, empty on the last, and of the first.

    Both with what this one's address says besides, or with ``kept``.
    """
    pairs = dict(kept or {name: value for name, value in request.query_params.items() if name not in ("after", "n")})
    following = {**pairs, "after": found["next"], "n": number + 1}
    return {
        "more": f"{request.url.path}?{urlencode(following)}" if found["next"] else "",
        "first": f"{request.url.path}?{urlencode(pairs)}",
    }


@router.get("/transactions/{transaction_id}")
async def show_transaction(request: Request, me: Me, transaction_id: UUID) -> Response:
    answer = await me.ask(To.TRANSACTIONS, "GET", f"/v1/transactions/{transaction_id}")
    group_id = answer.body["group"]["group_id"]
    found = await me.get(To.TRANSACTIONS, f"/v1/groups/{group_id}/transactions/{transaction_id}")
    return await page(request, "transaction.html", found=found, changes=changes_after(answer))


# --- the carrier's reviewers ---


@router.get("/staff/reviews")
async def list_reviews(request: Request, me: Me, after: str | None = None, n: int = 1) -> Response:
    answer = await me.ask(To.TRANSACTIONS, "GET", "/v1/reviews", params={"after": after, "limit": A_PAGE})
    found, changes = answer.body, changes_after(answer)
    return await page(request, "reviews.html", found=found, changes=changes, number=n, **_pages(request, found, n))


@router.get("/staff/reviews/{transaction_id}")
async def show_review(request: Request, me: Me, transaction_id: UUID) -> Response:
    answer = await me.ask(To.TRANSACTIONS, "GET", f"/v1/reviews/{transaction_id}")
    return await page(request, "transaction.html", found=answer.body, changes=changes_after(answer))
