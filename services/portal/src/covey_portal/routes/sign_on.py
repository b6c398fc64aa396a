"""Signing on and off (R-04)."""

from covey_chassis.clock import Clock
from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse, RedirectResponse

from covey_portal.calling import Answer, Away, Refused, To
from covey_portal.complaints import CODE, PASSWORD
from covey_portal.forms import Form
from covey_portal.languages import LANGUAGES, N_
from covey_portal.pages import LANGUAGE_COOKIE, page
from covey_portal.preferences import keep
from covey_portal.refusals import sentence_of
from covey_portal.signed_on import (
    Me,
    SignedOn,
    SignOnNeeded,
    forget,
    local,
    remember,
    services_of,
    session_token_of,
)

router = APIRouter()

NOTES = {
    "signed-off": ("good", N_("You are signed off.")),
    "not-ended": (
        "heed",
        N_(
            "You are signed off in this browser, but the session itself could not be ended right now. It ends by itself"
            " when nothing is done in it for a while, as a rule 15 minutes. To be sure, sign on again and end it under"
            " Sessions."
        ),
    ),
    "ended": ("good", N_("Your session is over. What you had saved is there when you sign on again.")),
}
"""What is said first, and in which tone."""
USER_ID = N_("Enter your user ID")


@router.get("/sign-on")
async def show_sign_on(request: Request, next: str = "/", note: str = "") -> Response:  # noqa: A002 - as the address has it
    return await page(request, "sign_on.html", form=Form(), next=local(next), note=NOTES.get(note))


@router.post("/sign-on")
async def sign_on(request: Request) -> Response:
    form = await Form.read(request)
    onward = local(form["next"])
    if not form.lacks(user_id=USER_ID, password=PASSWORD):
        try:
            answer = await services_of(request).ask(
                To.IDENTITY,
                "POST",
                "/v1/sessions",
                json={"user_id": form["user_id"], "password": form.raw("password")},
            )
        except Refused as refused:
            form.refuse(refused)
        else:
            if answer.status == 202:
                return await _second_step(request, Form(), answer.body["challenge"], onward)
            return await _go_on(request, answer, onward)
    return await page(request, "sign_on.html", form=form, next=onward, note=None)


@router.post("/sign-on/second-factor")
async def show_second_factor(request: Request) -> Response:
    form = await Form.read(request)
    onward = local(form["next"])
    if not form.lacks(code=CODE):
        try:
            answer = await services_of(request).ask(
                To.IDENTITY,
                "POST",
                "/v1/sessions/second-factor",
                json={"challenge": form.raw("challenge"), "code": form["code"]},
            )
        except Refused as refused:
            if refused.code == "challenge-not-good":
                again = Form()
                again.problem = sentence_of(refused)
                return await page(request, "sign_on.html", form=again, next=onward, note=None)
            form.refuse(refused)
        else:
            return await _go_on(request, answer, onward)
    return await _second_step(request, form, form.raw("challenge"), onward)


async def _second_step(request: Request, form: Form, challenge: str, onward: str) -> Response:
    return await page(request, "second_step.html", form=form, challenge=challenge, next=onward)


async def _go_on(request: Request, answer: Answer, onward: str) -> Response:
    return await signed_on(request, answer, RedirectResponse(onward, 303))


async def signed_on(request: Request, answer: Answer, response: Response) -> Response:
    """From here on the language is the account's. A session that the browser had before is ended."""
    await _end_session(request)
    session_token = answer.body["session_token"]
    remember(response, session_token)
    me = await SignedOn.by(services_of(request), session_token)
    if me.who.language in LANGUAGES:
        keep(response, LANGUAGE_COOKIE, me.who.language)
    return response


@router.get("/sign-on/second-factor")
async def begin_again() -> Response:
    """The second step has no page without the first."""
    return RedirectResponse("/sign-on", 303)


@router.post("/sign-off")
async def sign_off(request: Request) -> Response:
    """The session is over for whoever has its token, or the page says that it is not; nothing stays in the browser."""
    ended = await _end_session(request)
    response = RedirectResponse(f"/sign-on?note={'signed-off' if ended else 'not-ended'}", 303)
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    forget(response)
    return response


async def _end_session(request: Request) -> bool:
    """Whether it is over, by this or before."""
    services = services_of(request)
    try:
        issued = await services.ask(To.IDENTITY, "POST", "/v1/tokens", bearer=session_token_of(request))
        await services.ask(To.IDENTITY, "DELETE", "/v1/sessions/current", bearer=issued.body["access_token"])
    except SignOnNeeded:
        return True
    except Refused as refused:
        return refused.status == 401
    except Away:
        return False
    return True


@router.post("/session/extension")
async def extend(request: Request, me: Me) -> Response:
    """Somebody wants to stay signed on: by coming here they have used the session."""
    if "text/html" in request.headers.get("accept", ""):
        return RedirectResponse("/", 303)
    now = Clock.now()
    left = {
        "idle": int((me.idle_ends_at - now).total_seconds()),
        "at_most": int((me.expires_at - now).total_seconds()),
    }
    return JSONResponse(left)
