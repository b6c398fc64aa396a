"""A group's broker of record: which firm it is, and was; its primary appoints another, or ends the appointment (R-11)."""

from uuid import UUID

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from covey_portal.calling import Json, Refused, To
from covey_portal.forms import Form
from covey_portal.languages import N_
from covey_portal.pages import page
from covey_portal.routes.groups import WAIT, broker_of, manages, managing, name_of, own_of
from covey_portal.signed_on import Me, SignedOn

router = APIRouter(prefix="/groups/{group_id}/broker")

FIRM_NUMBER = {"firm_number": N_("Enter the firm's number with us")}
NO_SUCH_FIRM = N_("We know no firm by this number. Ask the firm for its number with us")
ALREADY = N_("This firm is the group's broker of record already")


@router.get("")
async def show_broker(request: Request, me: Me, group_id: UUID, firm_number: str = "") -> Response:
    """For whoever has access to the group; its primary can appoint."""
    return await _broker_page(request, me, group_id, Form.of(firm_number=firm_number[:100]))


@router.post("/firm")
async def find_firm(request: Request, me: Me, group_id: UUID) -> Response:
    """The first step: which firm it is. It is shown by its name before anything is done."""
    form = await Form.read(request)
    group = await managing(me, group_id)
    if not form.lacks(**FIRM_NUMBER):
        broker = await broker_of(me, group_id)
        found: list[Json] = await me.get(
            To.IDENTITY, f"/v1/groups/{group_id}/firms", firm_number=form["firm_number"][:100]
        )
        if not found:
            form.errors["firm_number"] = NO_SUCH_FIRM
        elif broker is not None and broker["firm_id"] == found[0]["id"]:
            form.errors["firm_number"] = ALREADY
        else:
            return await page(request, "broker_check.html", form=form, group=group, firm=found[0], former=broker)
    return await _broker_page(request, me, group_id, form)


@router.get("/firm")
async def begin_again(group_id: UUID) -> Response:
    """Where the first step was sent to: whoever comes back here begins anew."""
    return RedirectResponse(f"/groups/{group_id}/broker", 303)


@router.post("")
async def appoint(request: Request, me: Me, group_id: UUID) -> Response:
    """The second step: it is done. Then a page that says when it is true everywhere."""
    form = await Form.read(request)
    await managing(me, group_id)
    try:
        answer = await me.ask(
            To.IDENTITY,
            "POST",
            f"/v1/groups/{group_id}/appointments",
            json={"firm_id": form["firm_id"]},
            headers=form.key | WAIT,
        )
    except Refused as refused:
        form.refuse(refused)
        return await _broker_page(request, me, group_id, form)
    return RedirectResponse(f"/groups/{group_id}/changes/{answer.body['id']}", 303)


@router.get("/{appointment_id}/end")
async def ask_to_end(request: Request, me: Me, group_id: UUID, appointment_id: UUID) -> Response:
    await managing(me, group_id)
    broker = await broker_of(me, group_id)
    if broker is None or broker["id"] != str(appointment_id):
        raise Refused(404, "appointment-not-found", "")
    return await page(request, "broker_end.html", form=Form(), group_id=group_id, broker=broker)


@router.post("/{appointment_id}/end")
async def end(request: Request, me: Me, group_id: UUID, appointment_id: UUID) -> Response:
    form = await Form.read(request)
    await managing(me, group_id)
    path = f"/v1/groups/{group_id}/appointments/{appointment_id}"
    try:
        answer = await me.ask(To.IDENTITY, "DELETE", path, headers=form.key | WAIT)
    except Refused as refused:
        form.refuse(refused)
        return await _broker_page(request, me, group_id, form)
    return RedirectResponse(f"/groups/{group_id}/changes/{answer.body['id']}", 303)


async def _broker_page(request: Request, me: SignedOn, group_id: UUID, form: Form) -> Response:
    own = await own_of(me, group_id)
    appointments: list[Json] = await me.all(To.IDENTITY, f"/v1/groups/{group_id}/appointments")
    return await page(
        request,
        "broker.html",
        form=form,
        group_id=group_id,
        group=own,
        name=own["legal_name"] if own else await name_of(me, group_id),
        broker=next((each for each in appointments if each["ends_on"] is None), None),
        former=[each for each in appointments if each["ends_on"] is not None],
        manages=manages(own),
    )
