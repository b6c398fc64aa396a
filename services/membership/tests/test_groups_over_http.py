"""Groups over HTTP: registered, read, changed, searched."""

import asyncio
import json
from uuid import uuid4

import jsonschema
import pytest
from covey_chassis.sealing import Keyring, NoKey
from covey_chassis.testing.broker import eventually
from covey_contracts.membership import GroupChanged, GroupContacts, GroupRegistered
from covey_membership import queries
from covey_membership.domain.group import Group
from sqlalchemy import text
from sqlalchemy.dialects import postgresql


def command(version: str | None = None, key: str | None = None) -> dict[str, str]:
    return {"Idempotency-Key": key or uuid4().hex} | ({"If-Match": version} if version else {})


def carrier_data(group, **different):
    names = ("legal_name", "market_region", "effective_date", "renewal_date", "broker", "plans")
    return {name: group[name] for name in names} | different


def problems(answer):
    return {error["pointer"]: error["detail"] for error in answer.json()["errors"]}


# --- registering ---


async def test_a_registered_group_is_there_and_told_of(covey, body):
    new = body()

    answer = await covey.api.post("/v1/groups", json=new, headers=command())

    assert answer.status_code == 201
    group = answer.json()
    assert answer.headers["location"] == f"/v1/groups/{group['group_id']}"
    assert {name: value for name, value in group.items() if name != "group_id"} == new
    read = await covey.api.get(answer.headers["location"])
    assert read.json() == group
    assert read.headers["etag"] == answer.headers["etag"] == '"1"'
    (published,) = await covey.published()
    assert isinstance(published.event, GroupRegistered)
    assert (published.key, published.sequence) == (group["group_id"], 1)


async def test_what_is_published_is_as_the_contract_says_and_holds_no_contact_in_the_clear(covey, register):
    answer = await register()

    async with covey.transaction() as session:
        told = {"topic": GroupRegistered.topic.name}
        (payload,) = await session.scalars(text("SELECT payload FROM outbox WHERE topic = :topic"), told)
    document = json.loads(payload)
    jsonschema.validate(document, GroupRegistered.model_json_schema())
    sealed = document.pop("sealed")
    for contact in ("contract_signer", "billing_contact"):
        assert answer.json()[contact]["name"] not in json.dumps(document)
    assert "@" not in json.dumps(document) + sealed


async def test_only_notifications_can_open_the_contacts(covey, register):
    group = (await register()).json()
    (published,) = await covey.published()

    contacts = covey.context.keyring.open(published.event.sealed, GroupContacts)

    assert contacts.model_dump() == {
        "contract_signer": group["contract_signer"],
        "billing_contact": group["billing_contact"],
        "broker": group["broker"]["contact"],
    }
    with pytest.raises(NoKey):
        Keyring(covey.context.settings.sealing_public_keys).open(published.event.sealed, GroupContacts)


async def test_a_group_number_is_given_once(covey, register):
    await register(group_number="700118")

    answer = await register(group_number=" 700118 ")

    assert (answer.status_code, answer.json()["code"]) == (409, "group-number-taken")
    assert len(await covey.published()) == 1


async def test_two_who_register_one_number_at_once_make_one_group(covey, register):
    answers = await asyncio.gather(*(register(group_number="700118") for _ in range(4)))

    assert sorted(answer.json().get("code", "") for answer in answers) == ["", *["group-number-taken"] * 3]
    assert len(await covey.published()) == 1


async def test_two_groups_may_share_an_ein(register):
    assert [(await register(ein="12-3456789")).status_code for _ in range(2)] == [201, 201]


async def test_a_repeated_registration_has_one_effect(covey, body):
    new, headers = body(), command()

    answers = [await covey.api.post("/v1/groups", json=new, headers=headers) for _ in range(2)]

    assert answers[0].json() == answers[1].json()
    assert [answer.status_code for answer in answers] == [201, 201]
    assert len(await covey.published()) == 1


async def test_bad_input_is_refused_with_every_bad_field_and_changes_nothing(covey, body):
    new = body(
        legal_name=" ",
        ein="123456789",
        renewal_date="2020-01-01",
        billing_units=[{"code": "1", "name": ""}, {"code": "2", "nmae": "x"}],
        shoe_size=43,
    )
    new["principal_address"] |= {"county": "Atlantis", "zip": "1"}
    new["contract_signer"]["phone"] = "555"
    del new["billing_contact"]

    answer = await covey.api.post("/v1/groups", json=new, headers=command())

    assert answer.status_code == 422
    assert problems(answer).keys() == {
        "/legal_name",
        "/ein",
        "/renewal_date",
        "/billing_units/0/name",
        "/billing_units/1/name",
        "/billing_units/1/nmae",
        "/shoe_size",
        "/principal_address/county",
        "/principal_address/zip",
        "/contract_signer/phone",
        "/billing_contact",
    }
    assert problems(answer)["/ein"] == "must be an EIN such as 12-3456789"
    assert await covey.published() == []
    assert (await covey.api.get("/v1/groups")).json()["items"] == []


async def test_a_command_without_a_key_is_refused(covey, body):
    answer = await covey.api.post("/v1/groups", json=body())

    assert answer.status_code == 400


async def test_a_group_that_is_not_there_is_not_found(covey):
    for path, method in (("", "GET"), ("", "PATCH"), ("/carrier-data", "PUT")):
        document = {"ein": "12-3456789"} if method == "PATCH" else None
        if method == "PUT":
            document = {
                "legal_name": "Acme",
                "market_region": "California",
                "effective_date": "2026-01-01",
                "renewal_date": "2027-01-01",
                "plans": [],
                "broker": None,
            }
        answer = await covey.api.request(method, f"/v1/groups/{uuid4()}{path}", json=document, headers=command('"1"'))
        assert (answer.status_code, answer.json()["code"]) == (404, "group-not-found")


async def test_the_documentation_tells_of_bodies_and_refusals(covey):
    paths = (await covey.api.get("/openapi.json")).json()["paths"]

    assert paths["/v1/imports"]["post"]["requestBody"]["content"].keys() == {"text/csv"}
    assert "group-number-taken" in paths["/v1/groups"]["post"]["responses"]["409"]["description"]
    assert "stale-version" in paths["/v1/groups/{group_id}"]["patch"]["responses"]["412"]["description"]


# --- changing ---


async def test_a_group_changes_its_own_data(covey, register):
    group = (await register()).json()
    edit = {
        "ein": "98-7654321",
        "principal_address": group["principal_address"] | {"street": "1 Other Street"},
        "contract_signer": {"name": "Ana Whitlock", "email": "ana@example.org"},
        "billing_contact": {"name": "Dev Ostby", "email": "dev@example.org"},
        "billing_units": [{"code": "003", "name": "Shop"}, {"code": "001", "name": "Kiln"}],
    }

    answer = await covey.api.patch(f"/v1/groups/{group['group_id']}", json=edit, headers=command('"1"'))

    assert answer.status_code == 200
    assert answer.headers["etag"] == '"2"'
    units = [{"code": "001", "name": "Kiln"}, {"code": "003", "name": "Shop"}]
    assert answer.json() == group | edit | {"billing_units": units}
    assert (await covey.api.get(f"/v1/groups/{group['group_id']}")).json() == answer.json()
    _, changed = await covey.published()
    assert isinstance(changed.event, GroupChanged)
    assert changed.sequence == 2
    assert [unit.name for unit in changed.event.billing_units] == ["Kiln", "Shop"]


async def test_the_carrier_changes_what_is_the_carriers(covey, register):
    group = (await register()).json()
    data = carrier_data(
        group,
        legal_name="Quillfern Pottery LLC",
        market_region="oregon",
        effective_date="2021-03-01",
        renewal_date="2027-03-01",
        broker=None,
        plans=[{"plan_year": 2027, "plan_id": "SILVER-70"}, {"plan_year": 2026, "plan_id": "GOLD-80"}],
    )

    answer = await covey.api.put(f"/v1/groups/{group['group_id']}/carrier-data", json=data, headers=command('"1"'))

    assert answer.status_code == 200
    assert answer.json() == group | data | {"market_region": "Oregon", "plans": data["plans"][::-1]}
    assert (await covey.api.get(f"/v1/groups/{group['group_id']}")).json() == answer.json()
    _, changed = await covey.published()
    assert changed.event.broker is None
    assert covey.context.keyring.open(changed.event.sealed, GroupContacts).broker is None


async def test_a_firm_is_replaced_by_another(covey, register):
    group = (await register()).json()
    other = group["broker"] | {"firm_number": "F-9", "contact": {"name": "Ola", "email": "ola@example.org"}}

    path = f"/v1/groups/{group['group_id']}/carrier-data"
    await covey.api.put(path, json=carrier_data(group, broker=other), headers=command('"1"'))

    assert (await covey.api.get(f"/v1/groups/{group['group_id']}")).json()["broker"] == other


async def test_changing_to_the_same_changes_nothing_and_tells_nobody(covey, register):
    group = (await register()).json()
    path = f"/v1/groups/{group['group_id']}"

    patched = await covey.api.patch(
        path, json={"ein": group["ein"], "billing_units": group["billing_units"][::-1]}, headers=command('"1"')
    )
    put = await covey.api.put(f"{path}/carrier-data", json=carrier_data(group), headers=command('"1"'))
    empty = await covey.api.patch(path, json={}, headers=command('"1"'))

    for answer in (patched, put, empty):
        assert (answer.status_code, answer.headers["etag"], answer.json()) == (200, '"1"', group)
    assert len(await covey.published()) == 1


async def test_an_edit_that_was_made_on_an_older_version_is_refused(covey, register):
    group = (await register()).json()
    path = f"/v1/groups/{group['group_id']}"
    await covey.api.patch(path, json={"ein": "98-7654321"}, headers=command('"1"'))

    late = await covey.api.patch(path, json={"ein": "11-1111111"}, headers=command('"1"'))
    blind = await covey.api.patch(path, json={"ein": "11-1111111"}, headers=command())

    assert (late.status_code, late.headers["etag"], blind.status_code) == (412, '"2"', 428)
    assert (await covey.api.get(path)).json()["ein"] == "98-7654321"
    assert len(await covey.published()) == 2


async def test_a_repeated_edit_has_one_effect(covey, register):
    group = (await register()).json()
    path, headers = f"/v1/groups/{group['group_id']}", command('"1"')

    answers = [await covey.api.patch(path, json={"ein": "98-7654321"}, headers=headers) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    assert len(await covey.published(GroupChanged)) == 1


async def test_what_is_the_carriers_cannot_be_changed_with_what_is_the_groups_own(covey, register):
    group = (await register()).json()

    answer = await covey.api.patch(
        f"/v1/groups/{group['group_id']}",
        json={"legal_name": "Mine", "renewal_date": "2030-01-01", "ein": None, "billing_units": []},
        headers=command('"1"'),
    )

    assert answer.status_code == 422
    assert problems(answer).keys() == {"/legal_name", "/renewal_date", "/ein", "/billing_units"}
    assert (await covey.api.get(f"/v1/groups/{group['group_id']}")).json() == group


async def test_the_carriers_data_is_given_as_a_whole(covey, register):
    group = (await register()).json()
    path = f"/v1/groups/{group['group_id']}/carrier-data"

    part = await covey.api.put(path, json={"legal_name": "Acme"}, headers=command('"1"'))
    early = await covey.api.put(path, json=carrier_data(group, renewal_date="2021-01-31"), headers=command('"1"'))

    assert problems(part).keys() == {"/market_region", "/effective_date", "/renewal_date", "/plans", "/broker"}
    assert problems(early) == {"/renewal_date": "must not be before the effective date"}


async def test_of_two_edits_at_once_one_waits_and_is_refused(covey, register):
    group = (await register()).json()
    path = f"/v1/groups/{group['group_id']}"

    answers = await asyncio.gather(
        *(covey.api.patch(path, json={"ein": f"98-765432{number}"}, headers=command('"1"')) for number in range(5))
    )

    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412, 412]
    assert [published.sequence for published in await covey.published()] == [1, 2]


async def test_an_edit_waits_for_whoever_is_changing_the_group(covey, register):
    group = (await register()).json()
    async with covey.transaction() as session:
        await session.get(Group, group["group_id"], with_for_update=True)
        edit = asyncio.create_task(
            covey.api.patch(f"/v1/groups/{group['group_id']}", json={"ein": "98-7654321"}, headers=command('"1"'))
        )
        await eventually(lambda: someone_waits(covey))

    assert (await edit).status_code == 200


async def someone_waits(covey):
    async with covey.transaction() as session:
        return await session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted"))


# --- searching ---


@pytest.fixture
async def found(covey, register):
    """What a search finds, by name."""
    for number, name, region, firm in (
        ("700118", "Quillfern Ceramics", "California", "F-1"),
        ("700119", "tamarisk & Thistle", "California", "F-2"),
        ("800118", "100% Pottery_Shed", "Oregon", "F-1"),
        ("800119", "Ångström Labs", "California", None),
    ):
        broker = firm and {
            "firm_number": firm,
            "firm_name": "Firm",
            "acquired_date": "2024-01-01",
            "contact": {"name": "Teo", "email": "teo@example.org"},
        }
        await register(group_number=number, legal_name=name, market_region=region, broker=broker)

    async def search(**filters):
        answer = await covey.api.get("/v1/groups", params=filters)
        assert answer.status_code == 200
        return [group["legal_name"] for group in answer.json()["items"]]

    return search


QUILLFERN, TAMARISK, SHED, LABS = "Quillfern Ceramics", "tamarisk & Thistle", "100% Pottery_Shed", "Ångström Labs"


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"group_number": "700118"}, {QUILLFERN}),
        ({"group_number": "70011"}, set()),
        ({"q": "QUILL"}, {QUILLFERN}),
        ({"q": "thist"}, {TAMARISK}),
        ({"q": "0118"}, {QUILLFERN, SHED}),
        ({"q": "%"}, {SHED}),
        ({"q": "y_s"}, {SHED}),
        ({"q": "ngström"}, {LABS}),
        ({"market_region": "CALIFORNIA"}, {QUILLFERN, TAMARISK, LABS}),
        ({"firm_number": "F-1"}, {QUILLFERN, SHED}),
        ({"firm_number": "F-1", "market_region": "Oregon", "q": "pot"}, {SHED}),
        ({}, {QUILLFERN, TAMARISK, SHED, LABS}),
    ],
)
async def test_groups_are_found_by_any_part_of_name_or_number_by_region_and_by_firm(found, filters, names):
    assert set(await found(**filters)) == names


async def test_groups_are_listed_by_name_whatever_its_case(covey, register):
    for name in ("cedar", "Birch", "alder", "Dogwood"):
        await register(legal_name=name)

    page = (await covey.api.get("/v1/groups")).json()

    assert [group["legal_name"] for group in page["items"]] == ["alder", "Birch", "cedar", "Dogwood"]


async def test_a_search_is_read_page_by_page(covey, register):
    for number in range(7):
        await register(legal_name=f"Group {number // 2}")

    pages, listed, after = [], [], None
    while True:
        params = {"limit": 3, "q": "group"} | ({"after": after} if after else {})
        page = (await covey.api.get("/v1/groups", params=params)).json()
        pages.append([group["legal_name"] for group in page["items"]])
        listed += pages[-1]
        if (after := page["next"]) is None:
            break

    assert [len(page) for page in pages] == [3, 3, 1]
    assert listed == [f"Group {number // 2}" for number in range(7)]


@pytest.mark.parametrize(
    ("filters", "pointer"),
    [
        ({"market_region": "Narnia"}, "query:market_region"),
        ({"limit": "0"}, "query:limit"),
        ({"q": ""}, "query:q"),
        ({"after": "x"}, "query:after"),
    ],
)
async def test_a_search_that_cannot_be_meant_is_refused(covey, filters, pointer):
    answer = await covey.api.get("/v1/groups", params=filters)

    assert answer.status_code == 422
    assert problems(answer).keys() == {pointer}


async def test_a_search_for_a_part_of_the_name_or_number_has_an_index(covey):
    query = queries.search(group_number=None, sought="tamarisk", market_region=None, firm_number=None)
    statement = query.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})

    async with covey.transaction() as session:
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        connection = await session.connection()
        plan = (await connection.exec_driver_sql(f"EXPLAIN {statement}")).scalars().all()

    assert sum("ix_covered_group_search" in line for line in plan) == 2
