"""What was done, by whom, and from where: all of it, for the carrier's staff (R-12)."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from covey_portal.calling import Json, To
from covey_portal.forms import Form
from covey_portal.pages import page
from covey_portal.routes.firms import NO_SUCH_USER
from covey_portal.signed_on import Me

router = APIRouter(prefix="/staff/audit")


@router.get("")
async def show_audit(
    request: Request, me: Me, user_id: str = "", group: UUID | None = None, after: str | None = None, n: int = 1
) -> Response:
    """All entries, or those by or about one person, or in one group."""
    form = Form.of(user_id=user_id.strip()[:100])
    found: Json | None = None
    account_id: str | None = None
    if form["user_id"]:
        people: list[Json] = await me.get(To.IDENTITY, "/v1/accounts", user_id=form["user_id"])
        if people:
            account_id = people[0]["account_id"]
        else:
            form.errors["user_id"] = NO_SUCH_USER
    if not form.bad:
        group_id = str(group) if group else None
        found = await me.get(To.IDENTITY, "/v1/audit", account_id=account_id, group_id=group_id, after=after, limit=25)
    return await page(request, "staff_audit.html", form=form, found=found, group_id=group, number=n)
