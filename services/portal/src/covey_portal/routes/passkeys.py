"""Passkeys (R-04): what the browser's authenticator and identity say to each other passes through here.

They need scripts: without them people sign on with their password. What a script asks for is answered in JSON, and what is
refused in a sentence of the reader's language. No page of another site gets here: see ``guard``.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse, RedirectResponse

from covey_portal.calling import Refused, To
from covey_portal.complaints import PASSWORD
from covey_portal.forms import Form
from covey_portal.languages import N_, sentence
from covey_portal.pages import language_of, page
from covey_portal.refusals import sentence_of
from covey_portal.routes.sign_on import signed_on
from covey_portal.signed_on import Me, SignedOn, local, services_of

router = APIRouter()

NAME = N_("Enter a name for it, such as Work laptop")
NAME_MAX = 60
SAID: Mapping[str, str] = {
    "added": N_("The passkey is yours: sign on with it from now on."),
    "removed": N_("The passkey is removed. All of your other sessions have ended."),
}


def _refusal(request: Request, refused: Refused) -> Response:
    said = NAME if "/name" in refused.fields else sentence_of(refused)
    return JSONResponse({"problem": sentence(said, language_of(request))}, refused.status)


async def _said(request: Request) -> dict[str, Any]:
    """What a script says; what cannot be read is as if nothing were said."""
    try:
        said = await request.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


# --- signing on ---


@router.post("/sign-on/passkey/options")
async def begin_sign_on(request: Request) -> Response:
    try:
        answer = await services_of(request).ask(To.IDENTITY, "POST", "/v1/sessions/passkey/options")
    except Refused as refused:
        return _refusal(request, refused)
    return JSONResponse(answer.body["options"])


@router.post("/sign-on/passkey")
async def finish_sign_on(request: Request) -> Response:
    said = await _said(request)
    try:
        answer = await services_of(request).ask(
            To.IDENTITY, "POST", "/v1/sessions/passkey", json={"credential": said.get("credential")}
        )
    except Refused as refused:
        return _refusal(request, refused)
    response = JSONResponse({"go": local(str(said.get("next", "/")))})
    return await signed_on(request, answer, response)


# --- one's own ---


@router.get("/account/passkeys")
async def list_passkeys(request: Request, me: Me, said: str = "") -> Response:
    return await _list_page(request, me, Form(), SAID.get(said, ""))


async def _list_page(request: Request, me: SignedOn, form: Form, said: str = "") -> Response:
    found = await me.get(To.IDENTITY, "/v1/account/passkeys")
    return await page(request, "passkeys.html", found=found, form=form, said=said)


@router.post("/account/passkeys/options")
async def begin_passkey(request: Request, me: Me) -> Response:
    """Its name is looked at before the authenticator makes a key, which would stay there if the name were refused then."""
    said = await _said(request)
    if not 1 <= len(str(said.get("name", "")).strip()) <= NAME_MAX:
        return JSONResponse({"problem": sentence(NAME, language_of(request))}, 422)
    try:
        answer = await me.ask(
            To.IDENTITY, "POST", "/v1/account/passkeys/options", json={"password": str(said.get("password", ""))}
        )
    except Refused as refused:
        return _refusal(request, refused)
    return JSONResponse(answer.body["options"])


@router.post("/account/passkeys")
async def add_passkey(request: Request, me: Me) -> Response:
    said = await _said(request)
    body = {"name": str(said.get("name", "")), "credential": said.get("credential")}
    try:
        await me.ask(To.IDENTITY, "POST", "/v1/account/passkeys", json=body, headers=Form().key)
    except Refused as refused:
        return _refusal(request, refused)
    return JSONResponse({"go": "/account/passkeys?said=added"})


@router.get("/account/passkeys/{passkey_id}/removal")
async def ask_to_remove(request: Request, me: Me, passkey_id: UUID) -> Response:
    return await _removal_page(request, me, passkey_id, Form())


async def _removal_page(request: Request, me: SignedOn, passkey_id: UUID, form: Form) -> Response:
    found = await me.get(To.IDENTITY, "/v1/account/passkeys")
    passkey = next((each for each in found["items"] if each["passkey_id"] == str(passkey_id)), None)
    if passkey is None:
        raise Refused(404, "passkey-not-found", "")
    return await page(request, "passkey_removal.html", passkey=passkey, form=form)


@router.post("/account/passkeys/{passkey_id}/removal")
async def remove_passkey(request: Request, me: Me, passkey_id: UUID) -> Response:
    form = await Form.read(request)
    if not form.lacks(password=PASSWORD):
        path = f"/v1/account/passkeys/{passkey_id}/removal"
        try:
            await me.ask(To.IDENTITY, "POST", path, json={"password": form.raw("password")})
        except Refused as refused:
            form.refuse(refused)
        else:
            return RedirectResponse("/account/passkeys?said=removed", 303)
    return await _removal_page(request, me, passkey_id, form)
