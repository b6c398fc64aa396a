"""The groups that somebody has access to, and who else has (R-06 to R-10, R-12)."""

import asyncio
import re
from datetime import date
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from covey_portal.calling import Answer, Away, Json, Refused, To
from covey_portal.complaints import EMAIL, NOT_A_DAY, NOT_A_NAME, NOT_A_PAST_DAY, NOT_THE_SAME
from covey_portal.forms import Form
from covey_portal.languages import LANGUAGES, N_
from covey_portal.navigation import APPROVING
from covey_portal.pages import language_of, page
from covey_portal.signed_on import Me, SignedOn
from covey_portal.words import AREAS, RIGHTS

router = APIRouter(prefix="/groups")

WAIT = {"Prefer": "wait=1"}
"""So long a page may take until a change is everywhere; a page that waits for longer says how far it is."""

NEW_USER = {
    "first_name": N_("Enter the person's first name"),
    "last_name": N_("Enter the person's last name"),
    "email": EMAIL,
}
NO_RIGHT = N_("Choose one right at least")
ALL_OR_SOME = N_("Choose all billing units, or only some of them")
NO_UNIT = N_("Choose one billing unit at least, or all of them")

SAID = {
    "changed": N_("The rights are changed, in every service."),
    "code-sent": N_("Another code is on its way. The one before does not work any more."),
    "firm-added": N_("The firm's members have these rights: in 8 seconds at most in every part of our system."),
    "readmitted": N_("What the firm holds is theirs again."),
}


# --- the groups ---


@router.get("")
async def list_groups(request: Request, me: Me, after: str | None = None, n: int = 1) -> Response:
    found = await me.get(To.IDENTITY, "/v1/access/groups", limit=20, after=after)
    return await page(request, "groups.html", found=found, number=n)


@router.get("/{group_id}")
async def show_group(request: Request, me: Me, group_id: UUID, said: str = "", added: UUID | None = None) -> Response:
    """The profile, what one may do there oneself; and for whoever manages access, everybody who has some."""
    own = await own_of(me, group_id)
    broker = await broker_of(me, group_id)
    managed = await _managed(me, group_id, own)
    profile, away = None, False
    try:
        profile = await theirs_or_none(me, To.MEMBERSHIP, f"/v1/groups/{group_id}")
    except Away:
        away = True  # to remove somebody must not wait for it
    if not (own or profile or managed):
        raise Refused(404, "group-not-found", "")
    found = next((each for each in (managed or {}).get("users", ()) if each["grant_id"] == str(added)), None)
    return await page(
        request,
        "group.html",
        group_id=group_id,
        own=own,
        profile=profile,
        away=away,
        managed=managed,
        broker=broker,
        names=_unit_names(profile),
        added=found,
        said=SAID.get(said, ""),
        manages=manages(own),
        approves=APPROVING in me.who.staff,
    )


def manages(own: Json | None) -> bool:
    """Whether somebody is the group's primary administrator."""
    return own is not None and "access.manage" in own["rights"]


async def name_of(me: SignedOn, group_id: UUID) -> str:
    """What a group is called, for the heading of a page; empty where that cannot be had: the page has more to say."""
    at = (To.MEMBERSHIP, f"/v1/groups/{group_id}") if me.who.staff else (To.IDENTITY, f"/v1/access/groups/{group_id}")
    try:
        return str((await me.get(*at))["legal_name"])
    except (Away, Refused):
        return ""


async def own_of(me: SignedOn, group_id: UUID) -> Json | None:
    """The group as whoever holds something there sees it, with what they hold; None where they hold nothing.

    For pages that anybody may read. Staff who hold nothing anywhere are not asked about: to be refused would stand in the
    audit, of what they did not do.
    """
    if me.who.staff and not me.who.has_groups:
        return None
    return await theirs_or_none(me, To.IDENTITY, f"/v1/access/groups/{group_id}")


async def theirs_or_none(me: SignedOn, to: To, path: str) -> Json | None:
    """What a service answers, or None where it is not for them to see."""
    try:
        found: Json = await me.get(to, path)
    except Refused as refused:
        if refused.status in (403, 404):
            return None
        raise
    return found


async def _managed(me: SignedOn, group_id: UUID, own: Json | None) -> Json | None:
    if not (manages(own) or APPROVING in me.who.staff):
        return None
    base = f"/v1/groups/{group_id}"
    users, people = await asyncio.gather(
        me.all(To.IDENTITY, f"{base}/users"), me.get(To.IDENTITY, f"{base}/firm-people")
    )
    return {"users": sorted(users, key=_by_name), "people": people}


async def broker_of(me: SignedOn, group_id: UUID) -> Json | None:
    """The group's broker of record: the latest of its appointments, if that one lasts."""
    found = await theirs_or_none(me, To.IDENTITY, f"/v1/groups/{group_id}/appointments?limit=1")
    return next((each for each in found["items"] if each["ends_on"] is None), None) if found else None


def _by_name(user: Json) -> tuple[Any, ...]:
    """The primary first, then people by name, then firms."""
    named = (user["last_name"] or "", user["first_name"] or "", user["firm_name"] or "")
    return (user["role"] != "primary", user["firm_id"] is not None, *(name.casefold() for name in named))


def _unit_names(profile: Json | None) -> dict[str, str]:
    units = profile["billing_units"] if profile else []
    return {each["code"]: f"{each['code']} {each['name']}" for each in units}


# --- adding a user, in two steps ---


@router.get("/{group_id}/users/new")
async def show_new_user(request: Request, me: Me, group_id: UUID) -> Response:
    return await page(
        request, "user_new.html", form=Form.of(language=language_of(request)), group=await managing(me, group_id)
    )


@router.post("/{group_id}/users/new")
async def take_new_user(request: Request, me: Me, group_id: UUID) -> Response:
    """The first step: who it is. Then what they may do; from there one may come back, with what was chosen."""
    form = await Form.read(request)
    group = await managing(me, group_id)
    form.lacks(**NEW_USER)
    if "email" not in form.errors and form["email"].casefold() != form["email_again"].casefold():
        form.errors["email_again"] = NOT_THE_SAME
    if form.bad or form["act"] == "change":
        return await page(request, "user_new.html", form=form, group=group)
    return await _rights_page(request, me, group_id, form, group)


@router.post("/{group_id}/users")
async def add_user(request: Request, me: Me, group_id: UUID) -> Response:
    """The second step: it is done."""
    form = await Form.read(request)
    group = await managing(me, group_id)
    chosen = _chosen(form)
    if chosen is not None:
        body = {
            **{name: form[name] for name in ("first_name", "last_name", "email")},
            "language": form["language"] if form["language"] in LANGUAGES else "en",
            **chosen,
        }
        try:
            added = await me.ask(To.IDENTITY, "POST", f"/v1/groups/{group_id}/users", json=body, headers=form.key)
        except Refused as refused:
            form.refuse(refused, NEW_USER | dict.fromkeys(("first_name", "last_name"), NOT_A_NAME))
            if form.errors.keys() & NEW_USER.keys():
                return await page(request, "user_new.html", form=form, group=group)
        else:
            return RedirectResponse(f"/groups/{group_id}?added={added.body['grant_id']}", 303)
    return await _rights_page(request, me, group_id, form, group)


async def _rights_page(request: Request, me: SignedOn, group_id: UUID, form: Form, group: Json) -> Response:
    return await page(request, "user_new_rights.html", form=form, group=group, **await _offer(me, group_id))


async def _offer(me: SignedOn, group_id: UUID) -> Json:
    """What a primary can give: all rights but to manage access, in the group's billing units."""
    profile = await me.get(To.MEMBERSHIP, f"/v1/groups/{group_id}")
    return {"areas": AREAS, "rights": RIGHTS, "units": profile["billing_units"]}


async def managing(me: SignedOn, group_id: UUID) -> Json:
    """The group, for whoever manages access there.

    Raises:
        Refused: they do not.
    """
    own = await theirs_or_none(me, To.IDENTITY, f"/v1/access/groups/{group_id}")
    if own is None or not manages(own):
        raise Refused(403, "not-yours", "")
    return own


def _chosen(form: Form) -> Json | None:
    """Rights and billing units; None with complaints where they are not complete."""
    rights = [right for right in form.all("rights") if right in RIGHTS]
    if not rights:
        form.errors["rights"] = NO_RIGHT
    which, units = form["which_units"], form.all("units")
    if which not in ("all", "some") or (which == "some") != bool(units):
        form.errors["units"] = NO_UNIT if which == "some" else ALL_OR_SOME
    if form.bad:
        return None
    return {"rights": sorted(set(rights)), "billing_units": None if which == "all" else units}


@router.get("/{group_id}/users")
async def show_users(group_id: UUID) -> Response:
    """Where the second step was sent to: whoever comes back here begins at the group."""
    return RedirectResponse(f"/groups/{group_id}", 303)


# --- changing and removing ---


@router.get("/{group_id}/users/{grant_id}/rights")
async def show_rights(request: Request, me: Me, group_id: UUID, grant_id: UUID) -> Response:
    group, found = await managing(me, group_id), await _user(me, group_id, grant_id)
    return await _change_page(request, me, group_id, _as_it_is(found), group, found.body)


@router.post("/{group_id}/users/{grant_id}/rights")
async def change_rights(request: Request, me: Me, group_id: UUID, grant_id: UUID) -> Response:
    form = await Form.read(request)
    group, found = await managing(me, group_id), await _user(me, group_id, grant_id)
    chosen = _chosen(form)
    if chosen is not None:
        try:
            answer = await me.ask(
                To.IDENTITY,
                "PUT",
                f"/v1/groups/{group_id}/users/{grant_id}/rights",
                json=chosen,
                headers=form.key | {"If-Match": form["version"], "Prefer": "wait=10"},
            )
        except Refused as refused:
            form = _as_it_is(found) if refused.code == "stale-version" else form
            form.refuse(refused)
        else:
            if change := answer.headers.get("location", "").rpartition("/")[2]:
                return RedirectResponse(f"/groups/{group_id}/changes/{change}", 303)
            return RedirectResponse(f"/groups/{group_id}?said=changed", 303)
    return await _change_page(request, me, group_id, form, group, found.body)


def _as_it_is(found: Answer) -> Form:
    units = found.body["billing_units"]
    return Form.of(
        rights=found.body["rights"],
        units=units or (),
        which_units="all" if units is None else "some",
        version=found.headers["etag"],
    )


async def _change_page(request: Request, me: SignedOn, group_id: UUID, form: Form, group: Json, user: Json) -> Response:
    return await page(request, "user_rights.html", form=form, group=group, user=user, **await _offer(me, group_id))


async def _user(me: SignedOn, group_id: UUID, grant_id: UUID) -> Answer:
    return await me.ask(To.IDENTITY, "GET", f"/v1/groups/{group_id}/users/{grant_id}")


@router.get("/{group_id}/users/{grant_id}/removal")
async def ask_to_remove(request: Request, me: Me, group_id: UUID, grant_id: UUID) -> Response:
    found = await _user(me, group_id, grant_id)
    return await _removal_page(request, group_id, Form(), found.body)


async def _removal_page(request: Request, group_id: UUID, form: Form, user: Json) -> Response:
    return await page(request, "user_removal.html", form=form, group_id=group_id, user=user)


@router.post("/{group_id}/users/{grant_id}/removal")
async def remove(request: Request, me: Me, group_id: UUID, grant_id: UUID) -> Response:
    """Then a page that says when it is true everywhere."""
    form = await Form.read(request)
    path = f"/v1/groups/{group_id}/users/{grant_id}"
    try:
        answer = await me.ask(To.IDENTITY, "DELETE", path, headers=form.key | WAIT)
    except Refused as refused:
        form.refuse(refused)
        return await _removal_page(request, group_id, form, (await _user(me, group_id, grant_id)).body)
    return RedirectResponse(f"/groups/{group_id}/changes/{answer.body['id']}", 303)


@router.get("/{group_id}/changes/{change_id}")
async def show_change(request: Request, me: Me, group_id: UUID, change_id: UUID) -> Response:
    """How far a change is; while it is on its way, the page asks again by itself, and nothing in it is replaced."""
    part = "hx-request" in request.headers
    try:
        change = await me.get(To.IDENTITY, f"/v1/access-changes/{change_id}")
    except Refused:
        if not part:
            raise
        return Response(status_code=204, headers={"HX-Redirect": "/groups"})
    if not part:
        name = await name_of(me, group_id)
        return await page(request, "change.html", change=change, group_id=group_id, name=name)
    if change["status"] == "pending":
        return Response(status_code=204)
    return await page(request, "change_progress.html", change=change)


@router.get("/{group_id}/users/{grant_id}/code")
async def ask_to_send_code(request: Request, me: Me, group_id: UUID, grant_id: UUID) -> Response:
    found = await _user(me, group_id, grant_id)
    return await page(request, "user_code.html", form=Form(), group_id=group_id, user=found.body)


@router.post("/{group_id}/users/{grant_id}/code")
async def send_code(request: Request, me: Me, group_id: UUID, grant_id: UUID) -> Response:
    form = await Form.read(request)
    await me.ask(To.IDENTITY, "POST", f"/v1/groups/{group_id}/users/{grant_id}/code", headers=form.key)
    return RedirectResponse(f"/groups/{group_id}?said=code-sent", 303)


# --- the broker's firm ---


@router.get("/{group_id}/firm")
async def show_firm_rights(request: Request, me: Me, group_id: UUID) -> Response:
    group = await managing(me, group_id)
    broker = await broker_of(me, group_id)
    if broker is None:
        raise Refused(409, "not-broker-of-record", "")
    return await _firm_page(request, me, group_id, Form.of(firm_id=broker["firm_id"]), group, broker)


@router.post("/{group_id}/firm")
async def give_firm_rights(request: Request, me: Me, group_id: UUID) -> Response:
    """The first step: what the firm shall have is shown once more. The second, ``act=give``: it is given.

    The firm that is shown gets it, or nobody: identity refuses one that is no longer the broker.
    """
    form = await Form.read(request)
    group = await managing(me, group_id)
    chosen, broker = _chosen(form), await broker_of(me, group_id)
    if broker is None or broker["firm_id"] != form["firm_id"]:
        broker = None  # another firm than the one that was shown has come meanwhile
    if chosen is not None and form["act"] == "give":
        body = {"firm_id": form["firm_id"], **chosen}
        try:
            await me.ask(To.IDENTITY, "POST", f"/v1/groups/{group_id}/firm-grants", json=body, headers=form.key)
        except Refused as refused:
            form.refuse(refused)
        else:
            return RedirectResponse(f"/groups/{group_id}?said=firm-added", 303)
    elif chosen is not None and broker is None:
        form.refuse(Refused(409, "not-broker-of-record", ""))
    elif chosen is not None and form["act"] != "change":
        offer = await _offer(me, group_id)
        names = {each["code"]: f"{each['code']} {each['name']}" for each in offer["units"]}
        return await page(
            request, "firm_rights_check.html", form=form, group=group, broker=broker, chosen=chosen, names=names
        )
    return await _firm_page(request, me, group_id, form, group, broker)


async def _firm_page(
    request: Request, me: SignedOn, group_id: UUID, form: Form, group: Json, broker: Json | None
) -> Response:
    return await page(request, "firm_rights.html", form=form, group=group, broker=broker, **await _offer(me, group_id))


@router.get("/{group_id}/exclusions/{account_id}")
async def ask_to_exclude(request: Request, me: Me, group_id: UUID, account_id: UUID) -> Response:
    return await page(
        request,
        "exclusion.html",
        form=Form(),
        group_id=group_id,
        person=await _firm_person(me, group_id, account_id),
    )


@router.post("/{group_id}/exclusions/{account_id}")
async def exclude(request: Request, me: Me, group_id: UUID, account_id: UUID) -> Response:
    """One person of the firm has nothing of what it holds; ``again=yes`` lets them in again."""
    form = await Form.read(request)
    person = await _firm_person(me, group_id, account_id)
    method = "DELETE" if form["again"] == "yes" else "POST"
    path = f"/v1/groups/{group_id}/exclusions/{account_id}"
    try:
        answer = await me.ask(To.IDENTITY, method, path, headers=form.key | WAIT)
    except Refused as refused:
        form.refuse(refused)
        return await page(request, "exclusion.html", form=form, group_id=group_id, person=person)
    if method == "DELETE":
        return RedirectResponse(f"/groups/{group_id}?said=readmitted", 303)
    return RedirectResponse(f"/groups/{group_id}/changes/{answer.body['id']}", 303)


async def _firm_person(me: SignedOn, group_id: UUID, account_id: UUID) -> Json:
    people: list[Json] = await me.get(To.IDENTITY, f"/v1/groups/{group_id}/firm-people")
    found = next((each for each in people if each["account_id"] == str(account_id)), None)
    if found is None:
        raise Refused(404, "user-not-found", "")
    return found


# --- who sees it, and what was done (R-12) ---

DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


@router.get("/{group_id}/seen-by")
async def show_seen_by(request: Request, me: Me, group_id: UUID, on: str = "") -> Response:
    """Now, or on a day."""
    form = Form.of(on=on)
    found: Json = {"items": [], "complete": True}
    if on and not _is_day(on):
        form.errors["on"] = NOT_A_DAY
    else:
        try:
            found = await me.get(To.IDENTITY, f"/v1/groups/{group_id}/seen-by", on=on or None)
        except Refused as refused:
            if refused.status != 422:
                raise
            form.errors["on"] = NOT_A_PAST_DAY
    name = await name_of(me, group_id)
    return await page(request, "seen_by.html", form=form, found=found, group_id=group_id, name=name, on=on)


def _is_day(text: str) -> bool:
    try:
        return bool(DAY.fullmatch(text) and date.fromisoformat(text))
    except ValueError:
        return False


@router.get("/{group_id}/history")
async def show_history(request: Request, me: Me, group_id: UUID, after: str | None = None, n: int = 1) -> Response:
    found = await me.get(To.IDENTITY, f"/v1/groups/{group_id}/audit", after=after, limit=50)
    name = await name_of(me, group_id)
    return await page(request, "history.html", found=found, group_id=group_id, name=name, number=n)
