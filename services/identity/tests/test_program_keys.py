"""Keys with which programs sign commands: what is kept of them, and what every service hears."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from covey_chassis.access import StaffRight
from covey_chassis.access.facts import Poll
from covey_chassis.access.signing import key_id, public_jwk
from covey_chassis.testing import Harness
from covey_chassis.testing.broker import eventually
from covey_chassis.testing.signing import new_key
from covey_identity.feed import answer
from joserfc.jwk import OKPKey
from sqlalchemy import text

from .accounts import command, run, somebody, where_kept


async def program(covey: Harness) -> str:
    made = await covey.api.post("/v1/programs", json={"name": "a reviewing program"})
    return str(made.json()["account_id"])


async def add(covey: Harness, account_id: str, key: OKPKey | dict[str, Any]) -> httpx.Response:
    jwk = public_jwk(key) if isinstance(key, OKPKey) else key
    return await covey.api.post(f"/v1/programs/{account_id}/keys", json={"jwk": jwk}, headers=command())


async def remove(covey: Harness, account_id: str, key: OKPKey) -> httpx.Response:
    return await covey.api.delete(f"/v1/programs/{account_id}/keys/{key_id(key)}", headers=command())


async def heard(covey: Harness) -> list[tuple[UUID | None, UUID, bool]]:
    """What a service that listens is told of keys."""
    poll = Poll(seen_rev=0, acked_rev=0, server="a test", wait=False)
    news = await answer(covey.context, "renewals", poll)
    return [(fact.account_id, fact.id, fact.active) for fact in news.facts if fact.kind == "key"]


async def test_a_registered_key_is_told_to_every_service_until_it_is_removed(covey: Harness) -> None:
    account_id, key = await program(covey), new_key()

    added = await add(covey, account_id, key)
    told = await heard(covey)
    removed = await remove(covey, account_id, key)

    assert (added.status_code, removed.status_code) == (201, 204)
    assert added.json()["key_id"] == str(key_id(key))
    assert added.json()["jwk"] == public_jwk(key)
    assert added.json()["removed_at"] is None
    assert told == [(UUID(account_id), key_id(key), True)]
    assert await heard(covey) == [(UUID(account_id), key_id(key), False)]
    acts = await run(covey, "SELECT act, authority FROM access_log WHERE fact ->> 'kind' = 'key' ORDER BY rev")
    assert acts == [("program.key-registered", "staff"), ("program.key-removed", "staff")]


async def test_all_keys_that_a_program_ever_had_are_listed_by_the_page_the_latest_first(covey: Harness) -> None:
    account_id, other = await program(covey), await program(covey)
    keys = [new_key() for _ in range(3)]
    for key in keys:
        await add(covey, account_id, key)
    await add(covey, other, new_key())
    await remove(covey, account_id, keys[0])

    first = (await covey.api.get(f"/v1/programs/{account_id}/keys", params={"limit": "2"})).json()
    rest = (await covey.api.get(f"/v1/programs/{account_id}/keys", params={"after": first["next"]})).json()

    assert [each["key_id"] for each in first["items"]] == [str(key_id(key)) for key in (keys[2], keys[1])]
    assert [each["key_id"] for each in rest["items"]] == [str(key_id(keys[0]))]
    assert [each["removed_at"] is None for each in first["items"] + rest["items"]] == [True, True, False]


@pytest.mark.parametrize(
    "jwk",
    [
        {"kty": "OKP", "crv": "X25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"},
        {"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"},
        {"kty": "oct", "k": "AAAA"},
        {},
    ],
    ids=range(5),
)
async def test_only_ed25519_keys_are_taken(covey: Harness, jwk: dict[str, Any]) -> None:
    refused = await add(covey, await program(covey), jwk)

    assert (refused.status_code, refused.json()["code"]) == (422, "key-not-good")


async def test_a_private_key_is_refused_by_name_and_neither_kept_nor_logged(covey: Harness, logged: Any) -> None:
    private = new_key().as_dict(private=True)

    refused = await add(covey, await program(covey), dict(private))

    assert (refused.status_code, refused.json()["code"]) == (422, "private-key-shown")
    secret = str(private["d"])
    assert secret not in refused.text
    assert secret not in logged()
    assert await where_kept(covey, secret) == []
    assert await heard(covey) == []


async def test_what_else_is_said_of_a_key_is_not_kept(covey: Harness) -> None:
    key = new_key()

    added = await add(covey, await program(covey), public_jwk(key) | {"kid": "a-canary", "use": "sig"})

    assert added.json()["jwk"] == public_jwk(key)
    assert await run(covey, "SELECT 1 FROM program_key WHERE public_jwk::text LIKE '%canary%'") == []


async def test_a_key_is_one_programs_alone(covey: Harness) -> None:
    account_id, other, key = await program(covey), await program(covey), new_key()
    await add(covey, account_id, key)

    again = [await add(covey, account_id, key), await add(covey, other, key)]
    elsewhere = await remove(covey, other, key)

    assert {(each.status_code, each.json()["code"]) for each in again} == {(409, "key-already-registered")}
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (404, "program-key-not-found")
    assert await heard(covey) == [(UUID(account_id), key_id(key), True)]


async def test_two_programs_that_are_given_the_same_key_at_once_do_not_both_have_it(covey: Harness) -> None:
    programs, key = [await program(covey) for _ in range(4)], new_key()

    answers = await asyncio.gather(*(add(covey, account_id, key) for account_id in programs))

    assert sorted(each.status_code for each in answers) == [201, 409, 409, 409]
    assert len(await heard(covey)) == 1


async def test_a_removed_key_is_never_good_again_for_anybody(covey: Harness) -> None:
    account_id, other, key = await program(covey), await program(covey), new_key()
    await add(covey, account_id, key)
    await remove(covey, account_id, key)

    again = [await add(covey, account_id, key), await add(covey, other, key)]
    twice = await remove(covey, account_id, key)

    assert {(each.status_code, each.json()["code"]) for each in again} == {(409, "key-was-removed")}
    assert (twice.status_code, twice.json()["code"]) == (404, "program-key-not-found")
    assert await heard(covey) == [(UUID(account_id), key_id(key), False)]


async def test_five_keys_are_good_at_a_time(covey: Harness) -> None:
    account_id, first = await program(covey), new_key()
    answers = [await add(covey, account_id, key) for key in (first, *(new_key() for _ in range(5)))]
    elsewhere = await add(covey, await program(covey), new_key())
    await remove(covey, account_id, first)
    after = await add(covey, account_id, new_key())

    assert [each.status_code for each in answers] == [201] * 5 + [409]
    assert answers[5].json()["code"] == "too-many-keys"
    assert (elsewhere.status_code, after.status_code) == (201, 201)


async def test_people_have_no_keys(covey: Harness) -> None:
    who = await somebody(covey)

    for account_id in (str(who.account_id), str(uuid4())):
        answers = [
            await add(covey, account_id, new_key()),
            await covey.api.get(f"/v1/programs/{account_id}/keys"),
        ]
        assert [(each.status_code, each.json()["code"]) for each in answers] == [(404, "program-not-found")] * 2


async def test_who_is_no_longer_staff_when_the_ledger_is_theirs_registers_and_removes_nothing(covey: Harness) -> None:
    account_id, kept, key = await program(covey), new_key(), new_key()
    await add(covey, account_id, kept)
    form = {"first_name": "Ida", "last_name": "Vane", "email": "ida@carrier.example", "rights": [StaffRight.OPERATIONS]}
    made = await covey.client(None).post("/internal/staff", json=form, headers=covey.operator)
    ida = covey.client(UUID(made.json()["account_id"]))

    async def wait_for_the_ledger() -> bool:
        return len(await run(covey, "SELECT 1 FROM pg_locks WHERE NOT granted")) == 2

    async with covey.transaction() as session:
        await session.execute(text("SELECT rev FROM access_ledger FOR UPDATE"))
        path = f"/v1/programs/{account_id}/keys"
        asking = [
            asyncio.create_task(ida.post(path, json={"jwk": public_jwk(key)}, headers=command())),
            asyncio.create_task(ida.delete(f"{path}/{key_id(kept)}", headers=command())),
        ]
        await eventually(wait_for_the_ledger)
        await session.execute(
            text("UPDATE access_fact SET active = false, rev = rev + 100 WHERE kind = 'staff' AND id = :id"),
            {"id": UUID(made.json()["account_id"])},
        )

    assert [(await each).json()["code"] for each in asking] == ["not-yours"] * 2
    assert await heard(covey) == [(UUID(account_id), key_id(kept), True)]
