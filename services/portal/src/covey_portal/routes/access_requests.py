"""The group officer's form, where it stands, and what staff do with it (R-01)."""

import re
from collections.abc import Mapping

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from covey_portal.calling import Refused, To
from covey_portal.complaints import EMAIL, NOT_A_NAME, NOT_THE_SAME, TOO_LONG
from covey_portal.forms import Form
from covey_portal.languages import N_
from covey_portal.pages import language_of, page, site_of
from covey_portal.printing import printable_form, printable_record
from covey_portal.signed_on import Me, services_of
from covey_portal.words import REQUEST_STATUSES

router = APIRouter(prefix="/access-request")
staff = APIRouter(prefix="/staff/access-requests")

FIELDS: Mapping[str, str] = {
    "group_number": N_("Enter the group's number"),
    "company": N_("Enter the group's legal name"),
    "officer_first_name": N_("Enter your first name"),
    "officer_last_name": N_("Enter your last name"),
    "officer_email": EMAIL,
    "first_name": N_("Enter the person's first name"),
    "last_name": N_("Enter the person's last name"),
    "email": EMAIL,
}
"""The form's fields, and what is said of one that is not as it should be."""

NAMES = ("officer_first_name", "officer_last_name", "first_name", "last_name")
NOT_SO = dict.fromkeys(NAMES, NOT_A_NAME) | {"company": TOO_LONG}
NO_SUCH_REFERENCE = N_("There is no request with this reference number. Check it, and try again.")
REASON = N_("Say why, for the officer to read")
TOO_LONG_A_REASON = N_("Say it in 500 characters at most")

IN_A_REFERENCE = re.compile(r"[^0-9A-Z]")


# --- the officer ---


@router.get("")
async def show_form(request: Request) -> Response:
    return await page(request, "request_form.html", form=Form())


@router.get("/check")
async def begin_again() -> Response:
    """There is nothing to check before the form is filled in."""
    return RedirectResponse("/access-request", 303)


@router.post("/check")
async def check(request: Request) -> Response:
    """What was typed, to be read once more before it is sent."""
    form = await Form.read(request)
    form.lacks(**FIELDS)
    if "email" not in form.errors and form["email"].casefold() != form["email_again"].casefold():
        form.errors["email_again"] = NOT_THE_SAME
    if form.bad or form["act"] == "change":
        return await page(request, "request_form.html", form=form)
    return await page(request, "request_check.html", form=form, fields=tuple(FIELDS))


@router.post("")
async def submit(request: Request) -> Response:
    form = await Form.read(request)
    body = {name: form[name] for name in FIELDS} | {"language": language_of(request)}
    try:
        taken = await services_of(request).ask(To.IDENTITY, "POST", "/v1/access-requests", json=body, headers=form.key)
    except Refused as refused:
        form.refuse(refused, {**FIELDS, **NOT_SO})
        return await page(request, "request_form.html", form=form)
    return RedirectResponse(f"/access-request/{taken.body['reference']}?sent=yes", 303)


@router.get("/form.pdf")
async def print_form(request: Request) -> Response:
    """The same form on paper: staff key it in."""
    document = await printable_form(request)
    return Response(
        document, media_type="application/pdf", headers={"Content-Disposition": 'inline; filename="form.pdf"'}
    )


@router.get("/status")
async def find_status(request: Request, reference: str = "") -> Response:
    """By the number that the officer was told."""
    form = Form.of(reference=reference)
    wanted = IN_A_REFERENCE.sub("", reference.upper())
    if reference:
        try:
            if len(wanted) == 16:
                await services_of(request).ask(To.IDENTITY, "GET", f"/v1/access-requests/{wanted}")
                return RedirectResponse(f"/access-request/{wanted}", 303)
        except Refused:
            pass
        form.errors["reference"] = NO_SUCH_REFERENCE
    return await page(request, "request_find.html", form=form)


@router.get("/{reference}/record.pdf")
async def print_record(request: Request, reference: str) -> Response:
    """To keep: the reference number, and where the request stands. Nothing of what the officer wrote."""
    found = await services_of(request).ask(To.IDENTITY, "GET", f"/v1/access-requests/{_plain(reference)}")
    document = await printable_record(request, found.body)
    headers = {"Content-Disposition": f'inline; filename="request-{_plain(reference)}.pdf"'}
    return Response(document, media_type="application/pdf", headers=headers)


@router.get("/{reference}")
async def show_status(request: Request, reference: str, sent: str = "") -> Response:
    found = await services_of(request).ask(To.IDENTITY, "GET", f"/v1/access-requests/{_plain(reference)}")
    return await page(
        request, "request_status.html", found=found.body, sent=sent == "yes", when=site_of(request).requests_decided
    )


def _plain(reference: str) -> str:
    """A reference as it stands in addresses. Refused: it cannot be one."""
    wanted = IN_A_REFERENCE.sub("", reference.upper())
    if len(wanted) != 16:
        raise Refused(404, "access-request-not-found", "")
    return wanted


# --- the carrier's staff ---


@staff.get("")
async def list_requests(
    request: Request, me: Me, status: str = "submitted", after: str | None = None, n: int = 1
) -> Response:
    status = status if status in REQUEST_STATUSES else "submitted"
    found = await me.get(To.IDENTITY, "/v1/access-requests", status=status, after=after, limit=25)
    return await page(request, "staff_requests.html", found=found, chosen=status, number=n)


@staff.get("/{reference}")
async def show_request(request: Request, me: Me, reference: str) -> Response:
    return await _decision_page(request, me, reference, Form())


async def _decision_page(request: Request, me: Me, reference: str, form: Form) -> Response:
    found = await me.get(To.IDENTITY, f"/v1/access-requests/{_plain(reference)}/form")
    return await page(request, "staff_request.html", found=found, form=form)


@staff.post("/{reference}/approval")
async def approve(request: Request, me: Me, reference: str) -> Response:
    """The group is the one that staff compared with the form, not whichever has its number when they press the button."""
    form = await Form.read(request)
    path = f"/v1/access-requests/{_plain(reference)}/approval"
    try:
        await me.ask(To.IDENTITY, "POST", path, json={"group_id": form["group_id"]}, headers=form.key)
    except Refused as refused:
        form.refuse(refused)
        return await _decision_page(request, me, reference, form)
    return RedirectResponse(f"/staff/access-requests/{reference}", 303)


@staff.get("/{reference}/decline")
async def ask_to_decline(request: Request, me: Me, reference: str) -> Response:
    return await _decline_page(request, me, reference, Form())


async def _decline_page(request: Request, me: Me, reference: str, form: Form) -> Response:
    found = await me.get(To.IDENTITY, f"/v1/access-requests/{_plain(reference)}/form")
    if found["status"] != "submitted" and not form.bad:
        return RedirectResponse(f"/staff/access-requests/{reference}", 303)
    return await page(request, "staff_request_decline.html", found=found, form=form)


@staff.post("/{reference}/decline")
async def decline(request: Request, me: Me, reference: str) -> Response:
    form = await Form.read(request)
    if not form.lacks(reason=REASON):
        path = f"/v1/access-requests/{_plain(reference)}/decline"
        try:
            await me.ask(To.IDENTITY, "POST", path, json={"reason": form["reason"]}, headers=form.key)
        except Refused as refused:
            form.refuse(refused, {"reason": TOO_LONG_A_REASON})
        else:
            return RedirectResponse(f"/staff/access-requests/{reference}", 303)
    return await _decline_page(request, me, reference, form)
