"""Every route of the portal, for everybody, as the grid says: 303 leads to where one signs on, or on from there.

Each person asks about one group, in which the primary administrator, a user whom they added, and the broker hold something,
and the others nothing. A form is sent empty: whoever may gets as far as a 422, or a 404 for an ID that nothing has.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest
from covey_local.databases import connected
from covey_portal.app import create_app
from covey_portal.guard import HEADERS

from .people import PATIENCE_S, Platform, Visitor, address, firm_number
from .test_guard import routes, settings

GRID = """
                                                          nobody  primary  user  broker  stranger  elsewhere  staff
GET /                                                     303     200      200   200     200       200        200
GET /access-code                                          303     200      200   200     200       200        200
POST /access-code                                         303     422      422   422     422       422        422
GET /access-code/entered/{group_id}                       303     200      200   200     403       403        403
GET /access-request                                       200     200      200   200     200       200        200
POST /access-request                                      422     422      422   422     422       422        422
GET /access-request/check                                 303     303      303   303     303       303        303
POST /access-request/check                                422     422      422   422     422       422        422
GET /access-request/form.pdf                              200     200      200   200     200       200        200
GET /access-request/status                                200     200      200   200     200       200        200
GET /access-request/{reference}                           404     404      404   404     404       404        404
GET /access-request/{reference}/record.pdf                404     404      404   404     404       404        404
GET /account                                              303     200      200   200     200       200        200
GET /account/addresses                                    303     200      200   200     200       200        200
POST /account/addresses                                   303     422      422   422     422       422        422
GET /account/addresses/new                                303     200      200   200     200       200        200
POST /account/addresses/new                               303     422      422   422     422       422        422
GET /account/addresses/verification                       303     200      200   200     200       200        200
POST /account/addresses/verification                      303     422      422   422     422       422        422
GET /account/information                                  303     200      200   200     200       200        200
POST /account/information                                 303     422      422   422     422       422        422
GET /account/passkeys                                     303     200      200   200     200       200        200
POST /account/passkeys                                    303     422      422   422     422       422        422
POST /account/passkeys/options                            303     422      422   422     422       422        422
GET /account/passkeys/{passkey_id}/removal                303     404      404   404     404       404        404
POST /account/passkeys/{passkey_id}/removal               303     404      404   404     404       404        404
GET /account/password                                     303     200      200   200     200       200        200
POST /account/password                                    303     422      422   422     422       422        422
GET /account/second-factor                                303     200      200   200     200       200        200
POST /account/second-factor                               303     422      422   422     422       422        422
GET /account/second-factor/off                            303     303      303   303     303       303        303
POST /account/second-factor/off                           303     303      303   303     303       303        303
GET /account/second-factor/on                             303     303      303   303     303       303        303
POST /account/second-factor/on                            303     303      303   303     303       303        303
GET /account/second-factor/recovery-codes                 303     303      303   303     303       303        303
POST /account/second-factor/recovery-codes                303     303      303   303     303       303        303
GET /account/sessions                                     303     200      200   200     200       200        200
GET /account/sessions/{session_id}/end                    303     404      404   404     404       404        404
POST /account/sessions/{session_id}/end                   303     404      404   404     404       404        404
GET /book                                                 303     200      200   200     200       200        200
GET /forgotten/password                                   200     200      200   200     200       200        200
POST /forgotten/password                                  422     422      422   422     422       422        422
GET /forgotten/password/reset                             200     200      200   200     200       200        200
POST /forgotten/password/reset                            422     422      422   422     422       422        422
GET /forgotten/user-id                                    200     200      200   200     200       200        200
POST /forgotten/user-id                                   422     422      422   422     422       422        422
GET /groups                                               303     200      200   200     200       200        200
GET /groups/{group_id}                                    303     200      200   200     404       404        200
GET /groups/{group_id}/broker                             303     200      200   200     403       403        200
POST /groups/{group_id}/broker                            303     422      403   403     403       403        403
GET /groups/{group_id}/broker/firm                        303     303      303   303     303       303        303
POST /groups/{group_id}/broker/firm                       303     422      403   403     403       403        403
GET /groups/{group_id}/broker/{appointment_id}/end        303     404      403   403     403       403        403
POST /groups/{group_id}/broker/{appointment_id}/end       303     422      403   403     403       403        403
GET /groups/{group_id}/changes/{change_id}                303     404      404   404     404       404        404
GET /groups/{group_id}/exclusions/{account_id}            303     404      403   403     403       403        404
POST /groups/{group_id}/exclusions/{account_id}           303     404      403   403     403       403        404
GET /groups/{group_id}/firm                               303     200      403   403     403       403        403
POST /groups/{group_id}/firm                              303     422      403   403     403       403        403
GET /groups/{group_id}/history                            303     200      403   403     403       403        200
GET /groups/{group_id}/live                               200     200      200   200     200       200        200
GET /groups/{group_id}/renewals                           303     200      200   200     403       403        200
GET /groups/{group_id}/seen-by                            303     200      403   403     403       403        200
GET /groups/{group_id}/users                              303     303      303   303     303       303        303
POST /groups/{group_id}/users                             303     422      403   403     403       403        403
GET /groups/{group_id}/users/new                          303     200      403   403     403       403        403
POST /groups/{group_id}/users/new                         303     422      403   403     403       403        403
GET /groups/{group_id}/users/{grant_id}/code              303     404      403   403     403       403        404
POST /groups/{group_id}/users/{grant_id}/code             303     404      403   403     403       403        404
GET /groups/{group_id}/users/{grant_id}/removal           303     404      403   403     403       403        404
POST /groups/{group_id}/users/{grant_id}/removal          303     404      403   403     403       403        404
GET /groups/{group_id}/users/{grant_id}/rights            303     404      403   403     403       403        403
POST /groups/{group_id}/users/{grant_id}/rights           303     404      403   403     403       403        403
POST /language                                            303     303      303   303     303       303        303
GET /livez                                                200     200      200   200     200       200        200
GET /metrics                                              200     200      200   200     200       200        200
GET /readyz                                               200     200      200   200     200       200        200
GET /register                                             200     200      200   200     200       200        200
POST /register                                            422     422      422   422     422       422        422
GET /register/verification                                200     200      200   200     200       200        200
POST /register/verification                               422     422      422   422     422       422        422
GET /renewals                                             303     200      200   200     200       200        200
GET /renewals/{month}                                     303     200      200   200     200       200        200
POST /session/extension                                   303     200      200   200     200       200        200
POST /sign-off                                            303     303      303   303     303       303        303
GET /sign-on                                              200     200      200   200     200       200        200
POST /sign-on                                             422     422      422   422     422       422        422
POST /sign-on/passkey                                     422     422      422   422     422       422        422
POST /sign-on/passkey/options                             200     200      200   200     200       200        200
GET /sign-on/second-factor                                303     303      303   303     303       303        303
POST /sign-on/second-factor                               422     422      422   422     422       422        422
GET /staff/access-requests                                303     403      403   403     403       403        200
GET /staff/access-requests/{reference}                    303     403      403   403     403       403        404
POST /staff/access-requests/{reference}/approval          303     403      403   403     403       403        404
GET /staff/access-requests/{reference}/decline            303     403      403   403     403       403        404
POST /staff/access-requests/{reference}/decline           303     403      403   403     403       403        404
GET /staff/accounts                                       303     403      403   403     403       403        200
GET /staff/accounts/{user_id}/{act}                       303     403      403   403     403       403        404
POST /staff/accounts/{user_id}/{act}                      303     403      403   403     403       403        404
GET /staff/audit                                          303     403      403   403     403       403        200
GET /staff/firms                                          303     403      403   403     403       403        200
GET /staff/firms/{firm_id}                                303     403      403   403     403       403        404
POST /staff/firms/{firm_id}/members                       303     403      403   403     403       403        404
GET /staff/firms/{firm_id}/members/check                  303     303      303   303     303       303        303
POST /staff/firms/{firm_id}/members/check                 303     403      403   403     403       403        404
GET /staff/firms/{firm_id}/members/{account_id}/removal   303     403      403   403     403       403        404
POST /staff/firms/{firm_id}/members/{account_id}/removal  303     403      403   403     403       403        404
GET /staff/reviews                                        303     403      403   403     403       403        200
GET /staff/reviews/{transaction_id}                       303     403      403   403     403       403        404
GET /static/{name}                                        200     200      200   200     200       200        200
POST /theme                                               303     303      303   303     303       303        303
GET /transactions                                         303     200      200   200     200       200        200
GET /transactions/live                                    200     200      200   200     200       200        200
GET /transactions/searches                                303     200      200   200     200       200        200
GET /transactions/searches/new                            303     200      200   200     200       200        200
POST /transactions/searches/new                           303     422      422   422     422       422        422
POST /transactions/searches/{saved_search_id}/default     303     404      404   404     404       404        404
GET /transactions/searches/{saved_search_id}/deletion     303     404      404   404     404       404        404
POST /transactions/searches/{saved_search_id}/deletion    303     404      404   404     404       404        404
GET /transactions/{transaction_id}                        303     404      404   404     404       404        404
"""

HEAD, *ROWS = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in GRID.strip().splitlines()]
EXPECTED = {row[0]: dict(zip(HEAD, map(int, row[1:]), strict=True)) for row in ROWS}
PEOPLE = ("primary", "user", "broker", "stranger", "elsewhere", "staff")
KNOWN = {"reference": "0" * 16, "month": "2027-02", "name": "covey.css", "user_id": "nobody", "act": "lock"}
UNKNOWN = (
    *("saved_search_id", "passkey_id", "session_id", "appointment_id", "change_id"),
    *("account_id", "grant_id", "firm_id", "transaction_id"),
)
ENDS = "POST /sign-off"
UNDER_WAY = {
    *("audit_entry", "audit_waiting", "audit_link", "audit_anchor", "inbox", "outbox", "position", "attempt"),
    *("access_applier", "listener", "relay_lease"),
}
"""Tables of what goes on by itself, and of the audit: that somebody looks is written down."""
WHEN_USED = {"identity.account_session": "used_at"}
"""A session's: that it is used is what keeps it."""


@dataclass(frozen=True)
class World:
    """A group, and everybody's client, with the cookie of their session."""

    group_id: str
    clients: dict[str, httpx.AsyncClient]
    there: dict[str, str]
    """IDs of what is really there, by their names in paths."""

    async def ask(self, route: str, who: str, **ids: str) -> int:
        """With which status a route answers; what is endless is not read. IDs that are not named are of nothing."""
        method, path = route.split()
        named = {**KNOWN, **{name: uuid4() for name in UNKNOWN}, **ids}
        address = path.format(group_id=self.group_id, **named)
        async with self.clients[who].stream(method, address) as answer:
            found = {name: answer.headers.get(name) for name in HEADERS}
            found |= {"Cache-Control": HEADERS["Cache-Control"]} if path.startswith("/static/") else {}
            assert found == dict(HEADERS), f"{route} for {who}"
            return answer.status_code


@pytest.fixture
async def world(platform: Platform, visit) -> AsyncIterator[World]:
    number = firm_number()
    group, other = await platform.group(broker=number), await platform.group()
    people: dict[str, Visitor] = {name: await visit() for name in PEOPLE}
    await people["primary"].become_primary(group, address("prim"))
    await people["elsewhere"].become_primary(other, address("else"))
    email = address("user")
    await people["primary"].add_user(group, email, "Us", "Er")
    await people["user"].register_and_sign_on(email, "Us", "Er")
    await people["user"].fill(code=await platform.code(email, group["legal_name"]))
    await people["user"].press("main form[action='/access-code'] button")
    await platform.join(number, await people["broker"].register_and_sign_on(address("broker"), "Bro", "Ker"))
    await people["stranger"].register_and_sign_on(address("stranger"), "Stran", "Ger")
    await people["staff"].sign_on_as_staff()
    reference = await people["stranger"].ask_for_access(group, address("next"))
    cookies = {"nobody": {}} | {
        name: {"Cookie": f"__Host-covey={await who.session_token()}"} for name, who in people.items()
    }
    async with AsyncExitStack() as stack:
        clients = {
            name: await stack.enter_async_context(
                httpx.AsyncClient(
                    base_url=platform.portal, headers=cookie | {"Origin": platform.portal}, trust_env=False, timeout=30
                )
            )
            for name, cookie in cookies.items()
        }
        yield World(group["group_id"], clients, await _ids(platform, group, reference))


async def _ids(platform: Platform, group: dict[str, Any], reference: str) -> dict[str, str]:
    async with platform.api("identity") as api:
        users = (await api.get(f"/v1/groups/{group['group_id']}/users")).json()["items"]
        (appointment,) = (await api.get(f"/v1/groups/{group['group_id']}/appointments")).json()["items"]
        members = (await api.get(f"/v1/firms/{appointment['firm_id']}/members")).json()["items"]
    return {
        "grant_id": next(each["grant_id"] for each in users if each["role"] == "secondary"),
        "firm_id": appointment["firm_id"],
        "appointment_id": appointment["id"],
        "account_id": members[0]["account_id"],
        "reference": reference,
    }


def test_the_grid_has_a_row_for_each_route_of_the_portal() -> None:
    app = create_app(settings())

    served = [*routes(app, changing=False), *routes(app, changing=True)]
    assert EXPECTED.keys() == {f"{method} {path}" for method, path in served}


@pytest.mark.timeout(400)
async def test_every_route_answers_each_of_them_as_the_grid_says(world: World) -> None:
    order = [*sorted(EXPECTED.keys() - {ENDS}), ENDS]
    found = {route: {who: await world.ask(route, who) for who in world.clients} for route in order}

    assert found == EXPECTED


@pytest.mark.timeout(400)
async def test_a_page_that_is_looked_at_changes_nothing(platform: Platform, world: World) -> None:
    before, found = await settled(platform), set[int]()

    for route in EXPECTED:
        if route.startswith("GET "):
            for who in world.clients:
                found.add(await world.ask(route, who, **world.there))

    assert found == {200, 303, 403, 404}
    assert await settled(platform) == before


async def settled(platform: Platform) -> dict[str, str]:
    """What the tables hold once nothing is on its way any more from what was done before: three times the same."""
    deadline, now, alike = time.monotonic() + PATIENCE_S, await rows(platform), 0
    while alike < 2:
        await asyncio.sleep(1)
        before, now = now, await rows(platform)
        alike = alike + 1 if before == now else 0
        restless = sorted(name for name in now if now[name] != before.get(name))
        assert time.monotonic() < deadline, f"not at rest within {PATIENCE_S:.0f} s: {restless}"
    return now


async def rows(platform: Platform) -> dict[str, str]:
    """How many rows each table of each service has, and what is in them."""
    found: dict[str, str] = {}
    for service, url in platform.run["databases"].items():
        async with connected(url) as database:
            tables = await database.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
            for (table,) in tables:
                if table not in UNDER_WAY:
                    name = f"{service}.{table}"
                    found[name] = await database.fetchval(_CONTENT.format(table), WHEN_USED.get(name, ""))
    return found


_CONTENT = """
    SELECT concat_ws(' ', count(*), sum(hashtextextended(CAST(to_jsonb(each) - CAST($1 AS text) AS text), 0)))
      FROM "{}" AS each
"""
