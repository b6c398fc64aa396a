"""Passkeys: added, signed on with, removed (R-04). Their authenticators are software, and sign for real."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pyotp
import pytest
from covey_chassis.testing import Harness, ServiceHarness
from covey_identity.app import service
from covey_identity.domain.passkey import PASSKEYS_MAX, Passkey, PasskeyCopied, PasskeyRefused
from covey_identity.domain.passkey_challenge import CHALLENGE_MINUTES, good_until, new_challenge
from covey_identity.passkeys import SIGNING_ON, RelyingParty, relying_party
from covey_identity.settings import Settings
from pydantic import ValidationError
from webauthn.helpers import bytes_to_base64url

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
    statements,
    where_kept,
)
from .authenticator import (
    DOMAIN,
    MAY_SYNC,
    PORTAL,
    PRESENT,
    SYNCED,
    VERIFIED,
    Authenticator,
    Credential,
    Key,
    Options,
    bytes_of,
    eddsa,
    es256,
)
from .conftest import SETTINGS

OWN, SIGN_ON = "/v1/account/passkeys", "/v1/sessions/passkey"
NEW = "nine slow otters"
AT = datetime(2026, 3, 8, 9, 30, tzinfo=UTC)


async def signed_on(
    covey: Harness, email: str = "ottoline@alderquist.example.org"
) -> tuple[Somebody, httpx.AsyncClient]:
    """Somebody, and their client in a session of their own."""
    who = await somebody(covey, email=email)
    return who, await client_of(covey, await session_of(covey, who))


async def options_for(client: httpx.AsyncClient, password: str = PASSWORD) -> Options:
    """What the browser of whoever adds a passkey is given."""
    answer = await client.post(f"{OWN}/options", json={"password": password})
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["options"])


async def send(client: httpx.AsyncClient, credential: Credential, name: str = "Work laptop") -> httpx.Response:
    return await client.post(OWN, json={"name": name, "credential": credential}, headers=command())


async def add(client: httpx.AsyncClient, device: Authenticator, name: str = "Work laptop") -> str:
    """The device's passkey is theirs; its ID."""
    added = await send(client, device.make(await options_for(client)), name)
    assert added.status_code == 201, added.text
    return str(added.json()["passkey_id"])


async def with_passkey(covey: Harness) -> tuple[Somebody, httpx.AsyncClient, Authenticator]:
    """Somebody who has a passkey, their client and their device."""
    who, client = await signed_on(covey)
    device = Authenticator()
    await add(client, device)
    return who, client, device


async def challenge(covey: Harness) -> Options:
    """What the browser of whoever signs on is given."""
    async with covey.client(None) as anybody:
        answer = await anybody.post(f"{SIGN_ON}/options")
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["options"])


async def show(covey: Harness, credential: Credential) -> httpx.Response:
    async with covey.client(None) as anybody:
        return await anybody.post(SIGN_ON, json={"credential": credential})


async def by_passkey(covey: Harness, device: Authenticator) -> httpx.Response:
    """The answer to somebody who signs on with it."""
    return await show(covey, device.sign(await challenge(covey)))


async def audited(covey: Harness, *acts: str) -> list[tuple[str, str, dict[str, Any]]]:
    rows = await run(
        covey,
        "SELECT act, outcome, details FROM audit_entry WHERE act = ANY(:acts) ORDER BY id",
        acts=list(acts),
    )
    return [tuple(row) for row in rows]


def made_at(at: datetime, bound_to: str = SIGNING_ON) -> Options:
    """Options with a challenge that this service made then."""
    made, _ = new_challenge(SETTINGS["code_secret"], bound_to, at=at)
    return {"challenge": bytes_to_base64url(made)}


# --- challenges ---


def test_a_challenge_is_good_for_five_minutes_and_for_what_it_was_made_for() -> None:
    made, expires_at = new_challenge("a secret", "sign-on", at=AT)

    assert expires_at == AT + timedelta(minutes=CHALLENGE_MINUTES)
    assert good_until(made, "a secret", "sign-on", at=expires_at - timedelta(microseconds=1)) == expires_at
    assert good_until(made, "a secret", "sign-on", at=expires_at) is None
    assert good_until(made, "a secret", "add something", at=AT) is None
    assert good_until(made, "another secret", "sign-on", at=AT) is None
    assert new_challenge("a secret", "sign-on", at=AT)[0] != made


@pytest.mark.parametrize("place", range(0, 56, 5))
def test_a_challenge_in_which_any_byte_is_another_is_not_good(place: int) -> None:
    made, _ = new_challenge("a secret", "sign-on", at=AT)
    forged = made[:place] + bytes([made[place] ^ 1]) + made[place + 1 :]

    assert good_until(forged, "a secret", "sign-on", at=AT) is None


@pytest.mark.parametrize("text", [b"", b"x", bytes(56), bytes(1000)])
def test_what_is_no_challenge_is_not_good(text: bytes) -> None:
    assert good_until(text, "a secret", "sign-on", at=AT) is None


# --- what it counts ---


@pytest.mark.parametrize(
    ("before", "now", "good"),
    [(0, 0, True), (0, 1, True), (7, 8, True), (7, 4_000_000_000, True), (7, 7, False), (7, 6, False), (7, 0, False)],
)
def test_signatures_are_counted_upwards_or_not_at_all(before: int, now: int, good: bool) -> None:
    passkey = _passkey(sign_count=before)

    if good:
        passkey.use(now, backup_eligible=False, backed_up=False, at=AT)
        assert (passkey.sign_count, passkey.last_used_at) == (now, AT)
    else:
        with pytest.raises(PasskeyCopied):
            passkey.use(now, backup_eligible=False, backed_up=False, at=AT)
        assert (passkey.sign_count, passkey.last_used_at) == (before, None)


@pytest.mark.parametrize("could", [True, False])
def test_whether_it_can_be_synced_is_for_good(could: bool) -> None:
    passkey = _passkey(backup_eligible=could)

    with pytest.raises(PasskeyRefused):
        passkey.use(1, backup_eligible=not could, backed_up=False, at=AT)


def _passkey(**different: Any) -> Passkey:
    plain: dict[str, Any] = {
        "account_id": uuid4(),
        "name": "Work laptop",
        "credential_id": b"id",
        "public_key": b"key",
        "sign_count": 0,
        "transports": [],
        "backup_eligible": False,
        "backed_up": False,
        "created_at": AT,
    }
    return Passkey(**plain | different)


# --- adding one ---


@pytest.mark.parametrize("algorithm", [es256, eddsa])
async def test_whoever_has_added_one_signs_on_with_it(covey: Harness, algorithm: Callable[[], Key]) -> None:
    who, client = await signed_on(covey)
    assert (await client.get(OWN)).json() == {"is_offered": True, "items": []}
    device = Authenticator(algorithm())

    added = await send(client, device.make(await options_for(client)))
    answer = await by_passkey(covey, device)

    assert added.status_code == 201, added.text
    assert added.json() | {"passkey_id": None, "created_at": None} == {
        "passkey_id": None,
        "name": "Work laptop",
        "created_at": None,
        "last_used_at": None,
        "is_synced": False,
    }
    assert (await purposes(covey))[-1] == "passkey-added"
    assert (await last_letter(covey))[1].user_id == who.user_id
    assert answer.status_code == 201, answer.text
    assert answer.json().keys() == (await sign_on(covey, who.user_id)).json().keys()
    assert answer.json()["account_id"] == str(who.account_id)
    assert (await exchange(covey, answer.json()["session_token"])).status_code == 200
    (shown,) = (await client.get(OWN)).json()["items"]
    assert shown["passkey_id"] == added.json()["passkey_id"]
    assert shown["last_used_at"] is not None


async def test_the_browser_is_asked_for_one_that_names_its_account_and_is_unlocked(covey: Harness) -> None:
    who, client = await signed_on(covey)

    asked = await options_for(client)

    assert asked["rp"] == {"id": DOMAIN, "name": "Covey"}
    assert (asked["user"]["name"], asked["user"]["displayName"]) == (who.user_id, "Ottoline Farrow")
    assert {each["alg"] for each in asked["pubKeyCredParams"]} == {-7, -8, -257}
    assert asked["authenticatorSelection"] == {
        "residentKey": "required",
        "requireResidentKey": True,
        "userVerification": "required",
    }
    assert (asked["attestation"], asked["timeout"], asked["excludeCredentials"]) == ("none", 300_000, [])


async def test_an_account_is_known_by_one_random_handle_and_its_devices_are_named(covey: Harness) -> None:
    who, client, device = await with_passkey(covey)
    _, other = await signed_on(covey, "other@alderquist.example.org")

    again, theirs = await options_for(client), await options_for(other)

    handle = bytes_of(again["user"]["id"])
    assert again["user"]["id"] == device.handle
    assert len(handle) == 64
    assert who.account_id.bytes not in handle
    assert theirs["user"]["id"] != device.handle
    (excluded,) = again["excludeCredentials"]
    assert bytes_of(excluded["id"]) == device.credential_id
    assert excluded["transports"] == ["hybrid", "internal"]
    assert theirs["excludeCredentials"] == []


@pytest.mark.parametrize("path", ["/options", "/9f0c6a51-6d4b-4d0c-8a5e-3f5f0c1b7e2d/removal"])
async def test_whoever_adds_or_removes_one_shows_their_password(covey: Harness, path: str) -> None:
    _, client = await signed_on(covey)

    refused = await client.post(f"{OWN}{path}", json={"password": "another one"})

    assert (refused.status_code, refused.json()["code"]) == (422, "password-wrong")


Spoil = Callable[[Authenticator, Options], Credential]


def _with(**different: Any) -> Spoil:
    return lambda device, options: replace(device, **different).make(options)


def _saying(**different: Any) -> Spoil:
    return lambda device, options: device.make(options, **different)


NOT_MADE_FOR_US: dict[str, Spoil] = {
    "another origin": _with(origin="https://portal.carrier.example.evil.example"),
    "the origin in clear": _with(origin="http://portal.carrier.example"),
    "another domain": _with(domain="evil.example"),
    "not unlocked": _with(flags=PRESENT),
    "nobody there": _with(flags=VERIFIED),
    "in a frame": _saying(crossOrigin=True),
    "signed on instead": _saying(type="webauthn.get"),
    "a made-up challenge": _saying(challenge="x" * 75),
    "an expired challenge": _saying(**made_at(AT)),
    "a challenge to sign on with": lambda device, options: device.make(options | made_at(datetime.now(UTC))),
}


@pytest.mark.parametrize("what", NOT_MADE_FOR_US)
async def test_what_was_not_made_for_this_portal_now_is_not_added(covey: Harness, what: str) -> None:
    _, client = await signed_on(covey)
    device, before = Authenticator(), await purposes(covey)

    refused = await send(client, NOT_MADE_FOR_US[what](device, await options_for(client)))

    assert (refused.status_code, refused.json()["code"]) == (422, "passkey-not-good")
    assert (await client.get(OWN)).json()["items"] == []
    assert await purposes(covey) == before
    assert await audited(covey, "passkey.added") == [("passkey.added", "refused", {"why": "passkey-not-good"})]


async def test_what_was_begun_in_another_session_or_by_somebody_else_is_not_good(covey: Harness) -> None:
    who, client = await signed_on(covey)
    elsewhere = await client_of(covey, await session_of(covey, who))
    _, other = await signed_on(covey, "other@alderquist.example.org")
    made = Authenticator().make(await options_for(client))

    refused = [await send(each, made) for each in (elsewhere, other)]

    assert {(each.status_code, each.json()["code"]) for each in refused} == {(422, "passkey-not-good")}
    assert (await send(client, made)).status_code == 201


async def test_what_was_begun_with_a_former_password_is_not_good(covey: Harness) -> None:
    _, client = await signed_on(covey)
    made = Authenticator().make(await options_for(client))
    await client.put("/v1/account/password", json={"password": PASSWORD, "new_password": NEW})

    assert (await send(client, made)).json()["code"] == "passkey-not-good"


async def test_one_that_was_removed_does_not_come_back_by_what_added_it(covey: Harness) -> None:
    _, client = await signed_on(covey)
    made = Authenticator().make(await options_for(client))
    added = (await send(client, made)).json()["passkey_id"]
    await client.post(f"{OWN}/{added}/removal", json={"password": PASSWORD})

    assert (await send(client, made)).json()["code"] == "passkey-not-good"


async def test_a_command_that_is_repeated_with_its_key_adds_one(covey: Harness) -> None:
    _, client = await signed_on(covey)
    body = {"name": "Work laptop", "credential": Authenticator().make(await options_for(client))}
    headers = command()

    first, again = [await client.post(OWN, json=body, headers=headers) for _ in range(2)]

    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert (await purposes(covey)).count("passkey-added") == 1


async def test_one_that_somebody_has_is_not_added_again(covey: Harness) -> None:
    _, client, device = await with_passkey(covey)
    _, other = await signed_on(covey, "other@alderquist.example.org")

    refused = [await send(each, replace(device).make(await options_for(each))) for each in (client, other)]

    assert {(each.status_code, each.json()["code"]) for each in refused} == {(409, "passkey-already-registered")}
    assert (await by_passkey(covey, device)).status_code == 201


async def test_of_two_who_add_the_same_at_once_one_does(covey: Harness) -> None:
    people = [(await signed_on(covey, f"{name}@alderquist.example.org"))[1] for name in ("one", "two")]
    device = Authenticator()
    made = [device.make(await options_for(each)) for each in people]

    answers = await asyncio.gather(*(send(each, one) for each, one in zip(people, made, strict=True)))

    assert sorted(each.status_code for each in answers) == [201, 409]


async def test_nobody_has_more_than_ten(covey: Harness) -> None:
    _, client = await signed_on(covey)
    late = Authenticator().make(await options_for(client))
    for _ in range(PASSKEYS_MAX):
        await add(client, Authenticator())

    refused = [await client.post(f"{OWN}/options", json={"password": PASSWORD}), await send(client, late)]

    assert {(each.status_code, each.json()["code"]) for each in refused} == {(409, "too-many-passkeys")}
    assert len((await client.get(OWN)).json()["items"]) == PASSKEYS_MAX


@pytest.mark.parametrize("name", ["", " ", "x" * 61, "two\nlines\x00"])
async def test_a_name_is_one_line_of_sixty_characters_at_most(covey: Harness, name: str) -> None:
    _, client = await signed_on(covey)

    refused = await send(client, Authenticator().make(await options_for(client)), name)

    assert [each["pointer"] for each in refused.json()["errors"]] == ["/name"]


async def test_its_holder_calls_it_by_another_name(covey: Harness) -> None:
    _, client = await signed_on(covey)
    passkey_id = await add(client, Authenticator())
    _, other = await signed_on(covey, "other@alderquist.example.org")
    path, said = f"{OWN}/{passkey_id}/name", {"name": "Old laptop"}

    renamed = await client.put(path, json=said, headers=command())
    refused = await other.put(path, json=said, headers=command())

    assert (renamed.status_code, renamed.json()["name"]) == (200, "Old laptop")
    assert (refused.status_code, refused.json()["code"]) == (404, "passkey-not-found")


# --- signing on ---


async def test_whoever_signs_on_is_asked_for_no_account_and_nothing_is_kept_of_it(covey: Harness) -> None:
    with statements(covey) as asked:
        first, second = await challenge(covey), await challenge(covey)

    assert asked == []
    assert first.pop("challenge") != second.pop("challenge")
    assert first == second
    assert first == {"rpId": DOMAIN, "timeout": 300_000, "allowCredentials": [], "userVerification": "required"}


async def test_no_second_factor_is_asked_for(covey: Harness) -> None:
    who, client, device = await with_passkey(covey)
    secret = (await client.post("/v1/account/second-factor", json={"password": PASSWORD})).json()["secret"]
    await client.post("/v1/account/second-factor/on", json={"code": pyotp.TOTP(secret).now()})

    assert (await sign_on(covey, who.user_id)).status_code == 202
    assert (await by_passkey(covey, device)).status_code == 201


def _signing(**different: Any) -> Spoil:
    return lambda device, options: replace(device, **different).sign(options)


def _said(**different: Any) -> Spoil:
    return lambda device, options: device.sign(options, **different)


def _answering(**different: Any) -> Spoil:
    def spoil(device: Authenticator, options: Options) -> Credential:
        signed = device.sign(options)
        return signed | {"response": signed["response"] | different}

    return spoil


NOT_SIGNED_FOR_US: dict[str, Spoil] = {
    "another key": lambda device, options: replace(device, key=es256()).sign(options),
    "another kind of key": lambda device, options: replace(device, key=eddsa()).sign(options),
    "a passkey of nobody": _signing(credential_id=b"nobody has it"),
    "another account's handle": _signing(handle=bytes_to_base64url(bytes(64))),
    "another origin": _signing(origin="https://portal.carrier.example:8443"),
    "another domain": _signing(domain="carrier.example"),
    "not unlocked": _signing(flags=PRESENT),
    "nobody there": _signing(flags=VERIFIED),
    "can be synced all at once": _signing(flags=PRESENT | VERIFIED | MAY_SYNC),
    "in a frame": _said(crossOrigin=True),
    "made instead": _said(type="webauthn.create"),
    "a made-up challenge": _said(challenge="x" * 75),
    "an expired challenge": _said(**made_at(AT)),
    "another signature": _answering(signature="AAAA"),
    "no data": _answering(authenticatorData="AAAA"),
    "no JSON": _answering(clientDataJSON="AAAA"),
    "no base64url": _answering(userHandle="AAAAA"),
}


async def test_whatever_is_not_good_is_refused_alike_and_audited(covey: Harness) -> None:
    _, client, device = await with_passkey(covey)
    bound_to_add = await options_for(client)
    before = len((await client.get("/v1/sessions")).json()["items"])

    answers = {
        what: await show(covey, spoil(device, await challenge(covey))) for what, spoil in NOT_SIGNED_FOR_US.items()
    }
    answers["a challenge to add one with"] = await show(covey, device.sign(bound_to_add))

    assert {what: answer.status_code for what, answer in answers.items()} == dict.fromkeys(answers, 401)
    assert {str(comparable(answer)) for answer in answers.values()} == {str(comparable(answers["another key"]))}
    assert answers["another key"].json()["code"] == "passkey-refused"
    why = ("sign-on.passkey", "refused", {"why": "passkey-refused"})
    assert await audited(covey, "sign-on.passkey") == [why] * len(answers)
    assert len((await client.get("/v1/sessions")).json()["items"]) == before
    assert (await by_passkey(covey, device)).status_code == 201


async def test_the_same_work_is_done_whether_or_not_there_is_such_a_passkey(covey: Harness) -> None:
    _, _, device = await with_passkey(covey)
    known = replace(device, key=es256()).sign(await challenge(covey))
    unknown = replace(device, credential_id=b"nobody has it").sign(await challenge(covey))

    with statements(covey) as for_a_known_one:
        await show(covey, known)
    with statements(covey) as for_an_unknown_one:
        await show(covey, unknown)

    assert for_a_known_one == for_an_unknown_one
    assert for_a_known_one


@pytest.mark.parametrize(
    "different", [{"userHandle": None}, {"signature": "not base64!"}, {"clientDataJSON": "A" * 9000}]
)
async def test_what_no_browser_says_is_refused_by_field(covey: Harness, different: dict[str, Any]) -> None:
    _, _, device = await with_passkey(covey)

    refused = await show(covey, _answering(**different)(device, await challenge(covey)))

    assert refused.status_code == 422
    assert [each["pointer"] for each in refused.json()["errors"]] == [f"/credential/response/{next(iter(different))}"]


async def test_a_signature_is_good_once(covey: Harness) -> None:
    _, client = await signed_on(covey)
    device = Authenticator(counts=0)  # its count would refuse it, too
    await add(client, device)
    signed = device.sign(await challenge(covey))
    assert (await show(covey, signed)).status_code == 201

    replayed = await show(covey, signed)

    assert (replayed.status_code, replayed.json()["code"]) == (401, "passkey-refused")


async def test_a_challenge_is_good_once_whoever_signs_it(covey: Harness) -> None:
    people = [(await signed_on(covey, f"{name}@alderquist.example.org"))[1] for name in ("one", "two")]
    devices = [Authenticator(), Authenticator()]
    for client, device in zip(people, devices, strict=True):
        await add(client, device)
    asked = await challenge(covey)

    answers = [await show(covey, each.sign(asked)) for each in devices]

    assert [each.status_code for each in answers] == [201, 401]


async def test_of_several_who_show_the_same_at_once_one_is_signed_on(covey: Harness) -> None:
    _, client = await signed_on(covey)
    device = Authenticator(counts=0)
    await add(client, device)
    signed = device.sign(await challenge(covey))

    answers = await asyncio.gather(*(show(covey, signed) for _ in range(4)))

    assert sorted(each.status_code for each in answers) == [201, 401, 401, 401]
    assert {each.json()["code"] for each in answers if each.status_code == 401} == {"passkey-refused"}


async def test_a_copy_that_has_counted_fewer_is_refused_by_name_and_audited(covey: Harness) -> None:
    who, _, device = await with_passkey(covey)
    copy = replace(device)
    assert (await by_passkey(covey, device)).status_code == 201

    refused = await by_passkey(covey, copy)

    assert (refused.status_code, refused.json()["code"]) == (401, "passkey-copied")
    ((outcome, why, subjects),) = await run(
        covey, "SELECT outcome, details ->> 'why', subjects FROM audit_entry WHERE act = 'sign-on.passkey'"
    )
    assert (outcome, why, subjects) == ("refused", "passkey-copied", [who.account_id])
    assert (await by_passkey(covey, device)).status_code == 201


async def test_one_that_is_synced_signs_on_without_counting_and_its_list_says_so(covey: Harness) -> None:
    _, client = await signed_on(covey)
    device = Authenticator(counts=0, flags=PRESENT | VERIFIED | MAY_SYNC)
    await add(client, device)
    assert [each["is_synced"] for each in (await client.get(OWN)).json()["items"]] == [False]
    device.flags |= SYNCED

    answers = [await by_passkey(covey, device) for _ in range(2)]

    assert {each.status_code for each in answers} == {201}
    assert [each["is_synced"] for each in (await client.get(OWN)).json()["items"]] == [True]


async def test_a_locked_account_stays_out_as_it_does_with_a_password(covey: Harness) -> None:
    who, _, device = await with_passkey(covey)
    await covey.api.post(f"/v1/accounts/{who.account_id}/lock", headers=command())

    locked = await by_passkey(covey, device)

    assert (locked.status_code, locked.json()["code"]) == (403, "account-locked")
    by_password = await sign_on(covey, who.user_id)
    assert locked.status_code == by_password.status_code
    differ = ("instance", "correlation_id")
    assert locked.json() | dict.fromkeys(differ) == by_password.json() | dict.fromkeys(differ)
    await covey.api.post(f"/v1/accounts/{who.account_id}/unlock", headers=command())
    assert (await by_passkey(covey, device)).status_code == 201


async def test_somebody_elses_failures_with_the_password_keep_nobody_from_their_passkey(covey: Harness) -> None:
    who, _, device = await with_passkey(covey)
    while (await sign_on(covey, who.user_id, "another one")).status_code != 429:
        pass

    assert (await by_passkey(covey, device)).status_code == 201


# --- removing them ---


async def test_one_that_was_removed_signs_on_no_longer_and_other_sessions_end(covey: Harness) -> None:
    _, client, device = await with_passkey(covey)
    elsewhere = (await by_passkey(covey, device)).json()["session_token"]
    (kept,) = (await client.get(OWN)).json()["items"]

    removed = await client.post(f"{OWN}/{kept['passkey_id']}/removal", json={"password": PASSWORD})

    assert removed.status_code == 204
    assert (await by_passkey(covey, device)).json()["code"] == "passkey-refused"
    assert (await exchange(covey, elsewhere)).status_code == 401
    assert (await client.get(OWN)).json()["items"] == []
    assert (await purposes(covey))[-1] == "passkey-removed"


async def test_nobody_removes_somebody_elses(covey: Harness) -> None:
    _, client, device = await with_passkey(covey)
    _, other = await signed_on(covey, "other@alderquist.example.org")
    (kept,) = (await client.get(OWN)).json()["items"]

    refused = await other.post(f"{OWN}/{kept['passkey_id']}/removal", json={"password": PASSWORD})

    assert (refused.status_code, refused.json()["code"]) == (404, "passkey-not-found")
    assert (await by_passkey(covey, device)).status_code == 201


async def test_a_password_that_its_holder_changes_leaves_them(covey: Harness) -> None:
    _, client, device = await with_passkey(covey)
    await client.put("/v1/account/password", json={"password": PASSWORD, "new_password": NEW})

    assert (await by_passkey(covey, device)).status_code == 201


async def reset(covey: Harness, who: Somebody) -> None:
    async with covey.client(None) as anybody:
        await anybody.post("/v1/forgotten/password", json={"email": who.email}, headers=command())
        token = (await last_letter(covey))[1].token
        answer = await anybody.post("/v1/forgotten/password/reset", json={"token": token, "password": NEW})
    assert answer.status_code == 200, answer.text


async def test_a_new_password_by_mail_takes_all_of_them_and_its_holder_is_told(covey: Harness) -> None:
    who, _, device = await with_passkey(covey)

    await reset(covey, who)

    assert (await by_passkey(covey, device)).json()["code"] == "passkey-refused"
    assert (await sign_on(covey, who.user_id, NEW)).status_code == 201
    assert set((await purposes(covey))[-2:]) == {"password-changed", "passkey-removed"}
    assert await audited(covey, "passkeys.taken") == [("passkeys.taken", "done", {"passkeys": 1})]


async def test_of_passkeys_that_there_are_none_of_nobody_is_told(covey: Harness) -> None:
    who = await somebody(covey)

    await reset(covey, who)

    assert (await purposes(covey))[-1] == "password-changed"
    assert await audited(covey, "passkeys.taken") == []


@pytest.mark.parametrize("has_factor", [True, False])
async def test_staff_who_take_what_was_lost_take_passkeys_too(covey: Harness, has_factor: bool) -> None:
    who, client, device = await with_passkey(covey)
    if has_factor:
        secret = (await client.post("/v1/account/second-factor", json={"password": PASSWORD})).json()["secret"]
        await client.post("/v1/account/second-factor/on", json={"code": pyotp.TOTP(secret).now()})
    path = f"/v1/accounts/{who.account_id}/second-factor/removal"

    taken = await covey.api.post(path, headers=command())
    again = await covey.api.post(path, headers=command())

    assert taken.status_code == 200
    assert (again.status_code, again.json()["code"]) == (409, "second-factor-off")
    assert (await client.get("/v1/account")).status_code == 401
    assert (await by_passkey(covey, device)).json()["code"] == "passkey-refused"
    assert (await sign_on(covey, who.user_id)).status_code == 201
    assert "passkey-removed" in await purposes(covey)


# --- what is written down, and what is not ---


async def test_each_act_is_an_entry(covey: Harness) -> None:
    who, client = await signed_on(covey)
    device = Authenticator()
    passkey_id = await add(client, device)
    await client.put(f"{OWN}/{passkey_id}/name", json={"name": "Old laptop"}, headers=command())
    answer = await by_passkey(covey, device)
    await client.post(f"{OWN}/{uuid4()}/removal", json={"password": PASSWORD})
    await client.post(f"{OWN}/{passkey_id}/removal", json={"password": PASSWORD})

    rows = await run(
        covey,
        "SELECT act, outcome, authority, account_id, subjects, details FROM audit_entry"
        " WHERE act LIKE 'passkey%' OR authority = 'passkey' ORDER BY id",
    )

    one = {"passkey_id": passkey_id}
    assert [(row.act, row.outcome, row.authority, row.details) for row in rows] == [
        ("passkey.begun", "done", "own account", {}),
        ("passkey.added", "done", "own account", one),
        ("passkey.renamed", "done", "own account", one),
        ("sign-on", "done", "passkey", one),
        ("passkey.removed", "refused", "own account", {"why": "passkey-not-found"}),
        ("passkey.removed", "done", "own account", one),
    ]
    assert {row.account_id for row in rows} == {who.account_id}
    assert {tuple(row.subjects) for row in rows} == {(who.account_id,)}
    assert UUID(answer.json()["session_id"])


async def test_no_answer_has_a_key_and_no_challenge_is_kept(covey: Harness) -> None:
    _, client, device = await with_passkey(covey)
    asked = await challenge(covey)
    await show(covey, device.sign(asked))

    listed = (await client.get(OWN)).text
    assert bytes_to_base64url(device.credential_id) not in listed
    for kept in (asked["challenge"], bytes_of(asked["challenge"]).hex()):
        assert await where_kept(covey, kept) == []


async def test_used_challenges_are_remembered_for_longer_than_they_are_good(covey: Harness) -> None:
    _, _, device = await with_passkey(covey)
    await run(covey, "UPDATE passkey_challenge_used SET expires_at = clock_timestamp() - interval '25 hours'")
    assert (await by_passkey(covey, device)).status_code == 201
    await run(
        covey,
        "UPDATE passkey_challenge_used SET expires_at = clock_timestamp() - interval '1 hour'"
        " WHERE expires_at > clock_timestamp()",
    )

    await covey.work("forget-expired")

    assert len(await run(covey, "SELECT 1 FROM passkey_challenge_used")) == 1


# --- where the portal is ---


@pytest.mark.parametrize(
    ("url", "party"),
    [
        ("https://portal.carrier.example", ("portal.carrier.example", PORTAL)),
        ("https://Portal.Carrier.example:443/", ("portal.carrier.example", PORTAL)),
        ("https://portal.carrier.example:8443", ("portal.carrier.example", f"{PORTAL}:8443")),
        ("http://localhost:20110", ("localhost", "http://localhost:20110")),
        ("http://127.0.0.1:20110", None),
        ("https://[2001:db8::1]", None),
        (None, None),
    ],
)
async def test_passkeys_are_for_the_portals_domain(
    covey: Harness, url: str | None, party: tuple[str, str] | None
) -> None:
    found = relying_party(_settings(covey, url))

    expected = None if party is None else RelyingParty(*party, "Covey", SETTINGS["code_secret"])
    assert found == expected


@pytest.mark.parametrize(
    "url",
    [
        "portal.carrier.example",
        "http://portal.carrier.example",
        "https://portal.carrier.example/sign-on",
        "https://portal.carrier.example?x",
        "https://somebody@portal.carrier.example",
        "ftp://portal.carrier.example",
    ],
)
async def test_what_is_no_origin_is_no_address_of_the_portal(covey: Harness, url: str) -> None:
    with pytest.raises(ValidationError, match="portal_url"):
        _settings(covey, url)


def _settings(covey: Harness, url: str | None) -> Settings:
    settings = covey.context.settings
    assert isinstance(settings, Settings)
    return Settings(**{name: getattr(settings, name) for name in type(settings).model_fields} | {"portal_url": url})


@pytest.mark.parametrize("url", [None, "http://127.0.0.1:20110"])
async def test_without_an_address_of_the_portal_none_are_offered(
    service_harness: ServiceHarness, sealing_keys: Path, signing_key: object, url: str | None
) -> None:
    signing_keys = sealing_keys / "signing.jwks.json"
    async with service_harness(service, signing_keys=signing_keys, **SETTINGS | {"portal_url": url}) as covey:
        _, client = await signed_on(covey)
        device = Authenticator()
        made = device.make({"user": {"id": "AAAA"}} | made_at(datetime.now(UTC)))

        refused = [
            await client.post(f"{OWN}/options", json={"password": PASSWORD}),
            await send(client, made),
            await client.post(f"{SIGN_ON}/options"),
            await show(covey, device.sign(made_at(datetime.now(UTC)))),
        ]

        assert {(each.status_code, each.json()["code"]) for each in refused} == {(409, "passkeys-not-offered")}
        assert (await client.get(OWN)).json() == {"is_offered": False, "items": []}
