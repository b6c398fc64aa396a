import asyncio
from typing import Any
from uuid import UUID

import httpx
import pytest
from covey_chassis.testing import Harness
from covey_contracts.identity import AccountRegistered, Person

from .accounts import Session, Somebody, client_of, run, session_of, sign_on, somebody, where_kept

EMAIL = "imogen@carrier.example.org"


async def make(covey: Harness, *rights: str, email: str = EMAIL, operator: str = "ada") -> httpx.Response:
    body = {"first_name": "Imogen", "last_name": "Vane", "email": email, "rights": list(rights)}
    async with covey.client(None) as client:
        return await client.post("/internal/staff", json=body, headers=covey.operator | {"X-Operator": operator})


async def session_for(covey: Harness, made: httpx.Response) -> Session:
    said = made.json()
    return await session_of(
        covey, Somebody(UUID(said["account_id"]), said["user_id"], EMAIL, password=said["password"])
    )


async def test_an_operator_makes_the_first_member_of_the_staff(covey: Harness) -> None:
    made = await make(covey, "operations", "access.approve")

    assert made.status_code == 201
    assert made.json()["rights"] == ["access.approve", "operations"]
    async with await client_of(covey, await session_for(covey, made)) as client:
        assert (await client.post("/v1/programs", json={"name": "x"})).status_code == 201
    _, published = await covey.published(AccountRegistered)
    assert isinstance(published.event, AccountRegistered)
    person = covey.context.keyring.open(published.event.sealed, Person)
    assert (person.address, person.user_id) == (EMAIL, made.json()["user_id"])
    (logged,) = await run(
        covey,
        "SELECT act, authority, account_id, fact -> 'rights' FROM access_log WHERE authority = 'operator ada'",
    )
    assert logged == ("staff.rights-given", "operator ada", None, ["access.approve", "operations"])


async def test_the_same_address_again_sets_the_rights_and_nothing_else(covey: Harness) -> None:
    made = await make(covey, "operations")
    session = await session_for(covey, made)

    again = await make(covey, "review.decide", email=EMAIL.upper())

    assert again.status_code == 200
    assert "password" not in again.json()
    assert again.json() | {"password": made.json()["password"]} == made.json() | {"rights": ["review.decide"]}
    async with await client_of(covey, session) as client:
        assert (await client.post("/v1/programs", json={"name": "x"})).status_code == 403
    assert len(await covey.published(AccountRegistered)) == 2, "the one who is there from the beginning, and this one"


async def test_the_same_rights_again_are_no_change(covey: Harness) -> None:
    await make(covey, "operations", "access.approve")
    await make(covey, "access.approve", "operations", "operations")

    assert len(await run(covey, "SELECT 1 FROM access_log WHERE authority = 'operator ada'")) == 1


async def test_two_at_once_make_one_account(covey: Harness) -> None:
    answers = await asyncio.gather(*(make(covey, "operations") for _ in range(4)))

    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]
    assert len(await run(covey, "SELECT 1 FROM account WHERE first_name = 'Imogen'")) == 1


async def test_whoever_registered_before_keeps_account_and_password(covey: Harness) -> None:
    who = await somebody(covey, email=EMAIL)

    answer = await make(covey, "review.decide")

    assert (answer.status_code, answer.json()["account_id"]) == (200, str(who.account_id))
    assert (await sign_on(covey, who.user_id)).status_code == 201


async def test_the_password_is_not_kept_or_logged(covey: Harness, logged: Any) -> None:
    password = (await make(covey, "operations")).json()["password"]

    assert len(password) >= 20
    assert await where_kept(covey, password) == []
    assert password not in logged()


async def test_an_operator_lists_the_staff_by_the_page(covey: Harness) -> None:
    made = [(await make(covey, "operations", email=f"n{n}@carrier.example.org")).json() for n in range(3)]
    await somebody(covey)

    pages: list[dict[str, Any]] = []
    async with covey.client(None) as client:
        while not pages or pages[-1]["next"]:
            after = {"after": pages[-1]["next"]} if pages else {}
            answer = await client.get("/internal/staff", params={"limit": "2"} | after, headers=covey.operator)
            pages.append(answer.json())

    listed = [each for page in pages for each in page["items"]]
    assert [len(page["items"]) for page in pages] == [2, 2]
    assert [each["user_id"] for each in listed] == sorted(each["user_id"] for each in listed)
    for each in made:
        del each["password"]
        assert each | {"program_name": None} in listed
    assert {each["first_name"] for each in listed} == {"Sam", "Imogen"}


async def test_an_operator_takes_all_staff_rights_away(covey: Harness) -> None:
    made = await make(covey, "operations")
    session = await session_for(covey, made)
    path = f"/internal/staff/{made.json()['account_id']}"

    async with covey.client(None) as client:
        taken = await client.delete(path, headers=covey.operator)
        again = await client.delete(path, headers=covey.operator)
        listed = (await client.get("/internal/staff", headers=covey.operator)).json()["items"]

    assert (taken.status_code, again.status_code, again.json()["code"]) == (204, 404, "not-staff")
    assert [each["first_name"] for each in listed] == ["Sam"]
    async with await client_of(covey, session) as client:
        assert (await client.post("/v1/programs", json={"name": "x"})).status_code == 403
        assert (await client.get("/v1/account")).status_code == 200


async def test_an_operator_lets_a_program_do_what_staff_do(covey: Harness) -> None:
    program = (await covey.api.post("/v1/programs", json={"name": "Reviewing"})).json()
    path, rights = f"/internal/staff/{program['account_id']}", {"rights": ["review.decide"]}

    async with covey.client(None) as client:
        given = await client.put(path, json=rights, headers=covey.operator | {"X-Operator": "ada"})
        again = await client.put(path, json=rights, headers=covey.operator | {"X-Operator": "ada"})
        listed = (await client.get("/internal/staff", headers=covey.operator)).json()["items"]
        taken = await client.delete(path, headers=covey.operator)

    assert (
        given.json()
        == again.json()
        == {
            "account_id": program["account_id"],
            "user_id": program["client_id"],
            "rights": ["review.decide"],
            "first_name": "",
            "last_name": "",
            "program_name": "Reviewing",
            "email": None,
        }
    )
    assert given.json() in listed
    assert taken.status_code == 204
    logged = await run(
        covey,
        "SELECT act, authority, fact -> 'rights', fact -> 'active' FROM access_log"
        f" WHERE fact ->> 'id' = '{program['account_id']}' ORDER BY rev",
    )
    assert [tuple(row) for row in logged] == [
        ("staff.rights-given", "operator ada", ["review.decide"], True),
        ("staff.rights-removed", "operator operator", [], False),
    ]


async def test_an_operator_changes_what_somebody_may_do_by_their_account(covey: Harness) -> None:
    made = await make(covey, "operations")
    session = await session_for(covey, made)

    async with covey.client(None) as client:
        path = f"/internal/staff/{made.json()['account_id']}"
        changed = await client.put(path, json={"rights": ["review.decide"]}, headers=covey.operator)
        unknown = await client.put(
            f"/internal/staff/{UUID(int=7)}", json={"rights": ["review.decide"]}, headers=covey.operator
        )

    assert (changed.json()["email"], changed.json()["rights"]) == (EMAIL, ["review.decide"])
    assert (unknown.status_code, unknown.json()["code"]) == (404, "account-not-found")
    async with await client_of(covey, session) as client:
        assert (await client.post("/v1/programs", json={"name": "x"})).status_code == 403


@pytest.mark.parametrize(
    ("method", "path"), [("POST", ""), ("GET", ""), ("PUT", f"/{UUID(int=7)}"), ("DELETE", f"/{UUID(int=7)}")]
)
async def test_this_is_for_operators_alone(covey: Harness, method: str, path: str) -> None:
    async with covey.client(None) as anybody:
        for client in (anybody, covey.api):
            answer = await client.request(method, f"/internal/staff{path}")
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


@pytest.mark.parametrize("rights", [[], ["everything"]])
async def test_rights_must_be_named_and_known(covey: Harness, rights: list[str]) -> None:
    assert (await make(covey, *rights)).status_code == 422
