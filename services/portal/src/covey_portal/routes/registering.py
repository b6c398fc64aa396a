"""Registering, and what one has forgotten (R-03, R-04). No page tells whether an address has an account."""

from collections.abc import Mapping

from fastapi import APIRouter, Request, Response

from covey_portal.calling import Answer, Json, Refused, To
from covey_portal.complaints import EMAIL, INITIAL, NOT_A_NAME, TOKEN, TOO_LONG
from covey_portal.forms import Form
from covey_portal.languages import N_
from covey_portal.pages import language_of, page, site_of
from covey_portal.signed_on import services_of

router = APIRouter()

NEW_PASSWORD = N_("Choose a password")
REGISTERING: Mapping[str, str] = {
    "first_name": N_("Enter your first name"),
    "last_name": N_("Enter your last name"),
    "company": N_("Enter your brokerage or company"),
    "email": EMAIL,
    "terms_accepted": N_("Accept the terms to go on"),
}
OTHER_TERMS = N_("The terms have changed meanwhile. Read them, and accept them")


async def _ask(request: Request, form: Form, path: str, body: Json, sentences: Mapping[str, str]) -> Answer | None:
    try:
        return await services_of(request).ask(To.IDENTITY, "POST", path, json=body, headers=form.key)
    except Refused as refused:
        form.refuse(refused, sentences)
        return None


# --- registering ---


@router.get("/register")
async def show_registration(request: Request) -> Response:
    return await _registration(request, Form())


@router.post("/register")
async def register(request: Request) -> Response:
    form = await Form.read(request)
    if form["terms_version"] != site_of(request).terms_version:
        form.errors["terms_accepted"] = OTHER_TERMS
    if not form.lacks(**REGISTERING):
        wanted = ("market_region", "first_name", "last_name", "company", "email")
        body: Json = {
            **{name: form[name] for name in wanted},
            "middle_initial": form["middle_initial"] or None,
            "language": language_of(request),
            "terms_version": form["terms_version"],
            "terms_accepted": True,
        }
        names = dict.fromkeys(("first_name", "last_name"), NOT_A_NAME)
        sentences = {**REGISTERING, **names, "company": TOO_LONG, "middle_initial": INITIAL}
        if answer := await _ask(request, form, "/v1/registrations", body, sentences):
            return await _sent(request, form, "/register", hours=answer.body["valid_hours"])
    return await _registration(request, form)


async def _registration(request: Request, form: Form) -> Response:
    site = site_of(request)
    regions = [(region.name, region.name) for region in site.regions]
    return await page(
        request, "register.html", form=form, regions=regions, terms=site.terms, terms_version=site.terms_version
    )


@router.get("/register/verification")
async def show_verification(request: Request, token: str = "") -> Response:
    return await _password_page(request, Form.of(token=token), VERIFYING)


@router.post("/register/verification")
async def verify(request: Request) -> Response:
    form = await Form.read(request)
    if answer := await _password_chosen(request, form, "/v1/registrations/verification"):
        return await page(request, "registered.html", heading=REGISTERED, user_id=answer.body["user_id"], new=True)
    return await _password_page(request, form, VERIFYING)


VERIFYING = N_("Choose your password")
REGISTERED = N_("You are registered")
RESETTING = N_("Choose a new password")
RESET = N_("Your password is changed")


async def _password_chosen(request: Request, form: Form, path: str) -> Answer | None:
    """The token is used once; a password that is refused leaves it good."""
    if form.lacks(token=TOKEN, password=NEW_PASSWORD):
        return None
    return await _ask(request, form, path, {"token": form["token"], "password": form.raw("password")}, {})


async def _password_page(request: Request, form: Form, title: str) -> Response:
    return await page(request, "choose_password.html", form=form, heading=title)


async def _sent(request: Request, form: Form, again: str, *, hours: int = 0, minutes: int = 0) -> Response:
    return await page(request, "mail_sent.html", email=form["email"], again=again, hours=hours, minutes=minutes)


# --- forgotten ---

USER_ID_TITLE = N_("Forgotten user ID")
USER_ID_TEXT = N_("Enter an address that is yours with us. We send your user ID there.")
PASSWORD_TITLE = N_("Forgotten password")
PASSWORD_TEXT = N_("Enter an address that is yours with us. We send you what you need to choose another password.")


@router.get("/forgotten/user-id")
async def show_forgotten_user_id(request: Request) -> Response:
    return await page(request, "forgotten.html", form=Form(), heading=USER_ID_TITLE, text=USER_ID_TEXT)


@router.post("/forgotten/user-id")
async def send_user_id(request: Request) -> Response:
    form = await Form.read(request)
    if await _forgotten(request, form, "/v1/forgotten/user-id"):
        return await _sent(request, form, "/forgotten/user-id")
    return await page(request, "forgotten.html", form=form, heading=USER_ID_TITLE, text=USER_ID_TEXT)


@router.get("/forgotten/password")
async def show_forgotten_password(request: Request) -> Response:
    return await page(request, "forgotten.html", form=Form(), heading=PASSWORD_TITLE, text=PASSWORD_TEXT)


@router.post("/forgotten/password")
async def send_reset(request: Request) -> Response:
    form = await Form.read(request)
    if answer := await _forgotten(request, form, "/v1/forgotten/password"):
        return await _sent(request, form, "/forgotten/password", minutes=answer.body["valid_minutes"])
    return await page(request, "forgotten.html", form=form, heading=PASSWORD_TITLE, text=PASSWORD_TEXT)


@router.get("/forgotten/password/reset")
async def show_reset(request: Request, token: str = "") -> Response:
    return await _password_page(request, Form.of(token=token), RESETTING)


@router.post("/forgotten/password/reset")
async def reset(request: Request) -> Response:
    form = await Form.read(request)
    if answer := await _password_chosen(request, form, "/v1/forgotten/password/reset"):
        return await page(request, "registered.html", heading=RESET, user_id=answer.body["user_id"], new=False)
    return await _password_page(request, form, RESETTING)


async def _forgotten(request: Request, form: Form, path: str) -> Answer | None:
    if form.lacks(email=EMAIL):
        return None
    return await _ask(request, form, path, {"email": form["email"], "language": language_of(request)}, {"email": EMAIL})
