"""Who may see which renewals: each route, for each kind of person."""

from dataclasses import dataclass
from datetime import date
from uuid import UUID, uuid4

import httpx
import pytest
from covey_chassis.access import Right, StaffRight
from covey_chassis.access.facts import Fact, FactKind
from covey_chassis.ids import new_id
from sqlalchemy import text

TODAY = date(2100, 3, 1)

# Drawn by hand, never computed from the routes: this is the page to read and to review. A list also says how many of the
# three groups (or their renewals) it shows. Columns are set apart by two spaces or more.
GRID = """
                                    nobody  rightless  elsewhere  other right  viewer  one unit  changer  firm   excluded  messages  approver  reviewer  operations  ended  locked
GET /v1/renewals/months             401     200:0      200:1      200:0        200:1   200:1     200:1    200:1  200:0     200:0     200:0     200:3     200:3       401    403
GET /v1/renewals                    401     200:0      200:1      200:0        200:1   200:1     200:1    200:1  200:0     200:0     200:0     200:3     200:3       401    403
GET /v1/renewals/{renewal_id}       401     404        404        404          200     200       200      200    404       404       404       200       200         401    403
GET /v1/groups/{group_id}/renewals  401     403        403        403          200:1   200:1     200:1    200:1  403       403       403       200:1     200:1       401    403
GET /v1/book                        401     200:0      200:1      200:0        200:1   200:1     200:1    200:1  200:0     200:0     200:0     200:3     200:3       401    403
"""  # noqa: E501 - as wide as there are people

HEAD, *ROWS = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in GRID.strip().splitlines()]
EXPECTED = {row[0]: dict(zip(HEAD, row[1:], strict=True)) for row in ROWS}


# --- a book of three groups, and everybody ---


@dataclass(frozen=True)
class World:
    """Three groups, served by one firm each, and the renewal of the first."""

    mine: UUID
    other: UUID
    third: UUID
    renewal_id: str
    other_renewal_id: str


@pytest.fixture
async def world(covey, group, serve) -> World:
    await covey.move_date(TODAY)
    ids = []
    for number, name in enumerate(("Mine", "Other", "Third"), start=1):
        event = group(name, date(2100, 4, number))
        await covey.deliver(event)
        await serve(name, f"F-{number}", acquired=TODAY if name == "Third" else date(2020, 1, 1))
        ids.append(event.group_id)
    await covey.work("sweep")
    listed = (await covey.api.get("/v1/renewals")).json()["items"]
    return World(*ids, renewal_id=listed[0]["renewal_id"], other_renewal_id=listed[1]["renewal_id"])


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


def member(account_id, firm_id):
    return Fact(kind=FactKind.MEMBERSHIP, id=new_id(), account_id=account_id, firm_id=firm_id, active=True)


def appointed(group_id, firm_id):
    return Fact(
        kind=FactKind.APPOINTMENT,
        id=new_id(),
        group_id=group_id,
        firm_id=firm_id,
        rights=(Right.RENEWALS_VIEW,),
        active=True,
    )


def staff(account_id, *rights):
    return Fact(kind=FactKind.STAFF, id=account_id, account_id=account_id, rights=rights, active=True)


async def everybody(covey, world: World) -> dict[str, httpx.AsyncClient]:
    """A client for each column of the grid."""
    ids = {name: new_id() for name in HEAD}
    ended, firm_id = new_id(), new_id()
    await covey.know(
        grant(world.other, ids["elsewhere"], *Right),
        grant(world.mine, ids["other right"], Right.MEMBERS_VIEW, Right.GROUP_UPDATE),
        grant(world.mine, ids["viewer"], Right.RENEWALS_VIEW),
        grant(world.mine, ids["one unit"], Right.RENEWALS_VIEW, units=("001",)),
        grant(world.mine, ids["changer"], Right.RENEWALS_VIEW, Right.RENEWALS_CHANGE),
        appointed(world.mine, firm_id),
        member(ids["firm"], firm_id),
        member(ids["excluded"], firm_id),
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
    """A request that is right in everything but, perhaps, who sends it."""
    method, _, template = route.partition(" ")
    return await client.request(method, template.format(group_id=world.mine, renewal_id=world.renewal_id))


def shown(answer: httpx.Response, expected: str) -> str:
    """The status, and how many items there are where the grid says so."""
    if ":" not in expected or answer.status_code != 200:
        return str(answer.status_code)
    body = answer.json()
    return f"200:{sum(month['renewals'] for month in body['months']) if 'months' in body else len(body['items'])}"


# --- each route, for each of them ---


def test_the_grid_has_a_row_for_each_route_of_the_service(covey):
    assert EXPECTED.keys() == covey.routes()


@pytest.mark.parametrize("route", EXPECTED)
async def test_every_route_answers_each_of_them_as_the_grid_says(covey, world, route):
    clients = await everybody(covey, world)

    found = {name: shown(await ask(clients[name], world, route), cell) for name, cell in EXPECTED[route].items()}

    assert found == EXPECTED[route]


@pytest.mark.parametrize("route", EXPECTED)
async def test_without_a_lease_nobody_is_answered(covey, world, route):
    async with covey.transaction() as session:
        await session.execute(text("UPDATE access_applier SET authority = false"))

    answer = await ask(covey.api, world, route)

    assert (answer.status_code, answer.json()["code"]) == (503, "access-unverified")
    assert answer.headers["retry-after"] == "1"


def said(answer, asked_for):
    """What an answer says, without the ID that was asked for and what no two answers share."""
    body = {name: value for name, value in answer.json().items() if name not in ("correlation_id", "instance")}
    return answer.status_code, str(body).replace(str(asked_for), "ID")


async def test_what_is_not_there_and_what_is_not_yours_answer_alike(covey, world):
    person = await covey.person({world.mine: list(Right)})

    async def answers(path, *ids):
        return {said(await person.get(path.format(each)), each) for each in ids}

    groups = await answers("/v1/groups/{}/renewals", world.other, uuid4())
    renewals = await answers("/v1/renewals/{}", world.other_renewal_id, uuid4())
    to_staff = [await covey.api.get(f"/v1/{path}") for path in (f"groups/{uuid4()}/renewals", f"renewals/{uuid4()}")]

    assert [status for status, _ in groups] == [403]
    assert [status for status, _ in renewals] == [404]
    assert [answer.status_code for answer in to_staff] == [404, 404]


async def test_the_renewals_of_a_group_that_the_book_does_not_have_yet_are_not_found_by_who_may_see_them(covey):
    group_id = uuid4()
    person = await covey.person({group_id: [Right.RENEWALS_VIEW]})

    answer = await person.get(f"/v1/groups/{group_id}/renewals")

    assert (answer.status_code, answer.json()["code"]) == (404, "group-not-found")


# --- what one sees ---


async def read(client, path, **params):
    answer = await client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_broker_sees_the_groups_of_which_the_firm_is_broker_of_record(covey, world):
    account_id, firm_id = new_id(), new_id()
    await covey.know(member(account_id, firm_id), appointed(world.mine, firm_id), appointed(world.third, firm_id))
    broker = covey.client(account_id)

    book = await read(broker, "/v1/book")
    renewals = await read(broker, "/v1/renewals", month="2100-04")

    assert [each["legal_name"] for each in book["items"]] == ["Mine", "Third"]
    assert [each["group"]["legal_name"] for each in renewals["items"]] == ["Mine", "Third"]


async def test_a_firm_that_is_asked_for_is_a_filter_and_gives_no_right(covey, world):
    person = await covey.person({world.mine: [Right.RENEWALS_VIEW]})

    async def names(number):
        return [each["legal_name"] for each in (await read(person, "/v1/book", firm_number=number))["items"]]

    assert [await names(number) for number in ("F-1", "F-2", "F-9")] == [["Mine"], [], []]
    assert (await read(person, "/v1/renewals", firm_number="F-2"))["items"] == []
    assert (await read(person, "/v1/renewals/months", firm_number="F-2"))["months"] == []


async def test_counts_and_what_is_left_out_are_of_what_one_sees(covey, world):
    outsider = await covey.person({world.mine: [Right.RENEWALS_VIEW]})
    insider = await covey.person({world.mine: [Right.RENEWALS_VIEW], world.third: [Right.RENEWALS_VIEW]})

    async def left_out(client):
        return (await read(client, "/v1/renewals/months", firm_number="F-3"))["left_out"]["renewals"]

    assert (await read(outsider, "/v1/renewals/months"))["months"] == [
        {"month": "2100-04", "renewals": 1, "available": 1}
    ]
    assert [await left_out(each) for each in (outsider, insider, covey.api)] == [0, 1, 1]


async def test_a_search_finds_only_what_one_sees(covey, world):
    person = await covey.person({world.mine: [Right.RENEWALS_VIEW], world.other: [Right.BILLING_PAY]})

    found = [(await read(person, "/v1/book", q=q))["items"] for q in ("Mine", "Other", "G-", "Third")]

    assert [len(items) for items in found] == [1, 0, 1, 0]
    assert len((await read(person, "/v1/book", status="available"))["items"]) == 1


async def test_the_book_is_paged_by_what_one_sees(covey, world):
    person = await covey.person({each: [Right.RENEWALS_VIEW] for each in (world.mine, world.third)})

    for path in ("/v1/book", "/v1/renewals"):
        first = await read(person, path, limit=1)
        second = await read(person, path, limit=1, after=first["next"])
        assert [len(first["items"]), len(second["items"]), second["next"]] == [1, 1, None]
        assert first["items"] != second["items"]


async def test_a_group_is_out_of_sight_with_the_next_request_once_the_right_is_gone(covey, world):
    account_id, firm_id = new_id(), new_id()
    appointment = appointed(world.mine, firm_id)
    await covey.know(member(account_id, firm_id), appointment)
    broker = covey.client(account_id)
    before = (await read(broker, "/v1/book"))["items"]

    await covey.know(appointment.model_copy(update={"active": False}))

    assert len(before) == 1
    assert (await read(broker, "/v1/book"))["items"] == (await read(broker, "/v1/renewals"))["items"] == []
    assert (await read(broker, "/v1/renewals/months"))["months"] == []
    assert (await broker.get(f"/v1/renewals/{world.renewal_id}")).status_code == 404
    assert (await broker.get(f"/v1/groups/{world.mine}/renewals")).status_code == 403


async def test_who_may_not_is_told_so_before_anything_that_is_wrong_with_the_request(covey, world):
    person = await covey.person()

    assert (await person.get(f"/v1/groups/{world.mine}/renewals", params={"limit": 0})).status_code == 403
    assert (await covey.client(None).get("/v1/book", params={"q": ""})).status_code == 401
