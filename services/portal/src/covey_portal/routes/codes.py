"""Entering an access code (R-05)."""

import asyncio
from uuid import UUID

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from covey_portal.calling import Refused, To
from covey_portal.forms import Form
from covey_portal.languages import N_
from covey_portal.pages import page
from covey_portal.signed_on import Me

router = APIRouter(prefix="/access-code")

CODE = N_("Enter the access code")


@router.get("")
async def show_code(request: Request, me: Me) -> Response:
    return await page(request, "code.html", form=Form())


@router.post("")
async def enter_code(request: Request, me: Me) -> Response:
    """What is wrong with a code is told only to whom it was for; identity knows that, not this page."""
    form = await Form.read(request)
    if not form.lacks(code=CODE):
        try:
            redeemed = await me.ask(
                To.IDENTITY, "POST", "/v1/access-codes/redemption", json={"code": form["code"]}, headers=form.key
            )
        except Refused as refused:
            form.refuse(refused, {"code": CODE})
        else:
            return RedirectResponse(f"/access-code/entered/{redeemed.body['group_id']}", 303)
    return await page(request, "code.html", form=form)


@router.get("/entered/{group_id}")
async def show_entered(request: Request, me: Me, group_id: UUID) -> Response:
    group, account = await asyncio.gather(
        me.get(To.IDENTITY, f"/v1/access/groups/{group_id}"), me.get(To.IDENTITY, "/v1/account")
    )
    return await page(request, "code_entered.html", group=group, by_codes=account["proven_by_codes"])
