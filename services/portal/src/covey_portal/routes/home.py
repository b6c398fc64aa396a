"""The home page, by who somebody is: broker, employer, the carrier's staff, or nobody yet (R-19)."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response

from covey_portal.calling import Away, Json, Refused, To
from covey_portal.forms import Form
from covey_portal.navigation import APPROVING
from covey_portal.pages import page
from covey_portal.routes.business import months_of
from covey_portal.routes.live import changes_after
from covey_portal.signed_on import Me, SignedOn

router = APIRouter()

FEW = 5


@router.get("/")
async def show_home(request: Request, me: Me) -> Response:
    """A part whose service does not answer says so; the others are there."""
    who = me.who
    groups, months, requests, (recent, asked, reviews) = await asyncio.gather(
        _part(me.get(To.IDENTITY, "/v1/access/groups", limit=FEW), wanted=who.has_groups),
        _part(months_of(me), wanted=who.sees_business),
        _part(me.get(To.IDENTITY, "/v1/access-requests", status="submitted", limit=FEW), wanted=APPROVING in who.staff),
        _transactions(me),
    )
    return await page(
        request,
        "home.html",
        groups=groups,
        months=months,
        asked=asked,
        recent=recent,
        requests=requests,
        reviews=reviews,
        changes=(recent or {}).get("changes", ""),
        form=Form(),
    )


async def _transactions(me: SignedOn) -> tuple[Json | None, Json | None, Json | None]:
    """The recent ones, what was sent back, and what is to be reviewed.

    The recent ones first: the page hears of what changes after them. And when they cannot be had, the others can't either.
    """
    who = me.who
    recent = await _part(_recent(me), wanted=who.sees_business)
    if recent is None or recent["away"]:
        return recent, None, None
    sent_back = me.get(To.TRANSACTIONS, "/v1/transactions", limit=FEW, status="action required")
    asked, reviews = await asyncio.gather(
        _part(sent_back, wanted=not who.staff),
        _part(me.get(To.TRANSACTIONS, "/v1/reviews", limit=FEW), wanted=who.reviews),
    )
    return recent, asked, reviews


async def _recent(me: SignedOn) -> Json:
    answer = await me.ask(To.TRANSACTIONS, "GET", "/v1/transactions", params={"limit": FEW})
    return {**answer.body, "changes": changes_after(answer)}


async def _part(question: Any, *, wanted: bool) -> dict[str, Any] | None:
    """What is shown there: ``away`` where it cannot be had right now; None where there is nothing to ask for."""
    if not wanted:
        question.close()
        return None
    try:
        return {"away": False, **await question}
    except (Away, Refused):
        return {"away": True, "items": [], "next": None}
