import json
from pathlib import Path
from typing import Any

import pytest
from covey_chassis.access.tokens import ALGORITHM, Verifier
from covey_chassis.testing import Harness, ServiceHarness
from covey_identity.app import service
from covey_identity.signing import _load
from joserfc import jwt
from joserfc.jwk import KeySet, OKPKey

from .accounts import client_of, exchange, run, session_of, somebody
from .conftest import SETTINGS


async def test_a_session_gets_access_tokens_that_every_service_can_verify(covey: Harness, tmp_path: Path) -> None:
    who = await somebody(covey)
    session = await session_of(covey, who)

    answer = await exchange(covey, session.token)

    assert answer.status_code == 200
    said = answer.json()
    assert (said["token_type"], said["expires_in"], set(said)) == (
        "Bearer",
        300,
        {"access_token", "token_type", "expires_in", "idle_ends_at", "expires_at"},
    )
    async with covey.client(None) as anybody:
        keys = await anybody.get("/.well-known/jwks.json")
    (tmp_path / "keys.json").write_text(keys.text)
    token = await Verifier(tmp_path / "keys.json").verify(f"Bearer {said['access_token']}")
    assert (token.account_id, token.session_id) == (who.account_id, session.id)


async def test_the_public_keys_can_be_cached_and_have_no_private_part(covey: Harness) -> None:
    async with covey.client(None) as anybody:
        answer = await anybody.get("/.well-known/jwks.json")

    assert answer.headers["Cache-Control"] == "public, max-age=300"
    (key,) = answer.json()["keys"]
    assert {"kty": "OKP", "crv": "Ed25519", "kid": "tokens-1"}.items() <= key.items()
    assert "d" not in key


async def test_the_last_of_the_keys_signs_and_all_are_published(
    service_harness: ServiceHarness, tmp_path: Path
) -> None:
    keys = [OKPKey.generate_key("Ed25519", {"kid": f"tokens-{number}"}) for number in (7, 8)]
    path = tmp_path / "signing.json"
    path.write_text(json.dumps(KeySet(list(keys)).as_dict(private=True)))
    async with service_harness(service, signing_keys=path, **SETTINGS) as covey:
        session = await session_of(covey, await somebody(covey))
        token = (await exchange(covey, session.token)).json()["access_token"]
        async with covey.client(None) as anybody:
            published = KeySet.import_key_set((await anybody.get("/.well-known/jwks.json")).json())

    assert [key.kid for key in published.keys] == ["tokens-7", "tokens-8"]
    assert jwt.decode(token, published, algorithms=[ALGORITHM]).header["kid"] == "tokens-8"


@pytest.mark.parametrize(
    "keys",
    [
        [],
        [OKPKey.generate_key("Ed25519", {"kid": "tokens-1"}).as_dict(private=False)],
        [OKPKey.generate_key("X25519", {"kid": "tokens-1"}).as_dict(private=True)],
    ],
    ids=["none", "public", "for sealing"],
)
def test_keys_that_cannot_sign_are_refused_at_once(tmp_path: Path, keys: list[dict[str, Any]]) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": keys}))

    with pytest.raises(ValueError, match="signing_keys"):
        _load(path)


# --- sessions end ---


async def test_a_session_that_was_idle_is_over(covey: Harness) -> None:
    session = await session_of(covey, await somebody(covey))
    await run(covey, "UPDATE account_session SET used_at = clock_timestamp() - interval '15 min'")

    answer = await exchange(covey, session.token)

    assert (answer.status_code, answer.json()["code"]) == (401, "sign-on-needed")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_using_it_keeps_a_session_from_idling(covey: Harness) -> None:
    session = await session_of(covey, await somebody(covey))
    await run(covey, "UPDATE account_session SET used_at = clock_timestamp() - interval '14 min 50 s'")
    assert (await exchange(covey, session.token)).status_code == 200

    ((idle_s,),) = await run(covey, "SELECT extract(epoch FROM clock_timestamp() - used_at) FROM account_session")

    assert idle_s < 60


async def test_a_session_is_over_after_its_hours_however_busy_it_is(covey: Harness) -> None:
    session = await session_of(covey, await somebody(covey))
    await run(covey, "UPDATE account_session SET expires_at = clock_timestamp() + interval '20 s'")
    assert (await exchange(covey, session.token)).status_code == 200
    await run(covey, "UPDATE account_session SET expires_at = clock_timestamp()")

    assert (await exchange(covey, session.token)).status_code == 401


async def test_a_session_of_a_locked_account_gets_no_token(covey: Harness) -> None:
    session = await session_of(covey, await somebody(covey))
    await run(covey, "UPDATE account SET locked_at = now()")

    assert (await exchange(covey, session.token)).json()["code"] == "sign-on-needed"


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer made-up", "Basic b3R0bzpsaW5l", "Bearer \u00e9\u00e9"])
async def test_without_a_sessions_token_there_is_no_access_token(covey: Harness, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    async with covey.client(None) as anybody:
        answer = await anybody.post("/v1/tokens", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (401, "sign-on-needed")


async def test_an_access_token_is_not_a_sessions_token(covey: Harness) -> None:
    async with await client_of(covey, await session_of(covey, await somebody(covey))) as client:
        assert (await client.post("/v1/tokens")).status_code == 401
