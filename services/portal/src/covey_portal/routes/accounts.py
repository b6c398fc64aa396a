"""People's accounts, for the carrier's staff: locked, let in again, a second factor taken that was lost (R-04)."""

from collections.abc import Mapping
from typing import Literal

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from covey_portal.calling import Json, Refused, To
from covey_portal.forms import Form
from covey_portal.languages import N_
from covey_portal.pages import page
from covey_portal.signed_on import Me, SignedOn

router = APIRouter(prefix="/staff/accounts")

Act = Literal["lock", "unlock", "second-factor"]
AT: Mapping[Act, str] = {"lock": "lock", "unlock": "unlock", "second-factor": "second-factor/removal"}
NO_FACTOR = N_("This account has neither a second factor nor a passkey.")
SAID: Mapping[str, str] = {
    "lock": N_("The account is locked. All of its sessions have ended."),
    "unlock": N_("The account can be signed on with again."),
    "second-factor": N_("Their second factor and passkeys are gone, and all of their sessions have ended."),
}


@router.get("")
async def find_account(request: Request, me: Me, user_id: str = "", said: str = "") -> Response:
    """By its user ID: whoever calls says it."""
    wanted = user_id.strip()[:100]
    found = await _found(me, wanted or "-")  # who may not look is refused, whatever they look for
    return await page(
        request, "staff_accounts.html", form=Form.of(user_id=wanted), found=found, said=SAID.get(said, "")
    )


async def _found(me: SignedOn, user_id: str) -> Json | None:
    accounts: list[Json] = await me.get(To.IDENTITY, "/v1/accounts", user_id=user_id)
    return accounts[0] if accounts else None


async def _one(me: SignedOn, user_id: str) -> Json:
    found = await _found(me, user_id[:100])
    if found is None:
        raise Refused(404, "account-not-found", "")
    return found


@router.get("/{user_id}/{act}")
async def ask_to_change(request: Request, me: Me, user_id: str, act: Act) -> Response:
    return await page(request, "staff_account_change.html", found=await _one(me, user_id), act=act, form=Form())


@router.post("/{user_id}/{act}")
async def change_account(request: Request, me: Me, user_id: str, act: Act) -> Response:
    form = await Form.read(request)
    found = await _one(me, user_id)
    try:
        await me.ask(To.IDENTITY, "POST", f"/v1/accounts/{found['account_id']}/{AT[act]}", headers=form.key)
    except Refused as refused:
        form.refuse(refused)
        if refused.code == "second-factor-off":
            form.problem = NO_FACTOR
        return await page(request, "staff_account_change.html", found=found, act=act, form=form)
    return RedirectResponse(f"{router.prefix}?user_id={found['user_id']}&said={act}", 303)
