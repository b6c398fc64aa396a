"""A request is one transaction, and its answer tells of what is committed."""

import re
from uuid import uuid4

import httpx
import pytest
from covey_chassis.access import public
from covey_chassis.app import create_app
from covey_chassis.http import service_router
from covey_chassis.service import Service

HEADERS = ("x-content-type-options", "cache-control", "content-security-policy", "referrer-policy", "x-correlation-id")


def command(key: str | None = None) -> dict[str, str]:
    return {"Idempotency-Key": key or uuid4().hex}


async def make(toy, name="Ada", size=1, **more):
    return await toy.api.post("/v1/gadgets", json={"name": name, "size": size, **more}, headers=command())


async def test_what_is_answered_is_committed(toy):
    answer = await make(toy)

    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/gadgets/{answer.json()['id']}"
    assert (await toy.api.get(answer.headers["location"])).json() == answer.json()


async def test_a_commit_that_fails_is_never_a_success_and_stores_nothing(empty_toy):
    answer = await empty_toy.api.post("/v1/odd/promises", headers=command())

    assert answer.status_code == 500
    assert answer.json()["code"] == "unexpected"
    assert await empty_toy.count("promise") == 0
    assert await empty_toy.count("stored_answer") == 0


async def test_a_refusal_changes_nothing(empty_toy):
    answer = await make(empty_toy, name="stuck")

    assert answer.status_code == 409
    assert answer.json()["code"] == "gadget-is-stuck"
    assert await empty_toy.count("gadget") == 0


@pytest.mark.parametrize(
    "path", ["faults/refusal", "faults/bug", "statements/timeout", "statements/gone", "plain-answer"]
)
async def test_whatever_goes_wrong_rolls_back(empty_toy, path):
    answer = await empty_toy.api.post(f"/v1/odd/{path}")

    assert answer.status_code >= 400
    assert await empty_toy.count("note") == 0


async def test_a_streamed_answer_holds_no_connection(toy):
    answer = await toy.api.get("/v1/odd/stream")

    assert answer.text == "0;0;"
    assert await toy.count("note") == 1


async def test_a_task_in_the_background_sees_what_was_committed(toy):
    await toy.api.post("/v1/odd/afterwards")

    assert await toy.execute("SELECT said FROM note ORDER BY id") == [("before",), (1,)]


@pytest.mark.parametrize("fails", ["gone", "too-large", "no such statement"])
async def test_what_was_done_is_said_and_a_line_logged_when_what_was_waited_for_fails(toy, logged, fails):
    answer = await toy.api.post(f"/v1/odd/waited-for/{fails}")

    assert (answer.status_code, answer.json()) == (200, "done")
    assert await toy.execute("SELECT said FROM note") == [("done",)]
    assert "http.rest_not_done" in logged()


async def test_no_connection_is_kept_whatever_a_request_does(toy):
    for path in ("faults/refusal", "faults/bug", "statements/gone", "promises", "notes"):
        await toy.api.post(f"/v1/odd/{path}", headers=command())

    assert toy.context.requests.engine.pool.checkedout() == 0


async def test_an_edit_on_the_present_version_is_done_and_says_the_new_one(toy):
    made = await make(toy)

    answer = await toy.api.put(
        made.headers["location"], json={"name": "Ada", "size": 2}, headers={"If-Match": made.headers["etag"]}
    )

    assert made.headers["etag"] == '"1"'
    assert answer.status_code == 200
    assert answer.headers["etag"] == '"2"'
    assert answer.json()["version"] == 2
    assert (await toy.api.get(made.headers["location"])).headers["etag"] == '"2"'


@pytest.mark.parametrize(
    ("if_match", "status", "code"),
    [
        (None, 428, "precondition-required"),
        ("*", 428, "precondition-required"),
        ('"7"', 412, "stale-version"),
        ('W/"1"', 412, "stale-version"),
        ("1", 412, "stale-version"),
        ('"1", "2"', 412, "stale-version"),
        ('"' + "9" * 100 + '"', 412, "stale-version"),
    ],
)
async def test_an_edit_on_another_version_is_refused(toy, if_match, status, code):
    made = await make(toy)
    headers = {} if if_match is None else {"If-Match": if_match}

    answer = await toy.api.put(made.headers["location"], json={"name": "Ada", "size": 2}, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (await toy.api.get(made.headers["location"])).json()["size"] == 1


async def test_a_stale_edit_is_told_the_present_version(toy):
    made = await make(toy)

    answer = await toy.api.put(made.headers["location"], json={"name": "Ada", "size": 2}, headers={"If-Match": '"7"'})

    assert answer.headers["etag"] == '"1"'


async def test_a_row_that_changed_under_the_route_is_a_conflict(toy):
    made = await make(toy)

    plain = await toy.api.post("/v1/odd/stale", params={"gadget_id": made.json()["id"]})
    conditional = await toy.api.post(
        "/v1/odd/stale", params={"gadget_id": made.json()["id"]}, headers={"If-Match": '"1"'}
    )

    assert (plain.status_code, plain.json()["code"]) == (409, "stale-version")
    assert (conditional.status_code, conditional.json()["code"]) == (412, "stale-version")


async def test_every_answer_says_its_correlation_id_and_keeps_browsers_out(empty_toy):
    for path in ("/v1/gadgets", "/nowhere", "/livez", "/openapi.json"):
        answer = await empty_toy.api.get(path)

        assert all(name in answer.headers for name in HEADERS)
        assert "unsafe" not in answer.headers["content-security-policy"]


async def test_the_callers_correlation_id_reaches_what_the_request_causes(empty_toy):
    answer = await empty_toy.api.get("/v1/odd/cause", headers={"X-Correlation-ID": "conversation-1"})

    assert answer.json() == "conversation-1"
    assert answer.headers["x-correlation-id"] == "conversation-1"


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "a\tb", "ä"])
async def test_an_odd_correlation_id_is_replaced(empty_toy, given):
    answer = await empty_toy.api.get("/v1/odd/cause", headers=[(b"X-Correlation-ID", given.encode())])

    assert answer.json() == answer.headers["x-correlation-id"] != given
    assert len(answer.json()) == 36


async def test_two_requests_have_two_correlation_ids(empty_toy):
    first, second = [await empty_toy.api.get("/v1/odd/cause") for _ in range(2)]

    assert first.json() != second.json()


async def test_the_documentation_names_every_operation_and_every_problem(empty_toy):
    document = (await empty_toy.api.get("/openapi.json")).json()

    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert document["openapi"].startswith("3.1")
    assert document["info"]["title"] == "Covey chassis"
    for operation in operations:
        assert operation["responses"]["4XX"]["content"].keys() == {"application/problem+json"}
        assert operation["responses"]["5XX"]["content"].keys() == {"application/problem+json"}
    assert {"make_gadget", "list_gadgets", "list_dead_letters", "livez"} <= {each["operationId"] for each in operations}
    assert document["components"]["schemas"]["Problem"]["required"] == [
        "type", "title", "status", "detail", "instance", "code", "correlation_id", "errors"
    ]  # fmt: skip
    assert "HTTPValidationError" not in document["components"]["schemas"]
    read = document["paths"]["/v1/gadgets/{gadget_id}"]["get"]["responses"]
    assert read["404"]["description"] == "`gadget-not-found`: No gadget has this ID."


async def test_a_command_documents_its_required_headers(empty_toy):
    document = (await empty_toy.api.get("/openapi.json")).json()

    (header,) = document["paths"]["/v1/gadgets"]["post"]["parameters"]
    assert (header["name"], header["required"]) == ("Idempotency-Key", True)
    assert "30 days" in header["description"]


async def test_the_manual_loads_nothing_from_anywhere(empty_toy):
    answer = await empty_toy.api.get("/docs")

    assert answer.status_code == 200
    assert "POST /v1/gadgets" in answer.text
    assert not re.search(r"<script|<link|<img|url\(|@import", answer.text)
    assert "unsafe" not in answer.headers["content-security-policy"]


async def test_a_body_larger_than_the_limit_is_refused_however_it_is_sent(empty_toy):
    body = b'{"a": "' + b"x" * (1 << 20) + b'"}'

    async def chunks():
        for start in range(0, len(body), 65536):
            yield body[start : start + 65536]

    for content in (body, chunks()):
        answer = await empty_toy.api.post(
            "/v1/odd/notes", content=content, headers={"Content-Type": "application/json"}
        )

        assert answer.status_code == 413
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "content-too-large"
        assert "x-correlation-id" in answer.headers
    assert await empty_toy.count("note") == 0


async def test_a_route_may_take_a_larger_body_but_not_any(toy):
    async def send(size):
        return await toy.api.post("/v1/odd/files", files={"file": b"x" * size}, data={"title": "t"}, headers=command())

    large, too_large = await send(2 << 20), await send(3 << 20)

    assert large.json() == f"t: {2 << 20}"
    assert too_large.status_code == 413


async def test_probes_name_every_check(empty_toy):
    async def fine():
        return None

    async def late():
        return "400 records behind"

    async def broken():
        raise ZeroDivisionError("canary")

    app = create_app(
        Service(name="chassis", summary=""),
        empty_toy.context,
        ready=lambda: [("a", fine), ("b", late), ("c", broken)],
        live=lambda: [("a", fine)],
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://covey.test") as api:
        live, ready, metrics = [await api.get(path) for path in ("/livez", "/readyz", "/metrics")]

    assert (live.status_code, live.json()) == (200, {"checks": {"a": "ok"}})
    assert ready.status_code == 503
    assert ready.json()["checks"] == {"a": "ok", "b": "400 records behind", "c": "ZeroDivisionError"}
    assert [error["pointer"] for error in ready.json()["errors"]] == ["check:b", "check:c"]
    assert "canary" not in ready.text
    assert 'covey_http_request_duration_seconds_count{method="GET",route="/readyz",status="5xx"}' in metrics.text


async def test_two_routes_of_one_name_cannot_be_served(empty_toy):
    router = service_router(dependencies=[public("it is a toy")])
    for path in ("/a", "/b"):

        @router.get(path)
        async def same():
            return 1

    with pytest.raises(ValueError, match="same"):
        create_app(Service(name="chassis", summary="", routers=[router]), empty_toy.context)


async def test_the_callers_trace_goes_on_in_the_events(empty_toy):
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    answer = await empty_toy.api.get("/v1/odd/trace", headers={"traceparent": traceparent})

    assert answer.json() == traceparent
