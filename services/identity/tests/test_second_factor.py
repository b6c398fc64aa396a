"""A second factor: set up, asked for, lost (R-04)."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pyotp
import pytest
from covey_chassis.testing import Harness
from covey_identity.attempts import FREE
from covey_identity.domain.second_factor import DRIFT_STEPS, STEP_S, FactorSecret, SecondFactor

from .accounts import (
    PASSWORD,
    Somebody,
    client_of,
    command,
    comparable,
    exchange,
    letters,
    purposes,
    run,
    session_of,
    sign_on,
    somebody,
    where_kept,
)

TOKEN = "Covey-Session-Token"
FACTOR = "/v1/account/second-factor"
AT = datetime(2026, 3, 8, 9, 30, tzinfo=UTC)


def shown(secret: str, steps: int = 1) -> str:
    """What the app shows so many half minutes from now: the next one, unless it is said.

    An app's clock may be half a minute ahead, and if the half minute ends just now this is the present one. The present one
    turns a factor on (if it ends just now, it is the one before), so that the next one is always later.
    """
    return pyotp.TOTP(secret).at(datetime.now(UTC) + timedelta(seconds=STEP_S * steps))


async def begin(client: httpx.AsyncClient, password: str = PASSWORD) -> httpx.Response:
    return await client.post(FACTOR, json={"password": password})


async def with_factor(covey: Harness) -> tuple[Somebody, httpx.AsyncClient, str, list[str]]:
    """Somebody whose second factor is on, a client of theirs, the app's secret and the recovery codes."""
    who = await somebody(covey)
    client = await client_of(covey, await session_of(covey, who))
    secret = (await begin(client)).json()["secret"]
    on = await client.post(f"{FACTOR}/on", json={"code": shown(secret, 0)})
    assert on.status_code == 200, on.text
    return who, client, secret, on.json()["recovery_codes"]


async def challenge_for(covey: Harness, who: Somebody, password: str = PASSWORD) -> str:
    """The password has been shown."""
    answer = await sign_on(covey, who.user_id, password)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["challenge"])


async def finish(covey: Harness, challenge: str, code: str) -> httpx.Response:
    async with covey.client(None) as anybody:
        return await anybody.post("/v1/sessions/second-factor", json={"challenge": challenge, "code": code})


# --- which digits are good ---


@pytest.mark.parametrize("steps", range(-3, 4))
def test_an_apps_clock_may_be_half_a_minute_off(steps: int) -> None:
    secret = pyotp.random_base32()
    factor = SecondFactor(account_id=uuid4(), sealed_secret="", begun_at=AT)
    opened = FactorSecret(account_id=factor.account_id, secret=secret)

    digits = pyotp.TOTP(secret).at(AT + timedelta(seconds=STEP_S * steps))

    assert factor.accepts(digits, opened, at=AT) == (abs(steps) <= DRIFT_STEPS)


def test_digits_are_good_once_and_earlier_ones_are_not_after_them() -> None:
    secret = pyotp.random_base32()
    factor = SecondFactor(account_id=uuid4(), sealed_secret="", begun_at=AT)
    opened = FactorSecret(account_id=factor.account_id, secret=secret)
    before, now, after = (pyotp.TOTP(secret).at(AT + timedelta(seconds=STEP_S * steps)) for steps in (-1, 0, 1))

    told = [factor.accepts(each, opened, at=AT) for each in (now, now, before, after, after)]

    assert told == [True, False, False, True, False]


def test_a_secret_of_another_account_is_of_no_use() -> None:
    secret = pyotp.random_base32()
    factor = SecondFactor(account_id=uuid4(), sealed_secret="", begun_at=AT)

    assert not factor.accepts(pyotp.TOTP(secret).at(AT), FactorSecret(account_id=uuid4(), secret=secret), at=AT)


# --- setting it up ---


async def test_it_is_asked_for_once_its_holder_has_shown_that_it_works(covey: Harness) -> None:
    who = await somebody(covey)
    client = await client_of(covey, await session_of(covey, who))
    assert (await client.get(FACTOR)).json() == {"on_since": None, "recovery_codes_left": 0}

    begun = await begin(client)
    assert begun.status_code == 201
    secret = begun.json()["secret"]
    assert begun.json()["uri"] == f"otpauth://totp/Covey:{who.user_id}?secret={secret}&issuer=Covey"
    assert (await sign_on(covey, who.user_id)).status_code == 201, "it is not on yet"
    on = await client.post(f"{FACTOR}/on", json={"code": shown(secret)})

    assert on.status_code == 200
    codes = on.json()["recovery_codes"]
    assert (len(codes), len(set(codes)), {len(each) for each in codes}) == (10, 10, {29})
    read = (await client.get(FACTOR)).json()
    assert (read["on_since"] is not None, read["recovery_codes_left"]) == (True, 10)
    assert (await sign_on(covey, who.user_id)).status_code == 202
    assert (await purposes(covey))[-1] == "second-factor-on"


async def test_a_wrong_code_does_not_turn_it_on(covey: Harness) -> None:
    who = await somebody(covey)
    client = await client_of(covey, await session_of(covey, who))
    await begin(client)

    refused = await client.post(f"{FACTOR}/on", json={"code": "000000"})

    assert (refused.status_code, refused.json()["code"]) == (422, "factor-code-wrong")
    assert (await sign_on(covey, who.user_id)).status_code == 201


async def test_the_last_one_that_was_begun_counts(covey: Harness) -> None:
    who = await somebody(covey)
    client = await client_of(covey, await session_of(covey, who))
    first, second = [(await begin(client)).json()["secret"] for _ in range(2)]

    assert (await client.post(f"{FACTOR}/on", json={"code": shown(first)})).status_code == 422
    assert (await client.post(f"{FACTOR}/on", json={"code": shown(second)})).status_code == 200


async def test_one_that_is_on_is_not_replaced_unseen(covey: Harness) -> None:
    _, client, secret, _ = await with_factor(covey)

    again = await begin(client)
    on_again = await client.post(f"{FACTOR}/on", json={"code": shown(secret)})

    assert {(each.status_code, each.json()["code"]) for each in (again, on_again)} == {(409, "second-factor-on")}


async def test_all_other_sessions_end_when_it_is_turned_on(covey: Harness) -> None:
    who = await somebody(covey)
    elsewhere = await session_of(covey, who)
    client = await client_of(covey, await session_of(covey, who))
    begun = await begin(client)

    answer = await client.post(f"{FACTOR}/on", json={"code": shown(begun.json()["secret"])})

    tokens = (elsewhere.token, begun.headers[TOKEN], answer.headers[TOKEN])
    assert [(await exchange(covey, each)).status_code for each in tokens] == [401, 401, 200]
    assert (await client.get("/v1/account")).status_code == 200


@pytest.mark.parametrize("path", ["", "/off", "/recovery-codes"])
async def test_whoever_changes_it_shows_their_password(covey: Harness, path: str) -> None:
    _, client, secret, _ = await with_factor(covey)

    refused = await client.post(
        f"{FACTOR}{path}", json={"password": "another one"} | ({"code": shown(secret)} if path else {})
    )

    assert (refused.status_code, refused.json()["code"]) == (422, "password-wrong")


# --- signing on ---


async def test_whoever_shows_both_is_signed_on(covey: Harness) -> None:
    who, _, secret, _ = await with_factor(covey)

    answer = await finish(covey, await challenge_for(covey, who), shown(secret))

    assert answer.status_code == 201
    assert answer.json()["account_id"] == str(who.account_id)
    assert (await exchange(covey, answer.json()["session_token"])).status_code == 200


async def test_a_challenge_is_no_session(covey: Harness) -> None:
    who, _, _, _ = await with_factor(covey)

    assert (await exchange(covey, await challenge_for(covey, who))).status_code == 401


async def test_digits_may_be_typed_with_spaces(covey: Harness) -> None:
    who, _, secret, _ = await with_factor(covey)
    digits = shown(secret)

    assert (await finish(covey, await challenge_for(covey, who), f" {digits[:3]} {digits[3:]} ")).status_code == 201


async def test_digits_that_somebody_has_seen_are_of_no_use_any_more(covey: Harness) -> None:
    who, _, secret, _ = await with_factor(covey)
    digits = shown(secret)
    first, second = await challenge_for(covey, who), await challenge_for(covey, who)
    assert (await finish(covey, first, digits)).status_code == 201

    replayed = await finish(covey, second, digits)

    assert (replayed.status_code, replayed.json()["code"]) == (422, "factor-code-wrong")


async def test_of_several_who_show_the_same_digits_at_once_one_is_signed_on(covey: Harness) -> None:
    who, _, secret, _ = await with_factor(covey)
    challenges = [await challenge_for(covey, who) for _ in range(4)]
    digits = shown(secret)

    answers = await asyncio.gather(*(finish(covey, each, digits) for each in challenges))

    assert sorted(each.status_code for each in answers) == [201, 422, 422, 422]


async def test_a_challenge_is_met_once_and_expires(covey: Harness) -> None:
    who, _, secret, codes = await with_factor(covey)
    met, late = await challenge_for(covey, who), await challenge_for(covey, who)
    assert (await finish(covey, met, shown(secret))).status_code == 201
    await run(covey, "UPDATE sign_on_challenge SET expires_at = clock_timestamp()")

    refused = [await finish(covey, each, codes[0]) for each in (met, late, "made-up")]

    assert {(each.status_code, each.json()["code"]) for each in refused} == {(401, "challenge-not-good")}
    assert len({str(comparable(each)) for each in refused}) == 1


async def test_a_wrong_code_leaves_the_challenge_good(covey: Harness) -> None:
    who, _, secret, _ = await with_factor(covey)
    challenge = await challenge_for(covey, who)

    assert (await finish(covey, challenge, "000000")).status_code == 422
    assert (await finish(covey, challenge, shown(secret))).status_code == 201


async def test_guesses_are_counted_by_account_however_many_challenges_there_are(covey: Harness) -> None:
    who, _, secret, _ = await with_factor(covey)
    for _ in range(FREE):
        await finish(covey, await challenge_for(covey, who), "000000")

    throttled = await finish(covey, await challenge_for(covey, who), shown(secret))

    assert throttled.status_code == 429
    assert int(throttled.headers["Retry-After"]) >= 1


async def test_a_password_that_is_replaced_makes_its_challenges_void(covey: Harness) -> None:
    who, client, secret, _ = await with_factor(covey)
    challenge = await challenge_for(covey, who)

    await client.put("/v1/account/password", json={"password": PASSWORD, "new_password": "nine slow otters"})

    assert (await finish(covey, challenge, shown(secret))).json()["code"] == "challenge-not-good"


async def test_a_new_password_by_mail_does_not_take_the_second_factors_place(covey: Harness) -> None:
    who, _, _, _ = await with_factor(covey)
    async with covey.client(None) as anybody:
        await anybody.post("/v1/forgotten/password", json={"email": who.email}, headers=command())
        token = (await letters(covey))[-1][1].token
        await anybody.post("/v1/forgotten/password/reset", json={"token": token, "password": "nine slow otters"})

    assert (await sign_on(covey, who.user_id, "nine slow otters")).status_code == 202


async def test_an_account_that_was_locked_meanwhile_stays_out(covey: Harness) -> None:
    who, _, secret, _ = await with_factor(covey)
    challenge = await challenge_for(covey, who)
    await covey.api.post(f"/v1/accounts/{who.account_id}/lock", headers=command())

    assert (await finish(covey, challenge, shown(secret))).status_code == 401
    assert (await sign_on(covey, who.user_id)).json()["code"] == "account-locked"


# --- recovery codes ---


async def test_a_recovery_code_takes_the_apps_place_once_and_its_holder_is_told(covey: Harness) -> None:
    who, client, _, codes = await with_factor(covey)

    first = await finish(covey, await challenge_for(covey, who), codes[3].lower().replace("-", " "))
    again = await finish(covey, await challenge_for(covey, who), codes[3])

    assert (first.status_code, again.status_code) == (201, 422)
    assert (await purposes(covey)).count("recovery-code-used") == 1
    assert (await client.get(FACTOR)).json()["recovery_codes_left"] == 9


async def test_a_recovery_code_is_its_holders_alone(covey: Harness) -> None:
    who, _, _, _ = await with_factor(covey)
    other = await somebody(covey, email="other@alderquist.example.org")
    client = await client_of(covey, await session_of(covey, other))
    secret = (await begin(client)).json()["secret"]
    theirs = (await client.post(f"{FACTOR}/on", json={"code": shown(secret)})).json()["recovery_codes"]

    assert (await finish(covey, await challenge_for(covey, who), theirs[0])).status_code == 422
    assert (await finish(covey, await challenge_for(covey, other), theirs[0])).status_code == 201


async def test_other_recovery_codes_make_the_former_void(covey: Harness) -> None:
    who, client, secret, former = await with_factor(covey)

    answer = await client.post(f"{FACTOR}/recovery-codes", json={"password": PASSWORD, "code": shown(secret)})

    assert answer.status_code == 200
    codes = answer.json()["recovery_codes"]
    assert set(codes).isdisjoint(former)
    assert (await finish(covey, await challenge_for(covey, who), former[0])).status_code == 422
    assert (await finish(covey, await challenge_for(covey, who), codes[0])).status_code == 201


# --- turning it off ---


@pytest.mark.parametrize("by", ["the app", "a recovery code"])
async def test_its_holder_turns_it_off(covey: Harness, by: str) -> None:
    who, client, secret, codes = await with_factor(covey)
    code = shown(secret) if by == "the app" else codes[0]

    answer = await client.post(f"{FACTOR}/off", json={"password": PASSWORD, "code": code})

    assert answer.status_code == 204
    assert (await sign_on(covey, who.user_id)).status_code == 201
    assert (await client.get(FACTOR)).json() == {"on_since": None, "recovery_codes_left": 0}
    assert (await purposes(covey))[-1] == "second-factor-off"


async def test_without_a_code_it_stays_on(covey: Harness) -> None:
    who, client, _, _ = await with_factor(covey)

    refused = await client.post(f"{FACTOR}/off", json={"password": PASSWORD, "code": "000000"})

    assert refused.status_code == 422
    assert (await sign_on(covey, who.user_id)).status_code == 202


async def test_staff_take_one_that_was_lost_and_all_sessions_end(covey: Harness) -> None:
    who, client, _, _ = await with_factor(covey)

    taken = await covey.api.post(f"/v1/accounts/{who.account_id}/second-factor/removal", headers=command())

    assert taken.status_code == 200
    assert (await client.get("/v1/account")).status_code == 401
    assert (await sign_on(covey, who.user_id)).status_code == 201
    assert (await purposes(covey))[-1] == "second-factor-off"
    again = await covey.api.post(f"/v1/accounts/{who.account_id}/second-factor/removal", headers=command())
    assert (again.status_code, again.json()["code"]) == (409, "second-factor-off")


async def test_staff_do_not_take_their_own(covey: Harness) -> None:
    own = (await covey.api.get("/v1/account")).json()["account_id"]

    refused = await covey.api.post(f"/v1/accounts/{own}/second-factor/removal", headers=command())

    assert (refused.status_code, refused.json()["code"]) == (409, "own-account")


# --- secrets ---


async def test_neither_secret_nor_recovery_codes_are_kept_in_clear(covey: Harness) -> None:
    who, _, secret, codes = await with_factor(covey)
    challenge = await challenge_for(covey, who)

    for each in (secret, codes[0], codes[0].replace("-", ""), challenge):
        assert await where_kept(covey, each) == []


async def test_challenges_that_have_expired_are_forgotten(covey: Harness) -> None:
    who, _, _, _ = await with_factor(covey)
    await challenge_for(covey, who)
    await run(covey, "UPDATE sign_on_challenge SET expires_at = clock_timestamp() - interval '1 s'")

    await covey.work("forget-expired")

    assert await run(covey, "SELECT 1 FROM sign_on_challenge") == []
