"""What people change of their own account (R-13)."""

from typing import Any

import httpx
import pyotp
import pytest
from covey_chassis.testing import Harness
from covey_contracts.identity import AccountChanged, Letter, Person
from covey_identity.attempts import FREE
from covey_identity.domain.account import Account, AccountKind, NotAPerson, PersonalData

from .accounts import (
    PASSWORD,
    Somebody,
    client_of,
    command,
    comparable,
    exchange,
    last_letter,
    purposes,
    run,
    session_of,
    sign_on,
    somebody,
    where_kept,
)
from .story import Story

EMAIL = "ottoline@alderquist.example.org"
OTHER = "ottoline@home.example.org"
NEW = "nine slow otters"


async def signed_on(covey: Harness, **different: Any) -> tuple[Somebody, httpx.AsyncClient]:
    """Somebody, and their client in a session of their own."""
    who = await somebody(covey, **different)
    return who, await client_of(covey, await session_of(covey, who))


async def change(client: httpx.AsyncClient, version: str | None = None, **changes: Any) -> httpx.Response:
    """On the account as it is now, unless a version is given."""
    version = version or (await client.get("/v1/account")).headers["ETag"]
    return await client.patch("/v1/account", json=changes, headers=command(If_Match=version))


# --- name, company, language, market region ---


async def test_what_is_said_is_changed_and_the_rest_stays(covey: Harness) -> None:
    who, client = await signed_on(covey, middle_initial="q")
    before = (await client.get("/v1/account")).json()

    answer = await change(client, last_name="Farrow-Pike", language="es", market_region="Oregon")

    assert answer.status_code == 200
    assert answer.json() == before | {"last_name": "Farrow-Pike", "language": "es", "market_region": "Oregon"}
    read = await client.get("/v1/account")
    assert (read.json(), read.headers["ETag"]) == (answer.json(), answer.headers["ETag"])
    published = (await covey.published(AccountChanged))[-1]
    assert isinstance(published.event, AccountChanged)
    assert published.event.market_region == "Oregon"
    person = covey.context.keyring.open(published.event.sealed, Person)
    assert person == Person(
        first_name="Ottoline", last_name="Farrow-Pike", address=EMAIL, language="es", user_id=who.user_id
    )


async def test_a_middle_initial_can_be_taken_away(covey: Harness) -> None:
    _, client = await signed_on(covey, middle_initial="q")

    assert (await change(client, middle_initial="")).json()["middle_initial"] == ""


async def test_what_changes_nothing_is_told_to_nobody(covey: Harness) -> None:
    _, client = await signed_on(covey)

    answer = await change(client, first_name="Ottoline")

    assert answer.status_code == 200
    assert await covey.published(AccountChanged) == []


async def test_two_who_edit_do_not_overwrite_each_other(covey: Harness) -> None:
    _, client = await signed_on(covey)
    version = (await client.get("/v1/account")).headers["ETag"]
    assert (await change(client, version, company="Alderquist & Farrow")).status_code == 200

    late = await change(client, version, company="Farrow Alone")

    assert (late.status_code, late.json()["code"]) == (412, "stale-version")
    assert (await client.get("/v1/account")).json()["company"] == "Alderquist & Farrow"


@pytest.mark.parametrize(
    "body",
    [
        {"first_name": " "},
        {"last_name": "see www.evil.example"},
        {"language": "tlh"},
        {"user_id": "a00001"},
        {"kind": "program"},
        {"password_hash": "x"},
        {"addresses": [OTHER]},
    ],
)
async def test_what_cannot_be_changed_so_is_refused_by_field(covey: Harness, body: dict[str, Any]) -> None:
    _, client = await signed_on(covey)

    refused = await change(client, **body)

    assert refused.status_code == 422
    assert [each["pointer"] for each in refused.json()["errors"]] == [f"/{name}" for name in body]


def test_a_program_has_nothing_of_a_person() -> None:
    program = Account(user_id="p00001", kind=AccountKind.PROGRAM, program_name="nightly", created_at=None)

    with pytest.raises(NotAPerson):
        program.change(PersonalData(first_name="Ada"), seal=lambda body: "a.b.c.d.e")


# --- the password ---


async def replace(client: httpx.AsyncClient, password: str = PASSWORD, new: str = NEW) -> httpx.Response:
    return await client.put("/v1/account/password", json={"password": password, "new_password": new})


async def test_a_new_password_takes_the_place_of_the_old_one(covey: Harness) -> None:
    who, client = await signed_on(covey)

    assert (await replace(client)).status_code == 204

    assert (await sign_on(covey, who.user_id, PASSWORD)).status_code == 401
    assert (await sign_on(covey, who.user_id, NEW)).status_code == 201
    mail, letter = await last_letter(covey)
    assert (mail.purpose, letter.address, letter.token) == ("password-changed", EMAIL, None)


async def test_all_other_sessions_end_and_this_one_goes_on(covey: Harness) -> None:
    who = await somebody(covey)
    here, elsewhere = await session_of(covey, who), await session_of(covey, who)
    client, other = await client_of(covey, here), await client_of(covey, elsewhere)

    answer = await replace(client)

    assert [(await each.get("/v1/account")).status_code for each in (client, other)] == [200, 401]
    tokens = (here.token, answer.headers["Covey-Session-Token"], elsewhere.token)
    assert [(await exchange(covey, each)).status_code for each in tokens] == [401, 200, 401]


@pytest.mark.parametrize(
    ("method", "path", "said"),
    [
        ("POST", "/addresses", {"email": "other@people.example"}),
        ("PUT", "/addresses/main", {"email": EMAIL}),
        ("POST", "/second-factor", {}),
        ("PUT", "/password", {"new_password": NEW}),
    ],
)
async def test_whoever_shows_their_password_goes_on_by_another_token_and_a_refusal_gives_none(
    covey: Harness, method: str, path: str, said: dict[str, str]
) -> None:
    here = await session_of(covey, await somebody(covey))
    client = await client_of(covey, here)

    for password, renewed in (("another one", False), (None, False), (PASSWORD, True)):
        body = said if password is None else {"password": password, **said}
        answer = await client.request(method, f"/v1/account{path}", json=body)
        assert answer.is_success == renewed, answer.text
        assert ("Covey-Session-Token" in answer.headers) == renewed
        assert ((await exchange(covey, here.token)).status_code == 200) != renewed

    assert (await exchange(covey, answer.headers["Covey-Session-Token"])).status_code == 200
    assert (await client.get("/v1/account")).status_code == 200, "it is the same session"


@pytest.mark.parametrize(
    ("method", "path", "said", "refusal"),
    [
        ("POST", "/addresses", {"email": EMAIL}, "address-already-yours"),
        ("POST", "/addresses/removal", {"email": EMAIL}, "main-address-stays"),
        ("PUT", "/addresses/main", {"email": "nobody@people.example"}, "address-not-found"),
        ("POST", "/second-factor/off", {"code": "123456"}, "second-factor-off"),
        ("POST", "/passkeys/0190f1c0-0000-7000-8000-000000000001/removal", {}, "passkey-not-found"),
    ],
)
async def test_whoever_is_refused_after_their_password_was_right_keeps_their_token(
    covey: Harness, method: str, path: str, said: dict[str, str], refusal: str
) -> None:
    here = await session_of(covey, await somebody(covey))
    client = await client_of(covey, here)

    answer = await client.request(method, f"/v1/account{path}", json={"password": PASSWORD, **said})

    assert answer.json()["code"] == refusal
    assert "Covey-Session-Token" not in answer.headers
    assert (await exchange(covey, here.token)).status_code == 200


async def test_a_token_for_a_forgotten_password_is_of_no_use_after_it(covey: Harness) -> None:
    _, client = await signed_on(covey)
    async with covey.client(None) as anybody:
        await anybody.post("/v1/forgotten/password", json={"email": EMAIL}, headers=command())
        token = (await last_letter(covey))[1].token

        await replace(client)

        late = await anybody.post("/v1/forgotten/password/reset", json={"token": token, "password": "ten odd newts"})
    assert late.status_code == 422


async def test_without_the_password_nothing_is_changed_and_it_counts_as_a_failure(covey: Harness) -> None:
    who, client = await signed_on(covey)

    refused = [await replace(client, "another one") for _ in range(FREE)]

    assert {(each.status_code, each.json()["code"]) for each in refused} == {(422, "password-wrong")}
    assert refused[0].json()["errors"] == [{"pointer": "/password", "detail": "is not your password"}]
    assert (await replace(client)).status_code == 429
    assert (await sign_on(covey, who.user_id)).status_code == 429, "there is one count, wherever somebody guesses"


async def test_a_right_password_forgets_the_failures(covey: Harness) -> None:
    _, client = await signed_on(covey)
    await replace(client, "another one")

    await replace(client)

    assert await run(covey, "SELECT 1 FROM attempt WHERE purpose = 'sign-on'") == []


async def test_a_right_password_is_no_failure_whatever_else_is_refused(covey: Harness) -> None:
    who, client = await signed_on(covey)
    for _ in range(FREE + 1):
        assert (await replace(client, new="short")).status_code == 422

    assert (await sign_on(covey, who.user_id)).status_code == 201


async def test_what_a_thief_has_begun_with_the_former_password_comes_to_nothing(covey: Harness) -> None:
    """They have the session's token, too."""
    who, client = await signed_on(covey)
    await ask(client, "thief@evil.example.org")
    token = (await last_letter(covey))[1].token
    factor = await client.post("/v1/account/second-factor", json={"password": PASSWORD})

    await replace(client)

    assert (await prove(client, token)).status_code == 422
    code = pyotp.TOTP(factor.json()["secret"]).now()
    late = await client.post("/v1/account/second-factor/on", json={"code": code})
    assert (late.status_code, late.json()["code"]) == (409, "second-factor-off")
    assert (await sign_on(covey, who.user_id, NEW)).status_code == 201


@pytest.mark.parametrize("new", ["short", "password123", "Farrow forever"])
async def test_a_new_password_that_is_not_good_is_refused(covey: Harness, new: str) -> None:
    _, client = await signed_on(covey)

    refused = await replace(client, new=new)

    assert (refused.status_code, refused.json()["code"]) == (422, "password-not-good")
    assert refused.json()["errors"][0]["pointer"] == "/new_password"


# --- addresses ---


async def ask(client: httpx.AsyncClient, email: str = OTHER, password: str = PASSWORD) -> httpx.Response:
    return await client.post("/v1/account/addresses", json={"email": email, "password": password})


async def prove(client: httpx.AsyncClient, token: str | None) -> httpx.Response:
    return await client.post("/v1/account/addresses/verification", json={"token": token})


async def with_two_addresses(covey: Harness) -> tuple[Somebody, httpx.AsyncClient]:
    """Somebody who is written to at the other one."""
    who, client = await signed_on(covey)
    assert (await ask(client)).status_code == 202
    assert (await prove(client, (await last_letter(covey))[1].token)).status_code == 200
    return who, client


async def test_another_address_is_proven_before_it_is_used(covey: Harness) -> None:
    who, client = await signed_on(covey)

    answer = await ask(client)

    assert (answer.status_code, answer.json()) == (202, {"valid_hours": 24})
    mail, letter = await last_letter(covey)
    assert (mail.purpose, letter.address, letter.user_id) == ("verify-new-address", OTHER, who.user_id)
    assert (await client.get("/v1/account")).json()["addresses"] == [EMAIL]
    proven = await prove(client, letter.token)
    assert (proven.status_code, proven.json()["addresses"]) == (200, [OTHER, EMAIL])
    published = (await covey.published(AccountChanged))[-1].event
    assert isinstance(published, AccountChanged)
    assert covey.context.keyring.open(published.sealed, Person).address == OTHER


async def test_whoever_was_written_to_at_the_former_address_is_told_there(covey: Harness) -> None:
    await with_two_addresses(covey)

    mail, letter = await last_letter(covey)

    assert (mail.purpose, letter.address, letter.token) == ("address-changed", EMAIL, None)


async def test_whether_an_address_is_somebody_elses_is_told_to_its_mailbox_alone(covey: Harness) -> None:
    _, client = await signed_on(covey)
    other = await somebody(covey, email="other@alderquist.example.org")

    free, taken = await ask(client), await ask(client, other.email)

    assert comparable(free) == comparable(taken)
    mail, letter = await last_letter(covey)
    assert (mail.purpose, letter.address, letter.user_id, letter.token) == (
        "already-registered",
        other.email,
        other.user_id,
        None,
    )


async def test_a_token_is_of_use_to_nobody_else_and_only_once(covey: Harness) -> None:
    _, client = await signed_on(covey)
    _, stranger = await signed_on(covey, email="other@alderquist.example.org")
    await ask(client)
    token = (await last_letter(covey))[1].token

    by_another = await prove(stranger, token)
    first = await prove(client, token)
    again = await prove(client, token)

    assert first.status_code == 200
    assert comparable(by_another) == comparable(again) == comparable(await prove(client, "made-up"))
    assert (again.status_code, again.json()["code"]) == (422, "mailed-token-not-good")


async def test_an_address_that_somebody_else_has_proven_meanwhile_is_theirs(covey: Harness) -> None:
    _, client = await signed_on(covey)
    await ask(client)
    token = (await last_letter(covey))[1].token
    await somebody(covey, email=OTHER)

    assert (await prove(client, token)).status_code == 422


async def test_an_address_that_is_ones_own_already_is_said_so(covey: Harness) -> None:
    _, client = await signed_on(covey)

    refused = await ask(client, EMAIL.upper())

    assert (refused.status_code, refused.json()["code"]) == (409, "address-already-yours")


async def test_an_address_is_written_to_only_so_often_and_nobody_is_told(covey: Harness) -> None:
    _, client = await signed_on(covey)
    answers = [await ask(client) for _ in range(FREE + 2)]

    assert len({str(comparable(each)) for each in answers}) == 1
    assert (await purposes(covey)).count("verify-new-address") == FREE


async def test_one_can_go_back_to_a_former_address(covey: Harness) -> None:
    _, client = await with_two_addresses(covey)

    answer = await client.put("/v1/account/addresses/main", json={"email": EMAIL, "password": PASSWORD})

    assert (answer.status_code, answer.json()["addresses"]) == (200, [EMAIL, OTHER])
    mail, letter = await last_letter(covey)
    assert (mail.purpose, letter.address) == ("address-changed", OTHER)


async def test_choosing_the_address_that_is_the_main_one_changes_nothing(covey: Harness) -> None:
    _, client = await with_two_addresses(covey)
    before = await purposes(covey)

    answer = await client.put("/v1/account/addresses/main", json={"email": OTHER, "password": PASSWORD})

    assert answer.status_code == 200
    assert await purposes(covey) == before


async def test_a_former_employers_address_is_taken_out_and_opens_nothing_any_more(covey: Harness) -> None:
    _, client = await with_two_addresses(covey)
    async with covey.client(None) as anybody:
        await anybody.post("/v1/forgotten/password", json={"email": EMAIL}, headers=command())
        token = (await last_letter(covey))[1].token

        answer = await client.post("/v1/account/addresses/removal", json={"email": EMAIL, "password": PASSWORD})

        assert (answer.status_code, answer.json()["addresses"]) == (200, [OTHER])
        mail, letter = await last_letter(covey)
        assert (mail.purpose, letter) == (
            "address-removed",
            Letter(first_name="", last_name="", address=EMAIL, language="en"),
        )
        late = await anybody.post("/v1/forgotten/password/reset", json={"token": token, "password": NEW})
        assert late.status_code == 422
        await anybody.post("/v1/forgotten/password", json={"email": EMAIL}, headers=command())
        assert (await last_letter(covey))[0].purpose == "no-account"


async def test_the_address_that_one_is_written_to_stays(covey: Harness) -> None:
    _, client = await with_two_addresses(covey)

    refused = await client.post("/v1/account/addresses/removal", json={"email": OTHER, "password": PASSWORD})

    assert (refused.status_code, refused.json()["code"]) == (409, "main-address-stays")


@pytest.mark.parametrize(("method", "path"), [("PUT", "main"), ("POST", "removal")])
async def test_an_address_that_one_has_not_is_not_found(covey: Harness, method: str, path: str) -> None:
    _, client = await signed_on(covey)
    other = await somebody(covey, email="other@alderquist.example.org")

    for email in (other.email, "nobody@alderquist.example.org"):
        answer = await client.request(
            method, f"/v1/account/addresses/{path}", json={"email": email, "password": PASSWORD}
        )
        assert (answer.status_code, answer.json()["code"]) == (404, "address-not-found")


@pytest.mark.parametrize(("method", "path"), [("POST", ""), ("PUT", "/main"), ("POST", "/removal")])
async def test_whoever_changes_addresses_shows_their_password(covey: Harness, method: str, path: str) -> None:
    _, client = await with_two_addresses(covey)
    before = (await client.get("/v1/account")).json()

    refused = await client.request(
        method, f"/v1/account/addresses{path}", json={"email": EMAIL, "password": "another one"}
    )

    assert (refused.status_code, refused.json()["code"]) == (422, "password-wrong")
    assert (await client.get("/v1/account")).json() == before


async def test_what_was_given_by_an_address_stays_when_it_is_taken_out(covey: Harness) -> None:
    story = Story(covey)
    group = await story.group()
    primary = await story.primary(group)
    _, client = await with_two_addresses(covey)
    added = await story.add(primary, group, EMAIL)
    assert added.status_code == 201
    code = await story.code()
    await client.post("/v1/access-codes/redemption", json={"code": code}, headers=command(Prefer="wait=0"))

    await client.post("/v1/account/addresses/removal", json={"email": EMAIL, "password": PASSWORD})

    held = (await client.get("/v1/access/groups")).json()["items"]
    assert [each["group_id"] for each in held] == [str(group)]


async def test_a_token_for_an_address_is_kept_as_a_hash_alone(covey: Harness) -> None:
    _, client = await signed_on(covey)
    await ask(client)

    assert await where_kept(covey, (await last_letter(covey))[1].token or "") == []
