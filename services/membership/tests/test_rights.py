"""Who may do what with groups and imports: each route, for each kind of person."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
import pytest
from covey_chassis.access import Actor, NotYours, Right, Sight, StaffRight
from covey_chassis.access.facts import Fact, FactKind
from covey_chassis.ids import new_id
from covey_local.databases import connected
from covey_membership import http, queries
from covey_membership.domain.group import Group
from sqlalchemy import text
from sqlalchemy.dialects import postgresql

# Drawn by hand, never computed from the routes: this is the page to read and to review. A list also says how many of the
# three groups it shows. Columns are set apart by two spaces or more.
GRID = """
                                     nobody  rightless  elsewhere  viewer  one unit  updater  firm   excluded  messages  approver  reviewer  operations  ended  locked
GET /v1/groups                       401     200:0      200:1      200:1   200:1     200:1    200:1  200:0     200:0     200:3     200:3     200:3       401    403
POST /v1/groups                      401     403        403        403     403       403      403    403       403       403       403       201         401    403
GET /v1/groups/{group_id}            401     403        403        200     200       200      200    403       403       200       200       200         401    403
PATCH /v1/groups/{group_id}          401     403        403        403     403       200      403    403       403       403       403       200         401    403
PUT /v1/groups/{group_id}/carrier-data  401  403        403        403     403       403      403    403       403       403       403       200         401    403
GET /v1/imports                      401     403        403        403     403       403      403    403       403       403       403       200:1       401    403
POST /v1/imports                     401     403        403        403     403       403      403    403       403       403       403       202         401    403
GET /v1/imports/template.csv         401     403        403        403     403       403      403    403       403       403       403       200         401    403
GET /v1/imports/{import_id}          401     403        403        403     403       403      403    403       403       403       403       200         401    403
GET /v1/imports/{import_id}/errors.csv  401  403        403        403     403       403      403    403       403       403       403       200         401    403
"""  # noqa: E501 - as wide as there are people

HEAD, *ROWS = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in GRID.strip().splitlines()]
EXPECTED = {row[0]: dict(zip(HEAD, row[1:], strict=True)) for row in ROWS}


# --- a book of three groups, and everybody ---


@dataclass(frozen=True)
class World:
    """Three groups and an import."""

    mine: dict
    group_ids: list[UUID]
    import_id: str

    @property
    def group_id(self) -> UUID:
        return UUID(self.mine["group_id"])


@pytest.fixture
async def world(covey, register, send, row, as_csv) -> World:
    groups = [(await register(legal_name=name)).json() for name in ("Mine", "Other", "Third")]
    started = await send(as_csv([row(1, ein="")]))
    await covey.work("imports")
    return World(groups[0], [UUID(group["group_id"]) for group in groups], started.json()["id"])


def grant(group_id, account_id, *rights, units=None, active=True):
    return Fact(
        kind=FactKind.GRANT,
        id=new_id(),
        group_id=group_id,
        account_id=account_id,
        rights=rights,
        billing_units=units,
        active=active,
    )


def through_firm(group_id, account_id):
    """A firm is the group's broker of record, and the account is one of the firm's."""
    firm_id = new_id()
    return [
        Fact(kind=FactKind.MEMBERSHIP, id=new_id(), account_id=account_id, firm_id=firm_id, active=True),
        Fact(
            kind=FactKind.APPOINTMENT,
            id=new_id(),
            group_id=group_id,
            firm_id=firm_id,
            rights=(Right.RENEWALS_VIEW,),
            active=True,
        ),
    ]


def staff(account_id, *rights, active=True):
    return Fact(kind=FactKind.STAFF, id=account_id, account_id=account_id, rights=rights, active=active)


async def everybody(covey, mine: UUID, other: UUID) -> dict[str, httpx.AsyncClient]:
    """A client for each column of the grid."""
    ids = {name: new_id() for name in HEAD}
    ended = new_id()
    await covey.know(
        grant(other, ids["elsewhere"], *Right),
        grant(mine, ids["viewer"], Right.MEMBERS_VIEW),
        grant(mine, ids["one unit"], Right.GROUP_UPDATE, units=("001",)),
        grant(mine, ids["updater"], Right.GROUP_UPDATE),
        *through_firm(mine, ids["firm"]),
        *through_firm(mine, ids["excluded"]),
        Fact(
            kind=FactKind.EXCLUSION,
            id=new_id(),
            group_id=mine,
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
            for each in (grant(mine, ids[name], *Right), staff(ids[name], *StaffRight))
        ),
        Fact(kind=FactKind.SESSION, id=ended, account_id=ids["ended"], active=False),
        Fact(kind=FactKind.ACCOUNT, id=ids["locked"], account_id=ids["locked"], active=False),
    )
    clients = {name: covey.client(account_id) for name, account_id in ids.items()}
    return clients | {"nobody": covey.client(None), "ended": covey.client(ids["ended"], ended)}


def command(key: str | None = None, version: str = '"1"') -> dict[str, str]:
    return {"Idempotency-Key": key or uuid4().hex, "If-Match": version}


@pytest.fixture
def ask(world, body, row, as_csv) -> Callable[..., Awaitable[httpx.Response]]:
    """``await ask(client, "GET /v1/groups")``: a request that is right in everything but, perhaps, who sends it."""
    names = ("legal_name", "market_region", "effective_date", "renewal_date", "broker", "plans")

    async def send(client, route, *, key=None, **path):
        method, _, template = route.partition(" ")
        content = {
            "POST /v1/groups": lambda: {"json": body()},
            "PATCH /v1/groups/{group_id}": lambda: {"json": {"ein": world.mine["ein"]}},
            "PUT /v1/groups/{group_id}/carrier-data": lambda: {"json": {name: world.mine[name] for name in names}},
            "POST /v1/imports": lambda: {"content": as_csv([row(2)]), "headers": {"Content-Type": "text/csv"}},
        }.get(route, dict)()
        headers = content.pop("headers", {}) | (command(key) if method != "GET" else {})
        url = template.format(**{"group_id": world.group_id, "import_id": world.import_id} | path)
        return await client.request(method, url, headers=headers, **content)

    return send


def shown(answer: httpx.Response, expected: str) -> str:
    """The status, and how many items there are where the grid says so."""
    if ":" in expected and answer.status_code == 200:
        return f"200:{len(answer.json()['items'])}"
    return str(answer.status_code)


# --- each route, for each of them ---


def test_the_grid_has_a_row_for_each_route_of_the_service(covey):
    assert EXPECTED.keys() == covey.routes()


@pytest.mark.parametrize("route", EXPECTED)
async def test_every_route_answers_each_of_them_as_the_grid_says(covey, world, ask, route):
    clients = await everybody(covey, world.group_ids[0], world.group_ids[1])

    found = {name: shown(await ask(clients[name], route), cell) for name, cell in EXPECTED[route].items()}

    assert found == EXPECTED[route]


@pytest.mark.parametrize("route", EXPECTED)
async def test_without_a_lease_nobody_is_answered(covey, world, ask, route):
    async with covey.transaction() as session:
        await session.execute(text("UPDATE access_applier SET authority = false"))

    answer = await ask(covey.api, route)

    assert (answer.status_code, answer.json()["code"]) == (503, "access-unverified")
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize("route", [route for route in EXPECTED if "{group_id}" in route])
async def test_a_group_that_is_not_there_and_one_that_is_not_yours_answer_alike(covey, world, ask, route):
    person = await covey.person({world.group_ids[1]: list(Right)})

    there, nowhere = await ask(person, route), await ask(person, route, group_id=uuid4())
    to_staff = await ask(covey.api, route, group_id=uuid4())

    different = ("correlation_id", "instance")
    assert [each.status_code for each in (there, nowhere, to_staff)] == [403, 403, 404]
    assert [
        {name: value for name, value in each.json().items() if name not in different} for each in (there, nowhere)
    ] == [{name: value for name, value in there.json().items() if name not in different}] * 2


@pytest.mark.parametrize(
    ("method", "path", "request_"),
    [
        ("POST", "/v1/groups", {"json": {}}),
        ("POST", "/v1/groups", {"json": {"ein": "x"}, "headers": {"Idempotency-Key": "1"}}),
        ("PATCH", "/v1/groups/{}", {"json": {"shoe_size": 43}}),
        ("PATCH", "/v1/groups/{}", {"json": {"ein": "12-3456789"}, "headers": command(version='"9"')}),
        ("PUT", "/v1/groups/{}/carrier-data", {"json": {}, "headers": command(version='"9"')}),
        ("POST", "/v1/imports", {"content": b"x", "headers": {"Content-Type": "text/plain"}}),
        ("GET", "/v1/imports/01890000-0000-7000-8000-000000000000", {}),
        ("GET", "/v1/imports/no-uuid", {}),
    ],
)
async def test_who_may_not_is_told_so_before_anything_that_is_wrong_with_the_request(
    covey, world, method, path, request_
):
    viewer = await covey.person({world.group_id: [Right.MEMBERS_VIEW]})

    refused = await viewer.request(method, path.format(world.group_id), **request_)
    unknown = await covey.client(None).request(method, path.format(world.group_id), **request_)

    assert (refused.status_code, refused.json()["code"]) == (403, "not-yours")
    assert (unknown.status_code, unknown.json()["code"]) == (401, "sign-on-needed")


# --- what one sees ---


async def test_a_list_shows_the_groups_in_which_one_has_a_right_whatever_is_searched_for(covey, world):
    mine, other, _ = world.group_ids
    person = await covey.person({mine: [Right.BILLING_VIEW], other: [Right.DOCUMENTS_VIEW]})

    async def names(**filters):
        return [each["legal_name"] for each in (await person.get("/v1/groups", params=filters)).json()["items"]]

    assert await names() == ["Mine", "Other"]
    assert await names(q="ir") == await names(q="Third") == []
    assert await names(q="the") == ["Other"]
    assert await names(firm_number="F-204", market_region="California") == ["Mine", "Other"]


async def test_a_list_is_paged_by_what_one_sees(covey, register):
    ids = [UUID((await register(legal_name=f"Group {number}")).json()["group_id"]) for number in range(9)]
    person = await covey.person({each: [Right.MEMBERS_VIEW] for each in ids[::2]})

    first = (await person.get("/v1/groups", params={"limit": 3})).json()
    rest = (await person.get("/v1/groups", params={"limit": 3, "after": first["next"]})).json()

    assert [each["legal_name"] for each in first["items"]] == ["Group 0", "Group 2", "Group 4"]
    assert [each["legal_name"] for each in rest["items"]] == ["Group 6", "Group 8"]
    assert rest["next"] is None


async def test_whose_rights_are_in_some_billing_units_sees_those_units_only(covey, world):
    one, two, none_left = new_id(), new_id(), new_id()
    await covey.know(
        grant(world.group_id, one, Right.BILLING_VIEW, units=("002",)),
        grant(world.group_id, two, Right.BILLING_VIEW, units=("001",)),
        grant(world.group_id, two, Right.MEMBERS_VIEW, units=("002", "no longer there")),
        grant(world.group_id, none_left, Right.BILLING_VIEW, units=("no longer there",)),
    )

    async def units(account_id):
        answer = await covey.client(account_id).get(f"/v1/groups/{world.group_id}")
        assert {**answer.json(), "billing_units": None} == {**world.mine, "billing_units": None}
        return [unit["code"] for unit in answer.json()["billing_units"]]

    assert await units(one) == ["002"]
    assert await units(two) == ["001", "002"]
    assert await units(none_left) == []


async def test_a_right_in_all_billing_units_or_a_staff_right_shows_all_of_them(covey, world):
    both, reviewer = new_id(), new_id()
    await covey.know(
        grant(world.group_id, both, Right.BILLING_VIEW, units=("002",)),
        grant(world.group_id, both, Right.MEMBERS_VIEW),
        grant(world.group_id, reviewer, Right.BILLING_VIEW, units=("002",)),
        staff(reviewer, StaffRight.REVIEW_DECIDE),
    )

    for account_id in (both, reviewer):
        assert (await covey.client(account_id).get(f"/v1/groups/{world.group_id}")).json() == world.mine


async def test_a_list_tells_nobody_of_billing_units(covey, world):
    for client in (covey.api, await covey.person({world.group_id: [Right.MEMBERS_VIEW]})):
        listed = (await client.get("/v1/groups", params={"q": "Mine"})).json()["items"]
        assert listed == [{name: value for name, value in world.mine.items() if name != "billing_units"}]


@pytest.mark.parametrize("sought", [None, "Group 1"])
async def test_whose_groups_are_few_in_a_large_book_has_them_found_by_their_ids(covey, world, postgres, sought):
    account_id = new_id()
    async with covey.context.workers.engine.begin() as connection:
        await connection.execute(
            text(
                """
                INSERT INTO covered_group
                SELECT (jsonb_populate_record(covered_group, jsonb_build_object(
                    'group_id', gen_random_uuid(), 'group_number', 'N-' || n, 'legal_name', 'Group ' || n))).*
                  FROM covered_group, generate_series(1, 20000) AS n WHERE group_id = :group_id
                """
            ),
            {"group_id": world.group_id},
        )
        ids = list(await connection.scalars(text("SELECT group_id FROM covered_group LIMIT 3")))
    await covey.know(
        *(grant(each, account_id, Right.MEMBERS_VIEW) for each in ids),
        *(grant(new_id(), new_id(), Right.MEMBERS_VIEW) for _ in range(500)),
    )
    await gather_statistics(covey, postgres)
    sight = Sight(Actor(account_id, new_id(), frozenset()), (), everything=False)
    query = queries.search(group_number=None, sought=sought, market_region=None, firm_number=None)
    query = query.where(sight.of(Group.group_id)).order_by(*queries.BY_NAME).limit(51)
    statement = query.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})

    async with covey.context.requests.session() as session:
        await session.execute(text("SELECT set_config('covey.account', :id, true)"), {"id": str(account_id)})
        connection = await session.connection()
        plan = "\n".join((await connection.exec_driver_sql(f"EXPLAIN {statement}")).scalars())

    assert "Index Scan using covered_group_pkey" in plan, plan
    assert "ix_access_fact_account" in plan, plan


async def gather_statistics(covey, postgres: str) -> None:
    """As autovacuum does in time."""
    database = urlsplit(covey.context.workers.url).path
    async with connected(urlsplit(postgres)._replace(path=database).geturl()) as admin:
        await admin.execute("ANALYZE")


# --- what is over ---


@pytest.mark.parametrize(
    "route", ["PATCH /v1/groups/{group_id}", "PUT /v1/groups/{group_id}/carrier-data", "POST /v1/imports"]
)
async def test_a_command_is_not_answered_again_once_the_right_is_gone(covey, world, ask, route):
    account_id, key = new_id(), uuid4().hex
    held = [staff(account_id, StaffRight.OPERATIONS)]
    if route.startswith("PATCH"):
        held = [grant(world.group_id, account_id, Right.GROUP_UPDATE)]
    await covey.know(*held)
    client = covey.client(account_id)
    done, replayed = [await ask(client, route, key=key) for _ in range(2)]

    await covey.know(*(fact.model_copy(update={"active": False}) for fact in held))
    refused = await ask(client, route, key=key)

    assert done.is_success
    assert replayed.headers["idempotency-replayed"] == "true"
    assert (refused.status_code, refused.json()["code"]) == (403, "not-yours")


async def test_a_file_of_errors_breaks_off_when_the_right_goes_while_it_is_read(covey, world):
    account_id = new_id()
    right = staff(account_id, StaffRight.OPERATIONS)
    await covey.know(right)
    async with covey.transaction() as session:
        await session.execute(
            text(
                """
                INSERT INTO import_fault (import_id, line, column_name, message)
                SELECT :import_id, n, 'ein', 'is bad' FROM generate_series(10, :last) AS n
                """
            ),
            {"import_id": world.import_id, "last": 10 + 3 * http.FAULTS_PAGE},
        )
    path = f"/v1/imports/{world.import_id}/errors.csv"
    whole = await covey.client(account_id).get(path)
    pieces, ended = [], False

    async def sends(message):
        nonlocal ended
        if message["type"] == "http.response.body":
            pieces.append(message["body"].decode())
            ended = not message.get("more_body", False)
            if len(pieces) == 2:  # the columns, and the first page
                await covey.know(right.model_copy(update={"active": False}))

    with pytest.raises(NotYours):
        await covey.app(scope_of(covey.client(account_id), path), asyncio.Event().wait, sends)

    assert (len(pieces), ended) == (2, False)
    assert whole.text.startswith("".join(pieces))
    assert len("".join(pieces).splitlines()) == 1 + http.FAULTS_PAGE < len(whole.text.splitlines())


def scope_of(client: httpx.AsyncClient, path: str) -> dict:
    """A GET request as the server hands it to the application."""
    headers = [(name.lower().encode(), value.encode()) for name, value in client.headers.items()]
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [*headers, (b"host", b"covey.test")],
        "server": ("covey.test", 80),
        "client": ("127.0.0.1", 1),
    }
