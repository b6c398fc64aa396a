"""The same command twice has one effect."""

import asyncio
from collections import Counter
from uuid import uuid4

import httpx
import pytest
from covey_chassis.app import create_app
from covey_chassis.idempotency import KEPT_DAYS
from covey_chassis.service import Service
from sqlalchemy import text

ADA = {"name": "Ada", "size": 1}


async def make(toy, key, body=ADA, **more):
    return await toy.api.post("/v1/gadgets", json=body, headers={"Idempotency-Key": key}, **more)


async def test_a_repeated_command_is_done_once_and_answered_alike(toy):
    first, second = await make(toy, "k"), await make(toy, "k")

    assert (first.status_code, second.status_code) == (201, 201)
    assert second.content == first.content
    assert await toy.count("gadget") == 1
    for name in ("location", "etag", "content-type"):
        assert second.headers[name] == first.headers[name]
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert second.headers["x-correlation-id"] != first.headers["x-correlation-id"]


async def test_another_key_is_another_command(toy):
    await make(toy, "k")
    again = await make(toy, "l", {"name": "Grace", "size": 1})

    assert again.status_code == 201
    assert await toy.count("gadget") == 2


async def test_a_key_means_one_path_only(toy):
    await make(toy, "k")
    elsewhere = await toy.api.post(
        "/v1/odd/files", files={"file": b"x"}, data={"title": "t"}, headers={"Idempotency-Key": "k"}
    )

    assert elsewhere.status_code == 200
    assert "idempotency-replayed" not in elsewhere.headers


@pytest.mark.parametrize("change", [{"json": ADA | {"size": 2}}, {"json": ADA, "params": {"x": "1"}}])
async def test_a_key_used_for_another_request_is_refused(toy, change):
    await make(toy, "k")

    answer = await toy.api.post("/v1/gadgets", headers={"Idempotency-Key": "k"}, **change)

    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency-key-reused")
    assert await toy.count("gadget") == 1


@pytest.mark.parametrize("key", [None, "", "x" * 256, "a b", "a\tb", "\x7f", "ä"])
async def test_a_command_without_a_proper_key_is_refused(empty_toy, key):
    headers = [] if key is None else [(b"Idempotency-Key", key.encode("latin-1"))]

    answer = await empty_toy.api.post("/v1/gadgets", json=ADA, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency-key-needed")
    assert [error["pointer"] for error in answer.json()["errors"]] == ["header:idempotency-key"]
    assert await empty_toy.count("gadget") == 0


@pytest.mark.parametrize(
    "key", ["x", "~" * 255, '"8e03978e-40d5-43dd-bc93-6894a57f9324"', "!#$%&'()*+,-./:;<=>?@[]^_{|}"]
)
async def test_every_visible_ascii_character_makes_a_key(toy, key):
    assert [(await make(toy, key)).status_code for _ in range(2)] == [201, 201]
    assert await toy.count("gadget") == 1


async def test_a_refused_command_is_tried_anew(toy):
    stuck = {"name": "stuck", "size": 1}

    refused, again = await make(toy, "k", stuck), await make(toy, "k", stuck)
    other = await make(toy, "k")

    assert (refused.status_code, again.status_code, other.status_code) == (409, 409, 201)
    assert "idempotency-replayed" not in again.headers
    assert await toy.count("stored_answer") == 1


async def test_a_command_that_was_invalid_can_be_mended_under_its_key(toy):
    invalid = await make(toy, "k", {"name": "Ada"})
    mended = await make(toy, "k")

    assert (invalid.status_code, mended.status_code) == (422, 201)


async def test_twenty_at_once_have_one_effect(toy):
    answers = await asyncio.gather(*(make(toy, "k") for _ in range(20)))

    statuses = Counter(answer.status_code for answer in answers)
    assert statuses.keys() <= {201, 409}
    assert statuses[201] >= 1
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} <= {"command-in-progress"}
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    assert await toy.count("gadget") == 1
    assert (await make(toy, "k")).status_code == 201


async def test_a_command_that_is_still_at_work_is_not_begun_again(toy):
    async with toy.transaction() as session:
        await session.execute(text("SELECT pg_advisory_xact_lock(7)"))
        first = asyncio.create_task(toy.api.post("/v1/odd/waiting", headers={"Idempotency-Key": "k"}))
        second = await _until_in_progress(toy)

    assert second.json()["code"] == "command-in-progress"
    assert (await first).status_code == 200
    assert await toy.count("note") == 1
    assert (await toy.api.post("/v1/odd/waiting", headers={"Idempotency-Key": "k"})).headers["idempotency-replayed"]


async def _until_in_progress(toy):
    async with asyncio.timeout(10):
        while True:
            waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            if (await toy.execute(waiting))[0][0]:
                return await toy.api.post("/v1/odd/waiting", headers={"Idempotency-Key": "k"})
            await asyncio.sleep(0.01)


async def test_another_instance_gives_the_stored_answer_too(toy, routers):
    first = await make(toy, "k")

    restarted = create_app(Service(name="chassis", summary="", routers=routers), toy.context)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(restarted), base_url="http://covey.test") as api:
        second = await api.post("/v1/gadgets", json=ADA, headers={"Idempotency-Key": "k"})

    assert second.content == first.content
    assert second.headers["idempotency-replayed"] == "true"


async def test_a_form_sent_again_with_another_boundary_is_the_same_command(toy):
    async def send(data):
        return await toy.api.post(
            "/v1/odd/files", files={"file": ("a.csv", data)}, data={"title": "t"}, headers={"Idempotency-Key": "k"}
        )

    first, again, other = await send(b"x" * 2_000_000), await send(b"x" * 2_000_000), await send(b"y")

    assert first.request.headers["content-type"] != again.request.headers["content-type"]
    assert (first.text, again.text) == ('"t: 2000000"', '"t: 2000000"')
    assert again.headers["idempotency-replayed"] == "true"
    assert other.json()["code"] == "idempotency-key-reused"
    assert await toy.count("note") == 1


async def test_an_answer_is_forgotten_when_its_time_is_over(toy):
    await make(toy, "k")
    await toy.execute("UPDATE stored_answer SET at = now() - make_interval(days => :days)", days=KEPT_DAYS)

    again = await make(toy, "k", {"name": "Grace", "size": 2})

    assert again.status_code == 201
    assert await toy.count("gadget") == 2
    assert (await make(toy, "k", {"name": "Grace", "size": 2})).content == again.content


async def test_a_failed_commit_leaves_the_key_free(empty_toy):
    answer = await empty_toy.api.post("/v1/odd/promises", headers={"Idempotency-Key": uuid4().hex})

    assert answer.status_code == 500
    assert await empty_toy.count("stored_answer") == 0
