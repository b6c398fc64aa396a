"""Forgotten user IDs and passwords (R-04)."""

import asyncio

import pytest
from covey_chassis.testing import Harness
from covey_contracts.identity import Letter
from covey_identity.attempts import FREE, MOST

from .accounts import (
    PASSWORD,
    client_of,
    command,
    comparable,
    exchange,
    last_letter,
    letters,
    run,
    session_of,
    sign_on,
    somebody,
    statements,
    where_kept,
)

EMAIL = "ottoline@alderquist.example.org"
NOBODYS = "nobody@alderquist.example.org"
NEW = "nine slow otters"
ASKING = ("user-id", "password")


async def ask(covey: Harness, what: str, email: str = EMAIL, **more: str):
    async with covey.client(None) as anybody:
        return await anybody.post(f"/v1/forgotten/{what}", json={"email": email} | more, headers=command())


async def reset(covey: Harness, token: str | None, password: str = NEW):
    async with covey.client(None) as anybody:
        return await anybody.post("/v1/forgotten/password/reset", json={"token": token, "password": password})


async def token_for(covey: Harness, email: str = EMAIL) -> str:
    assert (await ask(covey, "password", email)).status_code == 202
    token = (await last_letter(covey))[1].token
    assert token
    return token


# --- asking ---


async def test_a_forgotten_user_id_is_mailed_to_the_address_in_the_holders_language(covey: Harness) -> None:
    who = await somebody(covey, language="es")

    answer = await ask(covey, "user-id", EMAIL.upper())

    assert (answer.status_code, answer.json()) == (202, {})
    mail, letter = await last_letter(covey)
    assert (mail.purpose, mail.expires_at) == ("forgotten-user-id", None)
    assert (letter.user_id, letter.token, letter.address, letter.language) == (who.user_id, None, EMAIL, "es")


async def test_a_forgotten_password_is_a_token_that_is_good_for_an_hour(covey: Harness) -> None:
    who = await somebody(covey)

    answer = await ask(covey, "password")

    assert (answer.status_code, answer.json()) == (202, {"valid_minutes": 60})
    mail, letter = await last_letter(covey)
    assert (mail.purpose, letter.user_id, letter.address) == ("reset-password", who.user_id, EMAIL)
    assert len(letter.token or "") >= 43
    ((minutes,),) = await run(covey, "SELECT extract(epoch FROM expires_at - clock_timestamp()) / 60 FROM mailed_token")
    assert 59 < minutes <= 60


@pytest.mark.parametrize("what", ASKING)
async def test_no_answer_tells_whether_an_address_has_an_account(covey: Harness, what: str) -> None:
    await somebody(covey)

    known, unknown = await ask(covey, what), await ask(covey, what, NOBODYS, language="es")

    assert comparable(known) == comparable(unknown)
    mail, letter = await last_letter(covey)
    assert (mail.purpose, mail.expires_at) == ("no-account", None)
    assert letter == Letter(first_name="", last_name="", address=NOBODYS, language="es")


@pytest.mark.parametrize("what", ASKING)
async def test_the_same_work_is_done_whether_or_not_there_is_an_account(covey: Harness, what: str) -> None:
    await somebody(covey)

    with statements(covey) as for_somebody:
        await ask(covey, what)
    with statements(covey) as for_nobody:
        await ask(covey, what, NOBODYS)

    assert for_somebody == for_nobody


@pytest.mark.parametrize("what", ASKING)
@pytest.mark.parametrize("email", [EMAIL, NOBODYS])
async def test_after_some_there_are_pauses_in_which_nothing_is_sent_and_nobody_is_told(
    covey: Harness, what: str, email: str
) -> None:
    await somebody(covey)
    answers = [await ask(covey, what, email) for _ in range(FREE)]
    before = len(await letters(covey))

    during = await ask(covey, what, email)

    assert len(await letters(covey)) == before
    assert comparable(during) == comparable(answers[0])


async def test_a_pause_for_one_kind_of_mail_is_none_for_another(covey: Harness) -> None:
    await somebody(covey)
    for _ in range(FREE + 1):
        await ask(covey, "user-id")

    await ask(covey, "password")

    assert (await last_letter(covey))[0].purpose == "reset-password"


# --- choosing a new password ---


async def test_the_new_password_is_good_and_the_old_one_is_not(covey: Harness) -> None:
    who = await somebody(covey)

    answer = await reset(covey, await token_for(covey))

    assert (answer.status_code, answer.json()) == (200, {"user_id": who.user_id})
    assert (await sign_on(covey, who.user_id, PASSWORD)).status_code == 401
    assert (await sign_on(covey, who.user_id, NEW)).status_code == 201


async def test_nobody_is_signed_on_by_it_and_all_sessions_end(covey: Harness) -> None:
    who = await somebody(covey)
    session = await session_of(covey, who)
    client = await client_of(covey, session)

    answer = await reset(covey, await token_for(covey))

    assert "set-cookie" not in answer.headers
    assert (await exchange(covey, session.token)).status_code == 401
    assert (await client.get("/v1/account")).status_code == 401
    assert await run(covey, "SELECT authority, account_id FROM access_log WHERE act = 'password.reset'") == [
        ("mailed token", who.account_id)
    ]


async def test_the_holder_is_told_of_it(covey: Harness) -> None:
    who = await somebody(covey)

    await reset(covey, await token_for(covey))

    mail, letter = await last_letter(covey)
    assert (mail.purpose, letter.address, letter.user_id, letter.token) == (
        "password-changed",
        EMAIL,
        who.user_id,
        None,
    )


async def test_a_token_is_good_once_and_with_it_all_others_of_the_account(covey: Harness) -> None:
    await somebody(covey)
    first, second = await token_for(covey), await token_for(covey)
    assert (await reset(covey, first)).status_code == 200

    again, other = await reset(covey, first), await reset(covey, second)

    assert comparable(again) == comparable(other) == comparable(await reset(covey, "made-up"))
    assert (again.status_code, again.json()["code"]) == (422, "mailed-token-not-good")


async def test_of_several_at_once_one_chooses_the_password(covey: Harness) -> None:
    who = await somebody(covey)
    tokens = [await token_for(covey), await token_for(covey)]
    passwords = [f"{NEW} {n}" for n in range(6)]

    answers = await asyncio.gather(*(reset(covey, tokens[n % 2], each) for n, each in enumerate(passwords)))

    assert sorted(each.status_code for each in answers) == [200, 422, 422, 422, 422, 422]
    (won,) = [each for each, answer in zip(passwords, answers, strict=True) if answer.status_code == 200]
    assert (await sign_on(covey, who.user_id, won)).status_code == 201


async def test_a_token_expires(covey: Harness) -> None:
    await somebody(covey)
    token = await token_for(covey)
    await run(covey, "UPDATE mailed_token SET expires_at = clock_timestamp()")

    assert comparable(await reset(covey, token)) == comparable(await reset(covey, "made-up"))


@pytest.mark.parametrize("password", ["short", "password123", "OTTOLINE is here"])
async def test_a_password_that_is_refused_leaves_the_token_good(covey: Harness, password: str) -> None:
    await somebody(covey)
    token = await token_for(covey)

    refused = await reset(covey, token, password)

    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/password")
    assert (await reset(covey, token)).status_code == 200


async def test_whoever_has_waited_out_no_pause_signs_on_with_the_new_password_at_once(covey: Harness) -> None:
    """A stranger who guesses keeps nobody out who reads their own mail."""
    who = await somebody(covey)
    for _ in range(FREE + 1):
        await sign_on(covey, who.user_id, "a guess")
    assert (await sign_on(covey, who.user_id)).status_code == 429

    await reset(covey, await token_for(covey))

    assert (await sign_on(covey, who.user_id, NEW)).status_code == 201


async def test_an_account_that_is_locked_stays_locked(covey: Harness) -> None:
    who = await somebody(covey)
    await covey.api.post(f"/v1/accounts/{who.account_id}/lock", headers=command())

    assert (await reset(covey, await token_for(covey))).status_code == 200

    refused = await sign_on(covey, who.user_id, NEW)
    assert (refused.status_code, refused.json()["code"]) == (403, "account-locked")


async def test_a_token_for_a_new_address_does_not_choose_a_password(covey: Harness) -> None:
    who = await somebody(covey)
    client = await client_of(covey, await session_of(covey, who))
    await client.post("/v1/account/addresses", json={"email": NOBODYS, "password": PASSWORD})
    token = (await last_letter(covey))[1].token

    assert comparable(await reset(covey, token)) == comparable(await reset(covey, "made-up"))


async def test_the_token_is_kept_as_a_hash_alone_and_sealed_for_its_reader(covey: Harness) -> None:
    await somebody(covey)

    assert await where_kept(covey, await token_for(covey)) == []


async def test_expired_tokens_are_forgotten(covey: Harness) -> None:
    await somebody(covey)
    await token_for(covey)
    await run(covey, "UPDATE mailed_token SET expires_at = clock_timestamp() - interval '1 s'")
    late = await token_for(covey)

    await covey.work("forget-expired")

    assert await run(covey, "SELECT count(*) FROM mailed_token") == [(1,)]
    assert (await reset(covey, late)).status_code == 200


async def test_a_new_password_opens_what_a_hundred_failures_have_closed(covey: Harness) -> None:
    who = await somebody(covey)
    await sign_on(covey, who.user_id, "wrong")
    await run(covey, "UPDATE attempt SET failures = :most - 1 WHERE purpose = 'sign-on'", most=MOST)
    await sign_on(covey, who.user_id, "wrong")
    assert (await sign_on(covey, who.user_id)).status_code == 429

    assert (await reset(covey, await token_for(covey))).status_code == 200

    assert (await sign_on(covey, who.user_id, NEW)).status_code == 201
