from typing import Any
from uuid import UUID, uuid4

import pytest
from argon2 import PasswordHasher
from covey_chassis.access import StaffRight
from covey_chassis.testing import Harness
from covey_identity.settings import Settings

from .accounts import (
    PASSWORD,
    client_of,
    command,
    comparable,
    exchange,
    run,
    session_of,
    sign_on,
    somebody,
    statements,
    where_kept,
)


async def make_program(covey: Harness) -> dict[str, str]:
    answer = await covey.api.post("/v1/programs", json={"name": "nightly enrollment"})
    assert answer.status_code == 201
    made: dict[str, str] = answer.json()
    return made


async def test_whoever_has_user_id_and_password_is_signed_on(covey: Harness) -> None:
    who = await somebody(covey)

    answer = await sign_on(covey, who.user_id.upper())

    assert answer.status_code == 201
    said = answer.json()
    assert said["account_id"] == str(who.account_id)
    assert len(said["session_token"]) >= 43
    ((hours,),) = await run(covey, "SELECT extract(epoch FROM expires_at - started_at) / 3600 FROM account_session")
    assert hours == 12


async def test_unknown_user_id_wrong_password_and_a_programs_id_are_refused_alike(covey: Harness) -> None:
    who = await somebody(covey)
    program = await make_program(covey)

    refused = [
        await sign_on(covey, who.user_id, "another password"),
        await sign_on(covey, "z99999"),
        await sign_on(covey, "nothing like a user ID"),
        await sign_on(covey, program["client_id"]),
        await sign_on(covey, program["client_id"], program["client_secret"]),
    ]

    assert refused[0].status_code == 401
    assert refused[0].json()["code"] == "sign-on-refused"
    assert all(comparable(each) == comparable(refused[0]) for each in refused)


async def test_each_refusal_verifies_one_hash(covey: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """The count is of what Argon2 itself is asked: its own library is what takes the time."""
    asked: list[str] = []
    verify = PasswordHasher.verify

    def counted(self: PasswordHasher, stored: str, password: str) -> bool:
        asked.append(stored.rsplit("$", 2)[0])
        return verify(self, stored, password)

    monkeypatch.setattr(PasswordHasher, "verify", counted)
    who = await somebody(covey)
    program = await make_program(covey)

    for name in (who.user_id, "z99999", program["client_id"]):
        await sign_on(covey, name, "another password")

    assert len(asked) == 3
    assert len(set(asked)) == 1, "of the same parameters"


async def test_each_refusal_runs_the_same_statements(covey: Harness) -> None:
    """What a database is asked takes time, too."""
    who = await somebody(covey)
    locked = await somebody(covey, email="other@alderquist.example.org")
    await covey.api.post(f"/v1/accounts/{locked.account_id}/lock", headers=command())
    program = await make_program(covey)

    ran = []
    for name in ("z99999", who.user_id, locked.user_id, program["client_id"]):
        with statements(covey) as each:
            assert (await sign_on(covey, name, "another password")).status_code == 401
        ran.append(each)

    assert any("FROM account" in statement for statement in ran[0])
    assert ran[1:] == [ran[0]] * 3


async def test_a_password_is_hashed_anew_when_the_parameters_rise(covey: Harness) -> None:
    who = await somebody(covey)
    ((before,),) = await run(covey, "SELECT password_hash FROM account WHERE user_id = :user_id", user_id=who.user_id)
    settings = covey.context.settings
    assert isinstance(settings, Settings)
    raised = settings.model_copy(update={"argon2_passes": 2})
    object.__setattr__(covey.context, "settings", raised)

    assert (await sign_on(covey, who.user_id)).status_code == 201

    ((after,),) = await run(covey, "SELECT password_hash FROM account WHERE user_id = :user_id", user_id=who.user_id)
    assert ("t=1," in before, "t=2," in after) == (True, True)
    assert (await sign_on(covey, who.user_id)).status_code == 201
    assert await run(covey, "SELECT password_hash FROM account WHERE user_id = :user_id", user_id=who.user_id) == [
        (after,)
    ]


async def test_neither_token_nor_password_is_kept_or_logged(covey: Harness, logged: Any) -> None:
    who = await somebody(covey)
    session = await session_of(covey, who)
    async with await client_of(covey, session) as client:
        await client.get("/v1/sessions")
        await client.delete("/v1/sessions/current")

    for secret in (session.token, PASSWORD):
        assert await where_kept(covey, secret) == []
        assert secret not in logged()


# --- own sessions ---


async def test_one_sees_ones_own_sessions_by_the_page(covey: Harness) -> None:
    who = await somebody(covey)
    other = await somebody(covey, email="other@alderquist.example.org")
    first, second, third = [await session_of(covey, who) for _ in range(3)]
    await session_of(covey, other)

    async with await client_of(covey, second) as client:
        page = (await client.get("/v1/sessions", params={"limit": 2})).json()
        rest = (await client.get("/v1/sessions", params={"limit": 2, "after": page["next"]})).json()

    seen = [(UUID(each["session_id"]), each["is_current"]) for each in page["items"] + rest["items"]]
    assert {each["origin"] for each in page["items"] + rest["items"]} == {"127.0.0.1"}
    assert seen == [(third.id, False), (second.id, True), (first.id, False)]
    assert rest["next"] is None


async def test_a_session_that_is_over_is_not_listed(covey: Harness) -> None:
    who = await somebody(covey)
    idle, old, ended, current = [await session_of(covey, who) for _ in range(4)]
    await run(covey, "UPDATE account_session SET used_at = now() - interval '15 min' WHERE id = :id", id=idle.id)
    await run(covey, "UPDATE account_session SET expires_at = now() WHERE id = :id", id=old.id)

    async with await client_of(covey, current) as client:
        assert (await client.delete(f"/v1/sessions/{ended.id}")).status_code == 204
        items = (await client.get("/v1/sessions")).json()["items"]

    assert [each["session_id"] for each in items] == [str(current.id)]


async def test_signing_off_ends_the_session_for_every_token_of_it(covey: Harness) -> None:
    who = await somebody(covey)
    session, other = await session_of(covey, who), await session_of(covey, who)
    async with await client_of(covey, session) as client:
        assert (await client.delete("/v1/sessions/current")).status_code == 204

        assert (await client.get("/v1/account")).json()["code"] == "sign-on-needed"
    assert (await exchange(covey, session.token)).status_code == 401
    assert (await exchange(covey, other.token)).status_code == 200
    (fact,) = await run(covey, "SELECT kind, id, account_id, active FROM access_fact WHERE kind = 'session'")
    assert fact == ("session", session.id, who.account_id, False)
    (logged,) = await run(
        covey, "SELECT act, authority, account_id, session_id FROM access_log WHERE fact ->> 'kind' = 'session'"
    )
    assert logged == ("session.ended", "own session", who.account_id, session.id)


async def test_ending_it_again_says_nothing_new(covey: Harness) -> None:
    who = await somebody(covey)
    session, other = await session_of(covey, who), await session_of(covey, who)
    async with await client_of(covey, other) as client:
        answers = [await client.delete(f"/v1/sessions/{session.id}") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [204, 204]
    assert len(await run(covey, "SELECT 1 FROM access_log WHERE act = 'session.ended'")) == 1


async def test_somebody_elses_session_is_not_there(covey: Harness) -> None:
    who = await somebody(covey)
    other = await somebody(covey, email="other@alderquist.example.org")
    theirs = await session_of(covey, other)
    async with await client_of(covey, await session_of(covey, who)) as client:
        refused = await client.delete(f"/v1/sessions/{theirs.id}")
        missing = await client.delete(f"/v1/sessions/{uuid4()}")

    assert [refused.status_code, missing.status_code] == [404, 404]
    assert (await exchange(covey, theirs.token)).status_code == 200


# --- locking ---


async def test_a_locked_account_is_out_at_once_and_its_sessions_are_over(covey: Harness) -> None:
    who = await somebody(covey)
    sessions = [await session_of(covey, who) for _ in range(2)]
    client = await client_of(covey, sessions[0])

    locked = await covey.api.post(f"/v1/accounts/{who.account_id}/lock", headers=command())

    assert locked.status_code == 200
    assert locked.json()["locked_at"]
    assert (await client.get("/v1/account")).status_code in (401, 403)
    assert [(await exchange(covey, each.token)).status_code for each in sessions] == [401, 401]
    await client.aclose()
    facts = await run(
        covey, "SELECT kind, active FROM access_fact WHERE account_id = :id ORDER BY rev", id=who.account_id
    )
    assert facts == [("account", False), ("session", False), ("session", False)]


async def test_only_the_right_password_learns_that_the_account_is_locked(covey: Harness) -> None:
    who = await somebody(covey)
    await covey.api.post(f"/v1/accounts/{who.account_id}/lock", headers=command())

    right, wrong = await sign_on(covey, who.user_id), await sign_on(covey, who.user_id, "another password")

    assert (right.status_code, right.json()["code"]) == (403, "account-locked")
    assert comparable(wrong) == comparable(await sign_on(covey, "z99999"))


async def test_an_unlocked_account_signs_on_anew(covey: Harness) -> None:
    who = await somebody(covey)
    session = await session_of(covey, who)
    for act in ("lock", "lock", "unlock", "unlock"):
        answer = await covey.api.post(f"/v1/accounts/{who.account_id}/{act}", headers=command())
        assert answer.status_code == 200

    assert (await exchange(covey, session.token)).status_code == 401
    async with await client_of(covey, await session_of(covey, who)) as client:
        assert (await client.get("/v1/account")).status_code == 200
    acts = await run(covey, "SELECT act, fact ->> 'active' FROM access_log WHERE act LIKE 'account%' ORDER BY rev")
    assert acts == [("account.locked", "false"), ("account.locked", "false"), ("account.unlocked", "true")]


async def test_locking_takes_the_right_to_decide_on_access(covey: Harness) -> None:
    who = await somebody(covey)
    others = [right for right in StaffRight if right is not StaffRight.ACCESS_APPROVE]
    async with await covey.staff_member(*others) as client, covey.client(who.account_id) as own:
        for act in ("lock", "unlock"):
            path = f"/v1/accounts/{who.account_id}/{act}"
            assert (await client.post(path, headers=command())).status_code == 403
            assert (await own.post(path, headers=command())).status_code == 403

    missing = await covey.api.post(f"/v1/accounts/{uuid4()}/lock", headers=command())
    assert (missing.status_code, missing.json()["code"]) == (404, "account-not-found")
