"""One's own account: information, password, addresses, second factor, sessions (R-04, R-13)."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import segno
from fastapi import APIRouter, Request, Response
from markupsafe import Markup
from starlette.responses import RedirectResponse

from covey_portal.calling import Answer, Json, Refused, To
from covey_portal.complaints import CODE, EMAIL, INITIAL, NOT_A_NAME, PASSWORD, TOKEN, TOO_LONG
from covey_portal.forms import Form
from covey_portal.languages import LANGUAGES, N_, NAMES
from covey_portal.pages import LANGUAGE_COOKIE, page, site_of
from covey_portal.preferences import keep
from covey_portal.signed_on import Me, SignedOn

router = APIRouter(prefix="/account")

SAID: Mapping[str, str] = {
    "information": N_("Your information is changed."),
    "password": N_("Your password is changed. All of your other sessions have ended."),
    "proven": N_("The address is yours, and we write to you there from now on."),
    "chosen": N_("We write to you at this address from now on."),
    "taken-out": N_("The address is no longer yours."),
    "factor-off": N_("Your second factor is off."),
    "session-ended": N_("The session has ended."),
}
INFORMATION = {
    "first_name": N_("Enter your first name"),
    "last_name": N_("Enter your last name"),
    "company": N_("Enter your brokerage or company"),
}
NOT_SO = dict.fromkeys(("first_name", "last_name"), NOT_A_NAME) | {"company": TOO_LONG}
NEW_PASSWORD = N_("Choose a new password")


@router.get("")
async def show_account(request: Request, me: Me, said: str = "") -> Response:
    return await page(
        request,
        "account.html",
        account=await me.get(To.IDENTITY, "/v1/account"),
        factor=await me.get(To.IDENTITY, "/v1/account/second-factor"),
        said=SAID.get(said, ""),
        names=NAMES,
    )


def _done(what: str) -> Response:
    return RedirectResponse(f"/account?said={what}", 303)


async def _try(
    me: SignedOn, form: Form, method: str, path: str, body: Json, sentences: Mapping[str, str] | None = None
) -> Answer | None:
    """Do it; or None, with complaints in the form. Passwords and codes take no Idempotency-Key: each is counted."""
    try:
        return await me.ask(To.IDENTITY, method, f"/v1/account{path}", json=body)
    except Refused as refused:
        form.refuse(refused, sentences)
        return None


# --- information ---


@router.get("/information")
async def show_information(request: Request, me: Me) -> Response:
    found = await me.ask(To.IDENTITY, "GET", "/v1/account")
    return await _information(request, _as_known(found))


def _as_known(found: Answer) -> Form:
    names = ("first_name", "middle_initial", "last_name", "company", "market_region", "language")
    return Form.of(version=found.headers["etag"], **{name: found.body[name] for name in names})


async def _information(request: Request, form: Form) -> Response:
    regions = [(region.name, region.name) for region in site_of(request).regions]
    if form["market_region"] not in dict(regions):
        regions.insert(0, (form["market_region"], form["market_region"] or "–"))
    return await page(request, "account_information.html", form=form, regions=regions, names=list(NAMES.items()))


@router.post("/information")
async def change_information(request: Request, me: Me) -> Response:
    form = await Form.read(request)
    if me.who.staff:
        needed = {name: sentence for name, sentence in INFORMATION.items() if name != "company"}
    else:
        needed = INFORMATION
    if not form.lacks(**needed):
        body: Json = {name: form[name] for name in ("first_name", "middle_initial", "last_name", "language")}
        body |= {name: form[name] or None for name in ("company", "market_region")}  # null leaves it as it is
        headers = form.key | {"If-Match": form["version"]}
        try:
            await me.ask(To.IDENTITY, "PATCH", "/v1/account", json=body, headers=headers)
        except Refused as refused:
            if refused.code == "stale-version":
                form = _as_known(await me.ask(To.IDENTITY, "GET", "/v1/account"))
            form.refuse(refused, NOT_SO | {"middle_initial": INITIAL})
        else:
            response = _done("information")
            if form["language"] in LANGUAGES:
                keep(response, LANGUAGE_COOKIE, form["language"])
            return response
    return await _information(request, form)


# --- password ---


@router.get("/password")
async def show_password(request: Request, me: Me) -> Response:
    return await page(request, "account_password.html", form=Form())


@router.post("/password")
async def change_password(request: Request, me: Me) -> Response:
    form = await Form.read(request)
    if not form.lacks(password=PASSWORD, new_password=NEW_PASSWORD):
        body = {"password": form.raw("password"), "new_password": form.raw("new_password")}
        if await _try(me, form, "PUT", "/password", body):
            return _done("password")
    return await page(request, "account_password.html", form=form)


# --- addresses ---


@router.get("/addresses/new")
async def show_new_address(request: Request, me: Me) -> Response:
    return await page(request, "account_address.html", form=Form())


@router.post("/addresses/new")
async def add_address(request: Request, me: Me) -> Response:
    form = await Form.read(request)
    if not form.lacks(email=EMAIL, password=PASSWORD):
        body = {"email": form["email"], "password": form.raw("password")}
        if answer := await _try(me, form, "POST", "/addresses", body, {"email": EMAIL}):
            return await page(
                request,
                "mail_sent.html",
                email=form["email"],
                again="/account/addresses/new",
                hours=answer.body["valid_hours"],
                minutes=0,
            )
    return await page(request, "account_address.html", form=form)


@router.get("/addresses/verification")
async def show_proof(request: Request, me: Me, token: str = "") -> Response:
    return await page(request, "account_proof.html", form=Form.of(token=token))


@router.post("/addresses/verification")
async def prove_address(request: Request, me: Me) -> Response:
    form = await Form.read(request)
    if not form.lacks(token=TOKEN) and await _try(
        me, form, "POST", "/addresses/verification", {"token": form["token"]}
    ):
        return _done("proven")
    return await page(request, "account_proof.html", form=form)


@router.get("/addresses")
async def show_address(request: Request, me: Me, number: int = 0, act: str = "main") -> Response:
    """By its place among one's addresses: an address itself has no place in a link."""
    addresses = (await me.get(To.IDENTITY, "/v1/account"))["addresses"]
    if not 0 <= number < len(addresses):
        raise Refused(404, "address-not-found", "")
    return await page(request, "account_address_change.html", form=Form.of(email=addresses[number], act=act))


@router.post("/addresses")
async def change_address(request: Request, me: Me) -> Response:
    """Write to another one of them, or take one out."""
    form = await Form.read(request)
    if not form.lacks(password=PASSWORD):
        body = {"email": form["email"], "password": form.raw("password")}
        if form["act"] == "removal":
            if await _try(me, form, "POST", "/addresses/removal", body):
                return _done("taken-out")
        elif await _try(me, form, "PUT", "/addresses/main", body):
            return _done("chosen")
    return await page(request, "account_address_change.html", form=form)


# --- second factor ---


@router.get("/second-factor")
async def show_second_factor(request: Request, me: Me) -> Response:
    return await _factor(request, me, Form())


async def _factor(request: Request, me: SignedOn, form: Form) -> Response:
    factor = await me.get(To.IDENTITY, "/v1/account/second-factor")
    return await page(request, "second_factor.html", form=form, factor=factor)


@router.post("/second-factor")
async def begin_second_factor(request: Request, me: Me) -> Response:
    form = await Form.read(request)
    if not form.lacks(password=PASSWORD) and (
        answer := await _try(me, form, "POST", "/second-factor", {"password": form.raw("password")})
    ):
        return await _app_page(request, Form(), answer.body["secret"], answer.body["uri"])
    return await _factor(request, me, form)


async def _app_page(request: Request, form: Form, secret: str, uri: str) -> Response:
    """The secret goes back and forth with the form: nobody keeps it for the page."""
    code = Markup(segno.make(uri, micro=False).svg_data_uri(scale=4, border=2))  # noqa: S704 - made of our own image
    return await page(request, "second_factor_app.html", form=form, secret=secret, uri=uri, code=code)


@router.get("/second-factor/on")
async def show_second_factor_again() -> Response:
    """Where the app's page is sent to: whoever comes back here begins again."""
    return RedirectResponse("/account/second-factor", 303)


@router.post("/second-factor/on")
async def turn_on_second_factor(request: Request, me: Me) -> Response:
    form = await Form.read(request)
    if not form.lacks(code=CODE) and (
        answer := await _try(me, form, "POST", "/second-factor/on", {"code": form["code"]})
    ):
        return await _codes_page(request, answer)
    if not form["uri"].startswith("otpauth://") or len(form["uri"]) > 500:
        return RedirectResponse("/account/second-factor", 303)
    return await _app_page(request, form, form["secret"], form["uri"])


async def _codes_page(request: Request, answer: Answer) -> Response:
    return await page(request, "recovery_codes.html", codes=answer.body["recovery_codes"])


@router.get("/second-factor/off")
async def ask_to_turn_off(request: Request, me: Me) -> Response:
    return await _question(request, me, Form(), "off")


@router.get("/second-factor/recovery-codes")
async def ask_for_recovery_codes(request: Request, me: Me) -> Response:
    return await _question(request, me, Form(), "recovery-codes")


async def _question(request: Request, me: SignedOn, form: Form, act: str) -> Response:
    factor = await me.get(To.IDENTITY, "/v1/account/second-factor")
    if not factor["on_since"]:
        return await _factor(request, me, form) if form.problem else RedirectResponse("/account/second-factor", 303)
    return await page(request, "second_factor_change.html", form=form, act=act)


@router.post("/second-factor/off")
async def turn_off_second_factor(request: Request, me: Me) -> Response:
    form = await Form.read(request)
    if await _shown_both(me, form, "off"):
        return _done("factor-off")
    return await _question(request, me, form, "off")


@router.post("/second-factor/recovery-codes")
async def make_recovery_codes(request: Request, me: Me) -> Response:
    form = await Form.read(request)
    if answer := await _shown_both(me, form, "recovery-codes"):
        return await _codes_page(request, answer)
    return await _question(request, me, form, "recovery-codes")


async def _shown_both(me: SignedOn, form: Form, act: str) -> Answer | None:
    """Do it with password and code; or None, with complaints in the form."""
    if form.lacks(password=PASSWORD, code=CODE):
        return None
    return await _try(
        me, form, "POST", f"/second-factor/{act}", {"password": form.raw("password"), "code": form["code"]}
    )


# --- sessions ---


@router.get("/sessions")
async def list_sessions(request: Request, me: Me) -> Response:
    found = await me.all(To.IDENTITY, "/v1/sessions")
    found.sort(key=lambda each: (not each["is_current"], -datetime.fromisoformat(each["used_at"]).timestamp()))
    return await page(request, "sessions.html", found=found)


@router.get("/sessions/{session_id}/end")
async def ask_to_end_session(request: Request, me: Me, session_id: UUID) -> Response:
    sessions = await me.all(To.IDENTITY, "/v1/sessions")
    found = next((each for each in sessions if each["session_id"] == str(session_id)), None)
    if found is None:
        raise Refused(404, "session-not-found", "")
    return await page(request, "session_end.html", form=Form(), found=found)


@router.post("/sessions/{session_id}/end")
async def end_session(request: Request, me: Me, session_id: UUID) -> Response:
    form = await Form.read(request)
    await me.ask(To.IDENTITY, "DELETE", f"/v1/sessions/{session_id}", headers=form.key)
    return _done("session-ended")
