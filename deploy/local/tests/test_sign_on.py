"""Signing on to the real identity: sessions and tokens that run out are replaced, and nobody notices."""

from collections import Counter

import httpx
import pytest
from covey_chassis.testing import Harness, ServiceHarness
from covey_identity.app import service
from covey_local import keys, sign_on
from covey_local.home import UserAccount
from covey_local.sign_on import SignOn, SignOnRefused
from sqlalchemy import text

IDENTITY = "http://covey.test"


@pytest.fixture
async def identity(service_harness: ServiceHarness, tmp_path):
    keys.make_signing_key(tmp_path)
    async with service_harness(
        service,
        signing_keys=keys.signing_file(tmp_path),
        token_keys=keys.token_file(tmp_path),
        listener_credentials={},
        code_secret="a secret of these tests, long enough",
        argon2_memory_kib=64,
        argon2_passes=1,
    ) as harness:
        yield harness


@pytest.fixture
async def account(identity: Harness) -> UserAccount:
    body = {"first_name": "Sam", "last_name": "Staff", "email": "sam@carrier.example", "rights": ["operations"]}
    async with identity.client(None) as anybody:
        made = await anybody.post("/internal/staff", json=body, headers=identity.operator)
    return {"user_id": made.json()["user_id"], "password": made.json()["password"]}


class Asking(httpx.AsyncClient):
    """A client that signs on, and counts what it sent."""

    def __init__(self, identity: Harness, account: UserAccount) -> None:
        self.sent: Counter[str] = Counter()
        transport = httpx.ASGITransport(identity.app, raise_app_exceptions=False)
        super().__init__(transport=transport, base_url=IDENTITY, auth=SignOn(IDENTITY, account))
        self.event_hooks = {"request": [self._count]}

    async def _count(self, request: httpx.Request) -> None:
        self.sent[request.url.path] += 1


async def end_sessions(identity: Harness) -> None:
    """As those end that nobody has used for long."""
    async with identity.transaction() as session:
        await session.execute(text("UPDATE account_session SET used_at = used_at - interval '1 hour'"))


async def test_one_session_and_one_token_serve_many_requests(identity, account):
    async with Asking(identity, account) as asking:
        answers = [await asking.get("/v1/account") for _ in range(3)]

    assert [answer.json()["user_id"] for answer in answers] == [account["user_id"]] * 3
    assert asking.sent == {"/v1/sessions": 1, "/v1/tokens": 1, "/v1/account": 3}


async def test_a_token_is_renewed_before_it_runs_out(identity, account, monkeypatch):
    monkeypatch.setattr(sign_on, "SPARE_S", 301.0)  # as if each token were about to run out
    async with Asking(identity, account) as asking:
        answers = [await asking.get("/v1/account") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert asking.sent == {"/v1/sessions": 1, "/v1/tokens": 2, "/v1/account": 2}


async def test_who_was_idle_too_long_signs_on_again(identity, account, monkeypatch):
    monkeypatch.setattr(sign_on, "SPARE_S", 301.0)
    async with Asking(identity, account) as asking:
        await asking.get("/v1/account")
        await end_sessions(identity)
        answer = await asking.get("/v1/account")

    assert answer.status_code == 200
    assert asking.sent == {"/v1/sessions": 2, "/v1/tokens": 3, "/v1/account": 2}


async def test_a_token_that_is_refused_is_replaced_once(identity, account):
    """Its session was ended meanwhile, from elsewhere."""
    async with Asking(identity, account) as asking:
        ended = await asking.delete("/v1/sessions/current")
        answer = await asking.get("/v1/account")

    assert ended.status_code == 204
    assert answer.status_code == 200
    assert asking.sent["/v1/sessions"] == 2
    assert asking.sent["/v1/account"] == 2


async def test_a_request_that_nobody_may_make_is_sent_no_more_than_twice(identity, account):
    async with Asking(identity, account) as asking:
        answer = await asking.post("/internal/access/feed", json={})

    assert answer.status_code == 401
    assert asking.sent["/internal/access/feed"] == 2


async def test_a_wrong_password_is_said_in_a_sentence(identity, account):
    async with Asking(identity, {**account, "password": "guessed wrong"}) as asking:
        with pytest.raises(SignOnRefused, match=r"^Signing on was refused: .*password is not right") as refused:
            await asking.get("/v1/account")

    assert "guessed" not in str(refused.value)


async def test_a_long_answer_is_left_to_be_read_by_the_piece(identity, account):
    async with Asking(identity, account) as asking, asking.stream("GET", "/v1/account") as answer:
        assert not answer.is_stream_consumed
        pieces = [piece async for piece in answer.aiter_bytes()]

    assert account["user_id"].encode() in b"".join(pieces)
