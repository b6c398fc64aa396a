"""Who may see, change and review which transactions: each route, for each kind of person."""

from dataclasses import dataclass
from uuid import UUID, uuid4

import httpx
import pytest
from covey_chassis.access import Right, StaffRight
from covey_chassis.access.facts import Fact, FactKind
from covey_chassis.ids import new_id
from sqlalchemy import text

from .story import command

# Drawn by hand, never computed from the routes: this is the page to read and to review. A list also says how many of the
# three groups' transactions it shows, of which one is under review; the one search that is saved is that of operations.
# Who is let in by a command is told by what else it is refused for: 412, because it is made on a version that there never
# was, or 409, because the transaction is over, or the name taken.
# Columns are set apart by two spaces or more.
GRID = """
                                                               nobody  rightless  elsewhere  other right  viewer  one unit  changer  changes one unit  firm   excluded  messages  approver  reviewer  operations  ended  locked
GET /v1/groups/{group_id}/transactions/{transaction_id}              401     403        403        403          200     200       200      200               200    403       403       403       200       200         401    403
POST /v1/groups/{group_id}/transactions                              401     403        403        403          403     403       409      403               403    403       403       403       403       403         401    403
PUT /v1/groups/{group_id}/transactions/{transaction_id}/draft        401     403        403        403          403     403       412      403               403    403       403       403       403       403         401    403
POST /v1/groups/{group_id}/transactions/{transaction_id}/submission  401     403        403        403          403     403       412      403               403    403       403       403       403       403         401    403
POST /v1/groups/{group_id}/transactions/{transaction_id}/withdrawal  401     403        403        403          403     403       409      403               403    403       403       403       403       403         401    403
GET /v1/groups/{group_id}/renewals/{renewal_id}/plans                401     403        403        403          200     200       200      200               200    403       403       403       200       200         401    403
GET /v1/transactions                                                 401     200:0      200:1      200:0        200:1   200:1     200:1    200:1             200:1  200:0     200:0     200:0     200:3     200:3       401    403
GET /v1/transactions/count                                           401     200:0      200:1      200:0        200:1   200:1     200:1    200:1             200:1  200:0     200:0     200:0     200:3     200:3       401    403
GET /v1/transactions/events                                          401     200        200        200          200     200       200      200               200    200       200       200       200       200         401    403
GET /v1/transactions/{transaction_id}                                401     404        404        404          200     200       200      200               200    404       404       404       200       200         401    403
GET /v1/saved-searches                                               401     200:0      200:0      200:0        200:0   200:0     200:0    200:0             200:0  200:0     200:0     200:0     200:0     200:1       401    403
POST /v1/saved-searches                                              401     201        201        201          201     201       201      201               201    201       201       201       201       409         401    403
PUT /v1/saved-searches/{saved_search_id}/default                     401     404        404        404          404     404       404      404               404    404       404       404       404       200         401    403
DELETE /v1/saved-searches/{saved_search_id}/default                  401     404        404        404          404     404       404      404               404    404       404       404       404       200         401    403
DELETE /v1/saved-searches/{saved_search_id}                          401     404        404        404          404     404       404      404               404    404       404       404       404       204         401    403
GET /v1/reviews                                                      401     403        403        403          403     403       403      403               403    403       403       403       200:1     403         401    403
GET /v1/reviews/{transaction_id}                                     401     403        403        403          403     403       403      403               403    403       403       403       200       403         401    403
POST /v1/reviews/{transaction_id}/claim                              401     403        403        403          403     403       403      403               403    403       403       403       409       403         401    403
DELETE /v1/reviews/{transaction_id}/claim                            401     403        403        403          403     403       403      403               403    403       403       403       409       403         401    403
POST /v1/reviews/{transaction_id}/return                             401     403        403        403          403     403       403      403               403    403       403       403       409       403         401    403
POST /v1/reviews/{transaction_id}/approval                           401     403        403        403          403     403       403      403               403    403       403       403       409       403         401    403
POST /v1/reviews/{transaction_id}/decline                            401     403        403        403          403     403       403      403               403    403       403       403       409       403         401    403
GET /v1/representatives                                              401     403        403        403          403     403       403      403               403    403       403       403       200:1     200:1       401    403
GET /v1/representatives/{representative_id}                          401     403        403        403          403     403       403      403               403    403       403       403       200       200         401    403
POST /v1/representatives                                             401     403        403        403          403     403       403      403               403    403       403       403       403       201         401    403
PUT /v1/representatives/{representative_id}                          401     403        403        403          403     403       403      403               403    403       403       403       403       412         401    403
"""  # noqa: E501 - as wide as there are people

HEAD, *ROWS = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in GRID.strip().splitlines()]
EXPECTED = {row[0]: dict(zip(HEAD, row[1:], strict=True)) for row in ROWS}

ROSA = {"name": "Rosa Diaz", "phone": "(555) 010-0100", "email": "rosa@carrier.example"}
SEARCH = {"name": "Sent back", "search": {"status": "action required"}}
OPERATIONS = new_id()
"""The account of operations: it saves a search before anybody asks."""


# --- three groups with a transaction each, and everybody ---


@dataclass(frozen=True)
class World:
    """Three groups. The first one's transaction is approved, and its renewal over; the third one's is under review."""

    mine: UUID
    other: UUID
    third: UUID
    renewal_id: UUID
    transaction_id: str
    other_transaction_id: str
    representative_id: str
    saved_search_id: str


@pytest.fixture
async def world(story) -> World:
    mine, other, third = [await story.begin(name) for name in ("Mine", "Other", "Third")]
    approved = await story.submitted(mine)
    await story.approved(approved.transaction_id)
    await story.renewal("Mine", "completed")
    saved = await story.saved(other)
    await story.submitted(third)
    rosa = await story.covey.api.post("/v1/representatives", json=ROSA, headers=command())
    return World(
        mine=mine.group_id,
        other=other.group_id,
        third=third.group_id,
        renewal_id=mine.renewal_id,
        transaction_id=approved.transaction_id,
        other_transaction_id=saved.transaction_id,
        representative_id=rosa.json()["representative_id"],
        saved_search_id=(await save_search(story.covey.client(OPERATIONS))).json()["saved_search_id"],
    )


async def save_search(client) -> httpx.Response:
    return await client.post("/v1/saved-searches", json=SEARCH, headers=command())


def grant(group_id, account_id, *rights, units=None):
    return Fact(
        kind=FactKind.GRANT,
        id=new_id(),
        group_id=group_id,
        account_id=account_id,
        rights=rights,
        billing_units=units,
        active=True,
    )


def staff(account_id, *rights):
    return Fact(kind=FactKind.STAFF, id=account_id, account_id=account_id, rights=rights, active=True)


async def everybody(covey, world: World) -> dict[str, httpx.AsyncClient]:
    """A client for each column of the grid."""
    ids = {name: new_id() for name in HEAD} | {"operations": OPERATIONS}
    ended, firm_id = new_id(), new_id()
    await covey.know(
        grant(world.other, ids["elsewhere"], *Right),
        grant(world.mine, ids["other right"], Right.MEMBERS_VIEW, Right.GROUP_UPDATE),
        grant(world.mine, ids["viewer"], Right.RENEWALS_VIEW),
        grant(world.mine, ids["one unit"], Right.RENEWALS_VIEW, units=("001",)),
        grant(world.mine, ids["changer"], Right.RENEWALS_VIEW, Right.RENEWALS_CHANGE),
        grant(world.mine, ids["changes one unit"], Right.RENEWALS_VIEW, Right.RENEWALS_CHANGE, units=("001",)),
        Fact(
            kind=FactKind.APPOINTMENT,
            id=new_id(),
            group_id=world.mine,
            firm_id=firm_id,
            rights=(Right.RENEWALS_VIEW,),
            active=True,
        ),
        *(
            Fact(kind=FactKind.MEMBERSHIP, id=new_id(), account_id=ids[name], firm_id=firm_id, active=True)
            for name in ("firm", "excluded")
        ),
        Fact(
            kind=FactKind.EXCLUSION,
            id=new_id(),
            group_id=world.mine,
            account_id=ids["excluded"],
            active=True,
        ),
        staff(ids["messages"], StaffRight.MESSAGES_MANAGE, StaffRight.CATALOGUE_MANAGE),
        staff(ids["approver"], StaffRight.ACCESS_APPROVE),
        staff(ids["reviewer"], StaffRight.REVIEW_DECIDE),
        staff(ids["operations"], StaffRight.OPERATIONS),
        # Who would have every right, but for what their column says.
        *(
            each
            for name in ("ended", "locked")
            for each in (grant(world.mine, ids[name], *Right), staff(ids[name], *StaffRight))
        ),
        Fact(kind=FactKind.SESSION, id=ended, account_id=ids["ended"], active=False),
        Fact(kind=FactKind.ACCOUNT, id=ids["locked"], account_id=ids["locked"], active=False),
    )
    clients = {name: covey.client(account_id) for name, account_id in ids.items()}
    return clients | {"nobody": covey.client(None), "ended": covey.client(ids["ended"], ended)}


async def ask(client, world, route) -> httpx.Response:
    """A request that is right in everything but, perhaps, who sends it, and what the grid's comment says."""
    method, _, template = route.partition(" ")
    path = template.format(
        group_id=world.mine,
        renewal_id=world.renewal_id,
        transaction_id=world.transaction_id,
        representative_id=world.representative_id,
        saved_search_id=world.saved_search_id,
    )
    if method == "GET":
        return await client.get(path)
    bodies = {
        "POST /v1/groups/{group_id}/transactions": {"renewal_id": str(world.renewal_id)},
        "PUT /v1/groups/{group_id}/transactions/{transaction_id}/draft": {},
        "POST /v1/reviews/{transaction_id}/return": {
            "round": 1,
            "instructions": "Do it.",
            "required_items": [],
            "representative_id": world.representative_id,
        },
        "POST /v1/reviews/{transaction_id}/approval": {"round": 1},
        "POST /v1/reviews/{transaction_id}/decline": {"round": 1, "reason": "Too small."},
        "POST /v1/representatives": ROSA,
        "POST /v1/saved-searches": SEARCH,
        "PUT /v1/representatives/{representative_id}": ROSA | {"active": True},
    }
    return await client.request(method, path, json=bodies.get(route), headers=command(If_Match='"0"'))


def shown(answer: httpx.Response, expected: str) -> str:
    """The status, and how many items there are where the grid says so."""
    if ":" not in expected or answer.status_code != 200:
        return str(answer.status_code)
    body = answer.json()
    return f"200:{body['count'] if 'count' in body else len(body['items'])}"


# --- each route, for each of them ---


def test_the_grid_has_a_row_for_each_route_of_the_service(covey):
    assert EXPECTED.keys() == covey.routes()


@pytest.mark.parametrize("route", EXPECTED)
async def test_every_route_answers_each_of_them_as_the_grid_says(covey, world, route):
    clients = await everybody(covey, world)
    covey.context.stopping.set()  # a stream that is let in ends at once

    found = {name: shown(await ask(clients[name], world, route), cell) for name, cell in EXPECTED[route].items()}

    assert found == EXPECTED[route]


async def test_without_a_lease_nobody_is_answered(covey, world):
    async with covey.transaction() as session:
        await session.execute(text("UPDATE access_applier SET authority = false"))

    answers = [await ask(covey.api, world, route) for route in EXPECTED]

    assert {(each.status_code, each.json()["code"]) for each in answers} == {(503, "access-unverified")}


# --- what is not there, and what is not yours ---


async def test_what_is_not_there_and_what_is_not_yours_answer_alike(covey, world):
    person = await covey.person({world.mine: list(Right)})

    def said(answer, asked_for):
        body = {name: value for name, value in answer.json().items() if name not in ("correlation_id", "instance")}
        return answer.status_code, str(body).replace(str(asked_for), "ID")

    async def answers(method, path, *ids, **more):
        return {said(await person.request(method, path.format(each), headers=command(), **more), each) for each in ids}

    both = (world.other_transaction_id, uuid4())
    in_group = await answers("GET", f"/v1/groups/{world.mine}/transactions/{{}}", *both)
    withdrawn = await answers("POST", f"/v1/groups/{world.mine}/transactions/{{}}/withdrawal", *both)
    by_id = await answers("GET", "/v1/transactions/{}", *both)
    groups = await answers("GET", f"/v1/groups/{{}}/transactions/{world.other_transaction_id}", world.other, uuid4())

    assert [status for status, _ in in_group] == [status for status, _ in withdrawn] == [404]
    assert [status for status, _ in by_id] == [404]
    assert [status for status, _ in groups] == [403]


async def test_staff_are_told_what_is_not_there(covey, world):
    paths = [f"groups/{world.mine}/transactions/{uuid4()}", f"transactions/{uuid4()}", f"reviews/{uuid4()}"]

    answers = [await covey.api.get(f"/v1/{path}") for path in paths]

    assert {(each.status_code, each.json()["code"]) for each in answers} == {(404, "transaction-not-found")}
