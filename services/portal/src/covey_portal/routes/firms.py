"""Brokerage firms and their people, for the carrier's staff (R-11)."""

from uuid import UUID

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from covey_portal.calling import Json, Refused, To
from covey_portal.forms import Form
from covey_portal.languages import N_
from covey_portal.pages import page
from covey_portal.signed_on import Me, SignedOn

router = APIRouter(prefix="/staff/firms")

USER_ID = {"user_id": N_("Enter the person's user ID")}
NO_SUCH_USER = N_("Nobody has this user ID. It is a letter and five digits")
SAID = {
    "joined": N_("They are a member of the firm now, and see its groups."),
    "left": N_("They are no member any more. In 8 seconds at most no part of our system shows them the firm's groups."),
}


@router.get("")
async def list_firms(request: Request, me: Me, firm_number: str = "", after: str | None = None, n: int = 1) -> Response:
    """By number; the carrier's book names them."""
    wanted = firm_number.strip()[:100]
    found = await me.get(To.IDENTITY, "/v1/firms", firm_number=wanted or None, after=after, limit=25)
    return await page(request, "staff_firms.html", form=Form.of(firm_number=wanted), found=found, number=n)


@router.get("/{firm_id}")
async def show_firm(request: Request, me: Me, firm_id: UUID, said: str = "", user_id: str = "") -> Response:
    return await _firm_page(request, me, firm_id, Form.of(user_id=user_id[:100]), said=SAID.get(said, ""))


@router.post("/{firm_id}/members/check")
async def find_person(request: Request, me: Me, firm_id: UUID) -> Response:
    """The first step: who it is. They are shown by name before anything is done."""
    form = await Form.read(request)
    if not form.lacks(**USER_ID):
        found: list[Json] = await me.get(To.IDENTITY, "/v1/accounts", user_id=form["user_id"][:100])
        if found:
            return await _check_page(request, me, firm_id, form, found[0])
        form.errors["user_id"] = NO_SUCH_USER
    return await _firm_page(request, me, firm_id, form)


@router.get("/{firm_id}/members/check")
async def begin_again(firm_id: UUID) -> Response:
    """Where the first step was sent to: whoever comes back here begins anew."""
    return RedirectResponse(f"/staff/firms/{firm_id}", 303)


@router.post("/{firm_id}/members")
async def add_member(request: Request, me: Me, firm_id: UUID) -> Response:
    form = await Form.read(request)
    body = {"account_id": form["account_id"], "rights": form.all("rights")}
    try:
        await me.ask(To.IDENTITY, "POST", f"/v1/firms/{firm_id}/members", json=body, headers=form.key)
    except Refused as refused:
        form.refuse(refused)
        return await _firm_page(request, me, firm_id, form)
    return RedirectResponse(f"/staff/firms/{firm_id}?said=joined", 303)


@router.get("/{firm_id}/members/{account_id}/removal")
async def ask_to_remove(request: Request, me: Me, firm_id: UUID, account_id: UUID) -> Response:
    firm, members = await _firm(me, firm_id)
    member = next((each for each in members if each["account_id"] == str(account_id)), None)
    if member is None:
        raise Refused(404, "firm-member-not-found", "")
    return await page(request, "staff_firm_removal.html", form=Form(), firm=firm, member=member)


@router.post("/{firm_id}/members/{account_id}/removal")
async def remove_member(request: Request, me: Me, firm_id: UUID, account_id: UUID) -> Response:
    form = await Form.read(request)
    try:
        await me.ask(To.IDENTITY, "DELETE", f"/v1/firms/{firm_id}/members/{account_id}", headers=form.key)
    except Refused as refused:
        form.refuse(refused)
        return await _firm_page(request, me, firm_id, form)
    return RedirectResponse(f"/staff/firms/{firm_id}?said=left", 303)


async def _firm(me: SignedOn, firm_id: UUID) -> tuple[Json, list[Json]]:
    """The firm, and its members by name."""
    firm: Json = await me.get(To.IDENTITY, f"/v1/firms/{firm_id}")
    members = await me.all(To.IDENTITY, f"/v1/firms/{firm_id}/members")
    return firm, sorted(members, key=lambda each: (each["last_name"].casefold(), each["first_name"].casefold()))


async def _firm_page(request: Request, me: SignedOn, firm_id: UUID, form: Form, *, said: str = "") -> Response:
    firm, members = await _firm(me, firm_id)
    return await page(request, "staff_firm.html", form=form, firm=firm, members=members, said=said)


async def _check_page(request: Request, me: SignedOn, firm_id: UUID, form: Form, person: Json) -> Response:
    firm = await me.get(To.IDENTITY, f"/v1/firms/{firm_id}")
    return await page(request, "staff_firm_check.html", form=form, firm=firm, person=person)
