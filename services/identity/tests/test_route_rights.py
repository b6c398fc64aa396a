"""Who may use which route of identity: each of them, for each kind of person, over HTTP."""

from dataclasses import dataclass
from uuid import UUID, uuid4

import httpx
import pytest
from covey_chassis.access import Right, StaffRight
from fastapi.routing import iter_route_contexts

from .accounts import Session, Somebody, client_of, command, session_of
from .conftest import SETTINGS
from .story import Person, Story

# Written by hand, never computed from the routes: this is the page to read and to review. Whoever may use a route gets
# as far as a 422 for a body with nothing in it, or a 404 for an ID that nothing has. Columns are set apart by two spaces
# or more. `staff` has all staff rights but those of the two columns after it; a session's token is asked for by
# POST /v1/tokens, and nobody's access token is one.
GRID = """
                                                      nobody  stranger  secondary  primary  elsewhere  broker  staff  approver  operations  operator  listener  ended  locked
GET /openapi.json                                     200     200       200        200      200        200     200    200       200         200       200       200    200
GET /docs                                             200     200       200        200      200        200     200    200       200         200       200       200    200
GET /livez                                            200     200       200        200      200        200     200    200       200         200       200       200    200
GET /readyz                                           200     200       200        200      200        200     200    200       200         200       200       200    200
GET /metrics                                          200     200       200        200      200        200     200    200       200         200       200       200    200
GET /.well-known/jwks.json                            200     200       200        200      200        200     200    200       200         200       200       200    200
POST /v1/registrations                                422     422       422        422      422        422     422    422       422         422       422       422    422
POST /v1/registrations/verification                   422     422       422        422      422        422     422    422       422         422       422       422    422
POST /v1/forgotten/user-id                            422     422       422        422      422        422     422    422       422         422       422       422    422
POST /v1/forgotten/password                           422     422       422        422      422        422     422    422       422         422       422       422    422
POST /v1/forgotten/password/reset                     422     422       422        422      422        422     422    422       422         422       422       422    422
POST /v1/sessions                                     422     422       422        422      422        422     422    422       422         422       422       422    422
POST /v1/sessions/second-factor                       422     422       422        422      422        422     422    422       422         422       422       422    422
POST /v1/sessions/passkey                             422     422       422        422      422        422     422    422       422         422       422       422    422
POST /v1/sessions/passkey/options                     200     200       200        200      200        200     200    200       200         200       200       200    200
POST /v1/tokens                                       401     401       401        401      401        401     401    401       401         401       401       401    401
POST /v1/client-tokens                                422     422       422        422      422        422     422    422       422         422       422       422    422
POST /v1/access-requests                              422     422       422        422      422        422     422    422       422         422       422       422    422
GET /v1/access-requests/{reference}                   404     404       404        404      404        404     404    404       404         404       404       404    404
GET /v1/sessions                                      401     200       200        200      200        200     200    200       200         401       401       401    403
DELETE /v1/sessions/{session_id}                      401     404       404        404      404        404     404    404       404         401       401       401    403
GET /v1/account                                       401     200       200        200      200        200     200    200       200         401       401       401    403
PATCH /v1/account                                     401     422       422        422      422        422     422    422       422         401       401       401    403
PUT /v1/account/password                              401     422       422        422      422        422     422    422       422         401       401       401    403
POST /v1/account/addresses                            401     422       422        422      422        422     422    422       422         401       401       401    403
POST /v1/account/addresses/verification               401     422       422        422      422        422     422    422       422         401       401       401    403
PUT /v1/account/addresses/main                        401     422       422        422      422        422     422    422       422         401       401       401    403
POST /v1/account/addresses/removal                    401     422       422        422      422        422     422    422       422         401       401       401    403
GET /v1/account/second-factor                         401     200       200        200      200        200     200    200       200         401       401       401    403
POST /v1/account/second-factor                        401     422       422        422      422        422     422    422       422         401       401       401    403
POST /v1/account/second-factor/on                     401     422       422        422      422        422     422    422       422         401       401       401    403
POST /v1/account/second-factor/off                    401     422       422        422      422        422     422    422       422         401       401       401    403
POST /v1/account/second-factor/recovery-codes         401     422       422        422      422        422     422    422       422         401       401       401    403
GET /v1/account/passkeys                              401     200       200        200      200        200     200    200       200         401       401       401    403
POST /v1/account/passkeys                             401     422       422        422      422        422     422    422       422         401       401       401    403
POST /v1/account/passkeys/options                     401     422       422        422      422        422     422    422       422         401       401       401    403
PUT /v1/account/passkeys/{passkey_id}/name            401     422       422        422      422        422     422    422       422         401       401       401    403
POST /v1/account/passkeys/{passkey_id}/removal        401     422       422        422      422        422     422    422       422         401       401       401    403
POST /v1/access-codes/redemption                      401     422       422        422      422        422     422    422       422         401       401       401    403
GET /v1/access                                        401     200       200        200      200        200     200    200       200         401       401       401    403
GET /v1/access/groups                                 401     200       200        200      200        200     200    200       200         401       401       401    403
GET /v1/access/groups/{group_id}                      401     403       200        200      403        200     403    403       403         401       401       401    403
GET /v1/access-changes/{change_id}                    401     404       404        404      404        404     404    404       404         401       401       401    403
GET /v1/groups/{group_id}/users                       401     403       403        200      403        403     403    200       403         401       401       401    403
GET /v1/groups/{group_id}/firm-people                 401     403       403        200      403        403     403    200       403         401       401       401    403
GET /v1/groups/{group_id}/users/{grant_id}            401     403       403        404      403        403     403    404       403         401       401       401    403
DELETE /v1/groups/{group_id}/users/{grant_id}         401     403       403        404      403        403     403    404       403         401       401       401    403
POST /v1/groups/{group_id}/users/{grant_id}/code      401     403       403        404      403        403     403    404       403         401       401       401    403
POST /v1/groups/{group_id}/users                      401     403       403        422      403        403     403    403       403         401       401       401    403
PUT /v1/groups/{group_id}/users/{grant_id}/rights     401     403       403        422      403        403     403    403       403         401       401       401    403
POST /v1/groups/{group_id}/firm-grants                401     403       403        422      403        403     403    403       403         401       401       401    403
POST /v1/groups/{group_id}/exclusions/{account_id}    401     403       403        404      403        403     403    403       403         401       401       401    403
DELETE /v1/groups/{group_id}/exclusions/{account_id}  401     403       403        404      403        403     403    403       403         401       401       401    403
GET /v1/groups/{group_id}/seen-by                     401     403       403        200      403        403     403    200       403         401       401       401    403
GET /v1/groups/{group_id}/audit                       401     403       403        200      403        403     403    200       403         401       401       401    403
GET /v1/groups/{group_id}/appointments                401     403       200        200      403        200     200    200       200         401       401       401    403
POST /v1/groups/{group_id}/appointments               401     403       403        422      403        403     403    403       403         401       401       401    403
DELETE /v1/groups/{group_id}/appointments/{appointment_id}  401  403    403        404      403        403     403    403       403         401       401       401    403
GET /v1/groups/{group_id}/firms                       401     403       403        422      403        403     403    403       403         401       401       401    403
GET /v1/groups/{group_id}/access/events               401     403       200        200      403        200     200    200       200         401       401       401    403
GET /v1/audit                                         401     403       403        403      403        403     403    200       403         401       401       401    403
GET /v1/access-requests                               401     403       403        403      403        403     403    200       403         401       401       401    403
POST /v1/access-requests/{reference}/approval         401     403       403        403      403        403     403    422       403         401       401       401    403
POST /v1/access-requests/{reference}/decline          401     403       403        403      403        403     403    422       403         401       401       401    403
GET /v1/access-requests/{reference}/form              401     403       403        403      403        403     403    404       403         401       401       401    403
GET /v1/firms                                         401     403       403        403      403        403     403    200       403         401       401       401    403
GET /v1/firms/{firm_id}                               401     403       403        403      403        403     403    404       403         401       401       401    403
GET /v1/firms/{firm_id}/members                       401     403       403        403      403        403     403    404       403         401       401       401    403
POST /v1/firms/{firm_id}/members                      401     403       403        403      403        403     403    422       403         401       401       401    403
DELETE /v1/firms/{firm_id}/members/{account_id}       401     403       403        403      403        403     403    404       403         401       401       401    403
GET /v1/accounts                                      401     403       403        403      403        403     403    422       403         401       401       401    403
POST /v1/accounts/{account_id}/lock                   401     403       403        403      403        403     403    404       403         401       401       401    403
POST /v1/accounts/{account_id}/unlock                 401     403       403        403      403        403     403    404       403         401       401       401    403
POST /v1/accounts/{account_id}/second-factor/removal  401     403       403        403      403        403     403    404       403         401       401       401    403
POST /v1/programs                                     401     403       403        403      403        403     403    403       422         401       401       401    403
POST /v1/programs/{account_id}/secret                 401     403       403        403      403        403     403    403       404         401       401       401    403
GET /v1/programs/{account_id}/keys                    401     403       403        403      403        403     403    403       404         401       401       401    403
POST /v1/programs/{account_id}/keys                   401     403       403        403      403        403     403    403       422         401       401       401    403
DELETE /v1/programs/{account_id}/keys/{key_id}        401     403       403        403      403        403     403    403       404         401       401       401    403
POST /internal/staff                                  401     401       401        401      401        401     401    401       401         422       401       401    401
GET /internal/staff                                   401     401       401        401      401        401     401    401       401         200       401       401    401
PUT /internal/staff/{account_id}                      401     401       401        401      401        401     401    401       401         422       401       401    401
DELETE /internal/staff/{account_id}                   401     401       401        401      401        401     401    401       401         404       401       401    401
GET /internal/access/listeners                        401     401       401        401      401        401     401    401       401         200       401       401    401
POST /internal/access/listeners/{name}/retirement     401     401       401        401      401        401     401    401       401         404       401       401    401
GET /internal/dead-letters                            401     401       401        401      401        401     401    401       401         200       401       401    401
GET /internal/dead-letters/{letter_id}                401     401       401        401      401        401     401    401       401         404       401       401    401
POST /internal/dead-letters/{letter_id}/retry         401     401       401        401      401        401     401    401       401         422       401       401    401
POST /internal/dead-letters/{letter_id}/discard       401     401       401        401      401        401     401    401       401         422       401       401    401
GET /internal/date                                    401     401       401        401      401        401     401    401       401         200       401       401    401
POST /internal/date                                   401     401       401        401      401        401     401    401       401         422       401       401    401
POST /internal/access/feed                            401     401       401        401      401        401     401    401       401         401       422       401    401
"""  # noqa: E501 - as wide as there are people

HEAD, *ROWS = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in GRID.strip().splitlines()]
EXPECTED = {row[0]: dict(zip(HEAD, map(int, row[1:]), strict=True)) for row in ROWS}
IDS = {"reference": "0" * 16, "name": "nobody"} | {
    name: str(uuid4())
    for name in (
        "session_id",
        "change_id",
        "grant_id",
        "account_id",
        "firm_id",
        "key_id",
        "letter_id",
        "passkey_id",
        "appointment_id",
    )
}


@dataclass(frozen=True)
class World:
    """A group, and everybody's client."""

    group_id: UUID
    clients: dict[str, httpx.AsyncClient]

    async def ask(self, route: str, who: str) -> httpx.Response:
        method, path = route.split()
        body = {} if method in ("POST", "PUT") else None
        address = path.format(group_id=self.group_id, **IDS)
        return await self.clients[who].request(method, address, json=body, headers=command(If_Match='"1"'))


@pytest.fixture
async def world(story: Story) -> World:
    covey = story.covey
    covey.context.stopping.set()  # a live answer says what it has to say, and ends
    group, other = await story.group(broker="F-1"), await story.group()
    primary, elsewhere = await story.primary(group), await story.primary(other)
    # A secondary holds all that can be given.
    secondary, _ = await story.secondary(primary, group, [right for right in Right if right is not Right.ACCESS_MANAGE])
    broker, stranger, locked = [await story.person(name) for name in ("Broker", "Stranger", "Locked")]
    await story.joins(broker, await story.firm("F-1"))
    # The two who may do nothing any more hold a right in the group.
    ending, _ = await story.secondary(primary, group)
    await story.secondary(primary, group, person=locked)
    await covey.api.post(f"/v1/accounts/{locked.account_id}/lock", headers=command())

    async def staff(*rights: StaffRight) -> httpx.AsyncClient:
        form = {"first_name": "Staff", "last_name": "Member", "email": f"{uuid4().hex}@carrier.example"}
        made = await covey.client(None).post(
            "/internal/staff", json=form | {"rights": list(rights)}, headers=covey.operator
        )
        return covey.client(UUID(made.json()["account_id"]))

    def bearer(secret: str) -> httpx.AsyncClient:
        client = covey.client(None)
        client.headers["Authorization"] = f"Bearer {secret}"
        return client

    special = {StaffRight.ACCESS_APPROVE, StaffRight.OPERATIONS}
    clients = {
        "nobody": covey.client(None),
        "stranger": stranger.api,
        "secondary": secondary.api,
        "primary": primary.api,
        "elsewhere": elsewhere.api,
        "broker": broker.api,
        "staff": await staff(*sorted(set(StaffRight) - special)),
        "approver": await staff(StaffRight.ACCESS_APPROVE),
        "operations": await staff(StaffRight.OPERATIONS),
        "operator": bearer(covey.operator["Authorization"].removeprefix("Bearer ")),
        "listener": bearer(SETTINGS["listener_credentials"]["membership"]),
        "ended": await ended_session(story, ending),
        "locked": locked.api,
    }
    return World(group, clients)


async def ended_session(story: Story, person: Person) -> httpx.AsyncClient:
    """A client whose access token is good still, but whose session is over."""
    who = Somebody(person.account_id, person.user_id, person.email, "quillfern-9-thistle")
    signed_on: Session = await session_of(story.covey, who)
    client = await client_of(story.covey, signed_on)
    assert (await client.delete("/v1/sessions/current")).status_code == 204
    return client


def routes_of(story: Story) -> set[str]:
    found = (each.original_route for each in iter_route_contexts(story.covey.app.routes))
    return {f"{method} {route.path}" for route in found for method in (route.methods or ()) if method != "HEAD"}


async def test_the_grid_shows_every_route(story: Story) -> None:
    assert set(EXPECTED) == routes_of(story)
    assert len(EXPECTED) == len(ROWS)


async def test_every_route_for_everybody(world: World) -> None:
    assert set(HEAD) == set(world.clients)

    found = {route: {who: (await world.ask(route, who)).status_code for who in HEAD} for route in EXPECTED}

    different = {
        f"{route} for {who}": f"{found[route][who]} instead of {wanted}"
        for route, row in EXPECTED.items()
        for who, wanted in row.items()
        if found[route][who] != wanted
    }
    assert different == {}


async def test_whoever_may_not_is_told_why_and_nothing_else(world: World) -> None:
    for route, row in EXPECTED.items():
        for who in [who for who, status in row.items() if status in (401, 403)]:
            answer = await world.ask(route, who)
            code = "account-locked" if who == "locked" else "not-yours"
            if answer.status_code == 403:
                assert answer.json()["code"] == code, (route, who)
            else:
                assert answer.headers["WWW-Authenticate"].startswith("Bearer"), (route, who)
            assert not {"ETag", "Location"} & {name.title() for name in answer.headers}
            assert answer.json()["errors"] == []


async def test_what_a_group_is_not_there_for_is_refused_as_what_is_not_yours(world: World) -> None:
    """Nobody finds out which groups there are."""
    elsewhere = World(uuid4(), world.clients)
    for route in [route for route in EXPECTED if "{group_id}" in route]:
        for who in ("stranger", "secondary", "primary", "elsewhere", "broker"):
            answer = await elsewhere.ask(route, who)
            assert (answer.status_code, answer.json()["code"]) == (403, "not-yours"), (route, who)
