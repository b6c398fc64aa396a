"""Searches that one saves to look for the same again (page point 11 of the list of transactions)."""

from collections.abc import Mapping
from uuid import UUID

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from covey_portal.calling import Refused, To
from covey_portal.forms import Form
from covey_portal.languages import N_
from covey_portal.pages import page
from covey_portal.refusals import sentence_of
from covey_portal.searching import EVERYTHING, Search, searches_of
from covey_portal.signed_on import Me, SignedOn

router = APIRouter(prefix="/transactions/searches")

NAME = N_("Enter a name of 60 characters at most, such as Sent back in May")
NAME_TAKEN = "search-name-taken"
SAID: Mapping[str, str] = {
    "default": N_("It is what you see first from now on."),
    "no-default": N_("You see all transactions first from now on."),
    "deleted": N_("The search was deleted."),
}


@router.get("")
async def list_searches(request: Request, me: Me, said: str = "") -> Response:
    return await _list_page(request, me, Form(), SAID.get(said, ""))


async def _list_page(request: Request, me: SignedOn, form: Form, said: str = "", *, status: int = 200) -> Response:
    return await page(request, "searches.html", status=status, saved=await searches_of(me), form=form, said=said)


def _done(what: str) -> Response:
    return RedirectResponse(f"{router.prefix}?said={what}", 303)


# --- to save one ---


@router.get("/new")
async def ask_for_name(request: Request, me: Me) -> Response:
    """Only what can be looked for is saved: of what cannot, the list says why."""
    search = Search.asked_by(request)
    try:
        return await _name_page(request, me, Form(), search)
    except Refused as refused:
        if refused.status != 422:
            raise
        return RedirectResponse(search.address, 303)


async def _name_page(request: Request, me: SignedOn, form: Form, search: Search) -> Response:
    counted = await me.get(To.TRANSACTIONS, "/v1/transactions/count", **search.filters)
    return await page(request, "search_new.html", form=form, search=search, counted=counted)


@router.post("/new")
async def save_search(request: Request, me: Me) -> Response:
    form = await Form.read(request)
    search = Search.read(form.__getitem__)
    if not form.lacks(name=NAME):
        said = {"name": form["name"], "search": {**search.filters, **search.order}, "is_default": form.has("default")}
        try:
            answer = await me.ask(To.TRANSACTIONS, "POST", "/v1/saved-searches", json=said, headers=form.key)
        except Refused as refused:
            if refused.code == NAME_TAKEN:
                form.errors["name"] = sentence_of(refused)
            form.refuse(refused, {"name": NAME})
        else:
            kept = Search.kept(answer.body["search"]) or EVERYTHING
            return RedirectResponse(f"{kept.address}&said=saved", 303)
    return await _name_page(request, me, form, search)


# --- what becomes of one ---


@router.post("/{saved_search_id}/default")
async def choose_default(request: Request, me: Me, saved_search_id: UUID) -> Response:
    form = await Form.read(request)
    wanted = form["wanted"] == "yes"
    path = f"/v1/saved-searches/{saved_search_id}/default"
    try:
        await me.ask(To.TRANSACTIONS, "PUT" if wanted else "DELETE", path, headers=form.key)
    except Refused as refused:
        form.refuse(refused)
        return await _list_page(request, me, form, status=refused.status)
    return _done("default" if wanted else "no-default")


@router.get("/{saved_search_id}/deletion")
async def ask_to_delete(request: Request, me: Me, saved_search_id: UUID) -> Response:
    found = next((each for each in await searches_of(me) if each.id == str(saved_search_id)), None)
    if found is None:
        raise Refused(404, "saved-search-not-found", "")
    return await page(request, "search_deletion.html", saved=found, form=Form())


@router.post("/{saved_search_id}/deletion")
async def delete_search(request: Request, me: Me, saved_search_id: UUID) -> Response:
    form = await Form.read(request)
    try:
        await me.ask(To.TRANSACTIONS, "DELETE", f"/v1/saved-searches/{saved_search_id}", headers=form.key)
    except Refused as refused:
        form.refuse(refused)
        return await _list_page(request, me, form, status=refused.status)
    return _done("deleted")
