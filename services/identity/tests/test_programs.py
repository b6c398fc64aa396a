import asyncio
from typing import Any
from uuid import UUID, uuid4

import httpx
from covey_chassis.access import Actor, StaffRight
from covey_chassis.testing import Harness
from covey_chassis.testing.broker import eventually
from covey_contracts.identity import AccountRegistered
from covey_identity.use_cases.replace_program_secret import replace_program_secret

from .accounts import command, comparable, run, somebody, statements, where_kept


async def make(covey: Harness) -> dict[str, str]:
    answer = await covey.api.post("/v1/programs", json={"name": "nightly enrollment"})
    assert answer.status_code == 201, answer.text
    made: dict[str, str] = answer.json()
    return made


async def sign_on(covey: Harness, client_id: str, secret: str) -> httpx.Response:
    async with covey.client(None) as anybody:
        return await anybody.post("/v1/client-tokens", json={"client_id": client_id, "client_secret": secret})


async def client_of(covey: Harness, made: dict[str, str]) -> httpx.AsyncClient:
    answer = await sign_on(covey, made["client_id"], made["client_secret"])
    assert answer.status_code == 200, answer.text
    client = covey.client(None)
    client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    return client


async def test_a_program_signs_on_with_its_secret(covey: Harness) -> None:
    made = await make(covey)

    async with await client_of(covey, made) as client:
        own = (await client.get("/v1/account")).json()

    assert (own["account_id"], own["kind"], own["program_name"], own["addresses"]) == (
        made["account_id"],
        "program",
        "nightly enrollment",
        [],
    )
    assert len(made["client_secret"]) >= 43


async def test_it_has_one_standing_session(covey: Harness) -> None:
    made = await make(covey)
    for _ in range(3):
        async with await client_of(covey, made) as client:
            (item,) = (await client.get("/v1/sessions")).json()["items"]

    assert (item["is_current"], item["expires_at"]) == (True, None)
    assert len(await run(covey, "SELECT 1 FROM account_session")) == 1


async def test_nobody_is_told_of_it_and_its_secret_is_not_kept(covey: Harness, logged: Any) -> None:
    made = await make(covey)
    await sign_on(covey, made["client_id"], made["client_secret"])

    assert made["account_id"] not in [each.key for each in await covey.published(AccountRegistered)]
    assert await where_kept(covey, made["client_secret"]) == []
    assert made["client_secret"] not in logged()


async def test_unknown_programs_wrong_secrets_and_people_are_refused_alike(covey: Harness) -> None:
    made = await make(covey)
    who = await somebody(covey)

    refused = [
        await sign_on(covey, made["client_id"], "made-up"),
        await sign_on(covey, "z99999", made["client_secret"]),
        await sign_on(covey, who.user_id, who.password),
    ]

    assert (refused[0].status_code, refused[0].json()["code"]) == (401, "client-refused")
    assert all(comparable(each) == comparable(refused[0]) for each in refused)


async def test_each_refusal_runs_the_same_statements(covey: Harness) -> None:
    made, locked = await make(covey), await make(covey)
    await covey.api.post(f"/v1/accounts/{locked['account_id']}/lock", headers=command())
    who = await somebody(covey)

    ran = []
    for name in ("z99999", made["client_id"], locked["client_id"], who.user_id):
        with statements(covey) as each:
            assert (await sign_on(covey, name, "made-up")).status_code == 401
        ran.append(each)

    assert any("FROM account" in statement for statement in ran[0])
    assert ran[1:] == [ran[0]] * 3


async def test_a_secret_that_is_replaced_while_it_is_shown_is_refused_as_any_other(covey: Harness) -> None:
    made = await make(covey)
    wrong = await sign_on(covey, made["client_id"], "made-up")
    staff = Actor(account_id=uuid4(), session_id=uuid4(), staff=frozenset(StaffRight))

    async def waits() -> bool:
        return bool(await run(covey, "SELECT 1 FROM pg_locks WHERE NOT granted"))

    async with covey.transaction() as replacing:
        at = covey.context.clock.now()
        await replace_program_secret(replacing, UUID(made["account_id"]), staff, at=at)
        showing = asyncio.create_task(sign_on(covey, made["client_id"], made["client_secret"]))
        await eventually(waits)

    assert comparable(await showing) == comparable(wrong)


async def test_a_new_secret_ends_what_was_had_with_the_old_one(covey: Harness) -> None:
    made = await make(covey)
    client = await client_of(covey, made)

    answer = await covey.api.post(f"/v1/programs/{made['account_id']}/secret")

    assert answer.status_code == 200
    assert (answer.json()["client_id"], answer.json()["account_id"]) == (made["client_id"], made["account_id"])
    assert (await client.get("/v1/account")).json()["code"] == "sign-on-needed"
    await client.aclose()
    assert (await sign_on(covey, made["client_id"], made["client_secret"])).status_code == 401
    async with await client_of(covey, answer.json()) as renewed:
        assert (await renewed.get("/v1/account")).status_code == 200
    (act,) = await run(covey, "SELECT act, authority FROM access_log WHERE act LIKE 'program%'")
    assert act == ("program.secret-replaced", "staff")


async def test_a_locked_program_is_out_and_signs_on_anew_once_it_is_unlocked(covey: Harness) -> None:
    made = await make(covey)
    client = await client_of(covey, made)
    await covey.api.post(f"/v1/accounts/{made['account_id']}/lock", headers=command())

    assert (await client.get("/v1/account")).status_code in (401, 403)
    locked = await sign_on(covey, made["client_id"], made["client_secret"])
    assert (locked.status_code, locked.json()["code"]) == (403, "account-locked")
    await covey.api.post(f"/v1/accounts/{made['account_id']}/unlock", headers=command())

    assert (await client.get("/v1/account")).json()["code"] == "sign-on-needed"
    await client.aclose()
    async with await client_of(covey, made) as again:
        assert (await again.get("/v1/account")).status_code == 200


async def test_programs_are_made_by_staff_for_operations(covey: Harness) -> None:
    made = await make(covey)
    others = [right for right in StaffRight if right is not StaffRight.OPERATIONS]
    async with await covey.staff_member(*others) as client, covey.client(UUID(made["account_id"])) as itself:
        for each in (client, itself):
            assert (await each.post("/v1/programs", json={"name": "x"})).status_code == 403
            assert (await each.post(f"/v1/programs/{made['account_id']}/secret")).status_code == 403


async def test_a_person_has_no_secret_to_replace(covey: Harness) -> None:
    who = await somebody(covey)

    for account_id in (who.account_id, uuid4()):
        answer = await covey.api.post(f"/v1/programs/{account_id}/secret")
        assert (answer.status_code, answer.json()["code"]) == (404, "program-not-found")
