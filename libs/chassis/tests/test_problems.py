"""Whatever is wrong with a request, the answer is a problem document that names it, and never a 500."""

import json
from uuid import uuid4

import pytest
from covey_chassis.errors import Refusal
from covey_chassis.http import refuses
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

MEMBERS = {"type", "title", "status", "detail", "instance", "code", "correlation_id", "errors"}
JSON = {"Content-Type": "application/json"}
DEEP = 100_000


@pytest.fixture(scope="module")
async def toy(new_toy):
    """One for all tests here: what they leave behind disturbs no other."""
    async with new_toy() as shared:
        yield shared


def problem(answer):
    """The answer's problem document, which it must be, and be complete."""
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document.keys() >= MEMBERS
    assert document["status"] == answer.status_code
    assert document["type"] == f"urn:covey:problem:{document['code']}"
    assert document["correlation_id"] == answer.headers["x-correlation-id"]
    assert document["title"]
    assert document["detail"]
    return document


def pointers(answer):
    return [error["pointer"] for error in problem(answer)["errors"]]


def command():
    return {"Idempotency-Key": uuid4().hex}


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("refusal", 409, "gadget-is-stuck"),
        ("invalid", 422, "invalid"),
        ("not-found", 404, "gadget-not-found"),
        ("forbidden", 403, "forbidden"),
        ("teapot", 418, "i-m-a-teapot"),
        ("bug", 500, "unexpected"),
    ],
)
async def test_every_error_of_a_route_is_a_problem(toy, name, status, code):
    answer = await toy.api.post(f"/v1/odd/faults/{name}")

    assert problem(answer)["code"] == code
    assert answer.status_code == status
    assert problem(answer)["instance"] == f"/v1/odd/faults/{name}"
    assert "canary" not in answer.text


async def test_a_refusal_says_its_sentence_and_its_facts(toy):
    document = problem(await toy.api.post("/v1/odd/faults/not-found"))

    assert document["title"] == "No gadget has this ID."
    assert document["detail"] == "No gadget has this ID. (id=1)"


async def test_a_refusal_names_every_bad_field(toy):
    answer = await toy.api.post("/v1/odd/faults/invalid")

    assert problem(answer)["errors"] == [
        {"pointer": "/a~1b", "detail": "is odd"},
        {"pointer": "query:c", "detail": "is odder"},
    ]


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("timeout", 503, "temporarily-unavailable"),
        ("gone", 503, "temporarily-unavailable"),
        ("twice", 409, "already-there"),
        ("too-large", 500, "unexpected"),
    ],
)
async def test_what_the_database_refuses_is_a_problem(toy, name, status, code):
    answer = await toy.api.post(f"/v1/odd/statements/{name}")

    assert (answer.status_code, problem(answer)["code"]) == (status, code)
    assert answer.headers.get("retry-after") == ("1" if status == 503 else None)


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "code"),
    [
        ("GET", "/nowhere", {}, 404, "no-such-address"),
        ("GET", "/v1/gadgets/", {}, 404, "no-such-address"),
        ("DELETE", "/v1/gadgets", {}, 405, "method-not-allowed"),
        ("FROB", "/v1/gadgets", {}, 405, "method-not-allowed"),
        ("GET", "/v1/gadgets", {"Accept": "text/csv"}, 406, "not-acceptable"),
        ("GET", "/v1/gadgets", {"Accept": "application/json;q=0"}, 406, "not-acceptable"),
        ("GET", "/v1/gadgets/" + "x" * 2000, {}, 414, "address-too-long"),
        ("GET", "/v1/gadgets?name=" + "x" * 9000, {}, 414, "address-too-long"),
        ("GET", "/internal/date", {}, 401, "unauthorized"),
    ],
)
async def test_what_http_refuses_is_a_problem(toy, method, path, headers, status, code):
    answer = await toy.api.request(method, path, headers=headers)

    assert (answer.status_code, problem(answer)["code"]) == (status, code)


async def test_a_wrong_method_is_told_the_right_ones(toy):
    answer = await toy.api.delete("/v1/odd/notes")

    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("accept", ["*/*", "application/*", "text/html, */*;q=0.1", "application/json; charset=utf-8"])
async def test_who_accepts_json_gets_it(toy, accept):
    assert (await toy.api.get("/v1/gadgets", headers={"Accept": accept})).status_code == 200


@pytest.mark.parametrize("media_type", ["text/plain", "application/xml", "multipart/form-data; boundary=x", ""])
async def test_a_body_of_another_media_type_is_refused(toy, media_type):
    answer = await toy.api.post("/v1/odd/notes", content=b'{"a": 1}', headers={"Content-Type": media_type})

    assert (answer.status_code, problem(answer)["code"]) == (415, "unsupported-media-type")
    assert answer.headers["accept"] == "application/json"


async def test_json_for_a_form_is_refused(toy):
    answer = await toy.api.post("/v1/odd/files", json={"title": "t"}, headers=command())

    assert (answer.status_code, answer.headers["accept"]) == (415, "multipart/form-data")


async def test_json_of_another_kind_is_read(toy):
    headers = {"Content-Type": "application/merge-patch+json; charset=utf-8"}

    assert (await toy.api.post("/v1/odd/notes", content=b"{}", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, ["/name", "/size"]),
        ({"name": "", "size": "x", "status": 1}, ["/name", "/size", "/status"]),
        ({"name": "a", "size": 1, "parts": [{"weight": 1}, {"weight": 0}, {}]}, ["/parts/1/weight", "/parts/2/weight"]),
        ({"name": "a", "size": 1, "a/b~c": 1}, ["/a~1b~0c"]),
        ([], [""]),
        (None, [""]),
    ],
)
async def test_every_bad_field_of_a_body_is_named(toy, body, expected):
    answer = await toy.api.post("/v1/gadgets", content=json.dumps(body), headers=JSON | command())

    assert answer.status_code == 422
    assert sorted(pointers(answer)) == sorted(expected)
    assert await toy.count("gadget") == 0


async def test_a_missing_body_is_named(toy):
    answer = await toy.api.post("/v1/gadgets", headers=command())

    assert (answer.status_code, pointers(answer)) == (422, [""])


async def test_bad_parameters_are_named_by_where_they_are(toy):
    query = await toy.api.get("/v1/gadgets", params={"limit": 201, "largest_first": "perhaps"})
    path = await toy.api.get("/v1/gadgets/7")

    assert sorted(pointers(query)) == ["query:largest_first", "query:limit"]
    assert pointers(path) == ["path:gadget_id"]


@pytest.mark.parametrize(
    ("raw", "expected", "detail"),
    [
        (b'{"a": ', [""], "is not JSON"),
        (b"{'a': 1}", [""], "is not JSON"),
        (b'{"a": "\xff"}', [""], "is not UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', [""], "is not UTF-8"),
        ('{"a": 1}'.encode("utf-16"), [""], "is not UTF-8"),
        (b'\xef\xbb\xbf{"a": 1}', [""], "is not JSON"),
        (b'{"a":' * DEEP + b"1" + b"}" * DEEP, [""], "nested too deeply"),
        (b"[" * DEEP, [""], "nested too deeply"),
        (b'{"a": 1e999}', [""], "out of range"),
        (b'{"a": ' + b"9" * 5000 + b"}", [""], "out of range"),
        (b'{"a": NaN}', [""], "out of range"),
        (b'{"a": -Infinity}', [""], "out of range"),
        (b'{"a": "\\u0000"}', ["/a"], "not text"),
        (b'{"a": [1, "x\\ud800"]}', ["/a/1"], "not text"),
        (b'{"a": {"\\u0000": 1}}', ["/a"], "not text"),
        (b'{"a": "\x00"}', [""], "is not JSON"),
    ],
)
async def test_what_is_no_storable_json_is_refused(toy, raw, expected, detail):
    answer = await toy.api.post("/v1/odd/notes", content=raw, headers=JSON)

    assert answer.status_code == 422
    assert pointers(answer) == expected
    assert all(detail in error["detail"] for error in problem(answer)["errors"])


async def test_escaped_characters_that_are_text_pass(toy):
    raw = b'{"a": "\\ud83d\\ude00 \\\\u0000"}'

    assert (await toy.api.post("/v1/odd/notes", content=raw, headers=JSON)).json() == {"a": "\U0001f600 \\u0000"}


async def test_nul_in_an_address_is_refused(toy):
    query = await toy.api.get("/v1/odd/search?what=a%00b")
    path = await toy.api.get("/v1/gadgets/%00")

    assert (query.status_code, pointers(query)) == (422, ["query:what"])
    assert (path.status_code, pointers(path)) == (422, ["path:"])


@pytest.mark.parametrize("size", [2**31, 10**30, -(10**30)])
async def test_a_number_that_the_database_cannot_hold_is_bad_input(toy, size):
    answer = await toy.api.post("/v1/gadgets", json={"name": "a", "size": size}, headers=command())

    assert (answer.status_code, problem(answer)["code"]) == (422, "unacceptable-value")


async def test_nul_in_a_form_is_bad_input(toy):
    answer = await toy.api.post("/v1/odd/files", files={"file": b"x"}, data={"title": "a\0b"}, headers=command())

    assert answer.status_code == 422


async def test_a_broken_form_is_refused(toy):
    headers = {"Content-Type": "multipart/form-data; boundary=x"} | command()

    answer = await toy.api.post("/v1/odd/files", content=b"--y\r\nnonsense", headers=headers)

    assert answer.status_code in (400, 422)
    problem(answer)


def test_refusals_document_themselves_by_status():
    class TooEarly(Refusal):
        """It is too early."""

    class TooLate(Refusal):
        """It is too late."""

    assert (
        refuses(TooEarly, TooLate)[409]["description"] == "`too-early`: It is too early.\n\n`too-late`: It is too late."
    )


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(alphabet=st.characters(codec=None)),  # surrogates and NUL too
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["name", "size", "parts", "weight"]) | st.text(), inner, max_size=4)
    ),
    max_leaves=12,
)


class TestFuzz:
    @settings(
        max_examples=150,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(body=anything)
    async def test_no_json_is_a_failure_of_ours(self, toy, body):
        content = json.dumps(body).encode()

        for path in ("/v1/gadgets", "/v1/odd/notes"):
            answer = await toy.api.post(path, content=content, headers=JSON | command())
            assert answer.status_code < 500
            assert answer.is_success or problem(answer)

    @settings(
        max_examples=100,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(
        body=st.binary(max_size=200), media_type=st.sampled_from([*JSON.values(), "multipart/form-data; boundary=x"])
    )
    async def test_no_bytes_are_a_failure_of_ours(self, toy, body, media_type):
        for path in ("/v1/odd/notes", "/v1/odd/files"):
            headers = {"Content-Type": media_type} | command()
            answer = await toy.api.post(path, content=body, headers=headers)
            assert answer.status_code < 500
            assert answer.is_success or problem(answer)

    @settings(
        max_examples=100,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(
        what=st.text(alphabet=st.characters(exclude_categories=["Cs"])),
        size=st.integers() | st.text(alphabet=st.characters(exclude_categories=["Cs"])),
        after=st.text(alphabet=st.characters(exclude_categories=["Cs"])),
    )
    async def test_no_address_is_a_failure_of_ours(self, toy, what, size, after):
        for path in ("/v1/odd/search", "/v1/gadgets", "/internal/dead-letters"):
            answer = await toy.api.get(
                path, params={"what": what, "size": size, "after": after, "name": what}, headers=toy.operator
            )
            assert answer.status_code < 500
            assert answer.is_success or problem(answer)
