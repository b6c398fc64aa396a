"""The log is JSON lines that tell what happened, and hold nothing secret or personal, wherever it was planted."""

import io
import json
import logging
import re
import warnings
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

import pytest
import structlog
from covey_chassis.errors import Refusal
from covey_chassis.logs import configure_logging
from covey_chassis.redaction import TEXT_MAX, redacted, redacted_text
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr, ValidationError
from sqlalchemy import text

EMAIL = "ada.canary@example.org"
SSN = "123-45-6789"
JWT = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJlLWNhbmFyeQ"
JWE = "eyJhbGciOiJFQ0RILUVTIn0.a2V5LWNhbmFyeQ.aXYtY2FuYXJ5.dGV4dC1jYW5hcnk.dGFnLWNhbmFyeQ"
TOKEN = "t0ken-canary-7fd1"
CANARIES = [EMAIL, SSN, JWT, JWE, TOKEN]


@pytest.fixture(scope="module")
async def toy(new_toy):
    """One for all tests here: the log is what they look at."""
    async with new_toy() as shared:
        yield shared


@pytest.fixture
def lines(logged):
    """What has been logged so far, each line read as JSON."""
    return lambda: [json.loads(line) for line in logged().splitlines()]


def the_only(lines):
    (line,) = lines()
    return line


log = structlog.get_logger("covey_toy")


def test_a_line_says_what_when_where_and_how_bad(lines):
    log.warning("gadget.made", gadget_id=7)

    line = the_only(lines)
    assert line.pop("at").endswith("Z")
    assert line == {"event": "gadget.made", "level": "warning", "logger": "covey_toy", "gadget_id": 7}


def test_the_time_is_utc(lines):
    log.info("x")

    assert datetime.fromisoformat(the_only(lines)["at"]).utcoffset().total_seconds() == 0


@pytest.mark.parametrize(
    "name", ["uvicorn.error", "aiokafka.conn", "faststream", "sqlalchemy.pool", "alembic", "anyone"]
)
def test_the_standard_librarys_loggers_write_the_same_lines(lines, name):
    with structlog.contextvars.bound_contextvars(correlation_id="c"):
        logging.getLogger(name).warning("lost %s of %s", 1, "broker")

    line = the_only(lines)
    assert (line["event"], line["level"], line["logger"], line["correlation_id"]) == (
        "lost 1 of broker", "warning", name, "c"
    )  # fmt: skip


def test_handlers_that_a_library_set_up_before_are_taken_away():
    logger = logging.getLogger("faststream.access.toy")
    logger.propagate = False
    logger.addHandler(logging.StreamHandler())
    stream = io.StringIO()

    configure_logging("INFO", stream)
    logger.warning("x")
    configure_logging()

    assert json.loads(stream.getvalue())["event"] == "x"
    assert logger.handlers == []


def test_uvicorns_own_access_lines_are_not_written(lines):
    logging.getLogger("uvicorn.access").info('127.0.0.1 - "GET /v1/members?email=%s HTTP/1.1" 200', EMAIL)

    assert lines() == []


def test_python_warnings_are_lines_too(lines):
    logging.captureWarnings(capture=False)  # pytest has put its own way in between
    logging.captureWarnings(capture=True)

    warnings.warn("old way", DeprecationWarning, stacklevel=1)

    assert "old way" in the_only(lines)["event"]


def test_the_level_is_kept(lines):
    configure_logging("WARNING", io.StringIO())

    log.info("x")

    assert not log.isEnabledFor(logging.INFO)
    assert lines() == []


# --- redaction ---


@dataclass
class Person:
    email: str


class Loud:
    def __str__(self):
        return f"Loud({EMAIL}, {JWT})"


class Unsayable:
    def __str__(self):
        raise ValueError(EMAIL)


PLACES = {
    "event": lambda canary: log.info(f"mail to {canary} failed"),  # noqa: G004
    "value": lambda canary: log.info("x", note=f"<{canary}>"),
    "list": lambda canary: log.info("x", notes=[1, [canary], (canary,), {canary}]),
    "dict": lambda canary: log.info("x", notes={"a": {"b": [{"c": canary}]}}),
    "name in a dict": lambda canary: log.info("x", notes={canary: 1}),
    "bytes": lambda canary: log.info("x", note=canary.encode()),
    "object": lambda canary: log.info("x", note=Person(canary)),
    "exception as value": lambda canary: log.info("x", error=ValueError(canary)),
    "exception": lambda canary: _raise(ValueError(f"no {canary}")),
    "cause": lambda canary: _raise(RuntimeError("x"), ValueError(canary)),
    "group": lambda canary: _raise(ExceptionGroup(canary, [ValueError(canary)])),
    "note on an exception": lambda canary: _raise(_noted(canary)),
    "refusal": lambda canary: _raise(Refusal(who=canary)),
    "local variable": lambda canary: _raise(ValueError("x"), local=canary),
    "contextvar": lambda canary: _bound(note=canary),
    "standard message": lambda canary: logging.getLogger("any").error(f"got {canary}"),  # noqa: G004
    "standard argument": lambda canary: logging.getLogger("any").error("got %s", canary),
    "standard dict argument": lambda canary: logging.getLogger("any").error("got %(a)s", {"a": canary}),
    "standard exception": lambda canary: _raise(ValueError(canary), logger=logging.getLogger("any")),
    "standard extra": lambda canary: logging.getLogger("any").error("x", extra={"note": canary}),
    "positional": lambda canary: log.info("x %s", canary),
    "stack": lambda canary: log.info("x", note=canary, stack_info=True),
}


def _raise(error, cause=None, local=None, logger=log):
    try:
        raise error from cause
    except Exception:
        logger.exception("x")


def _noted(canary):
    error = ValueError("x")
    error.add_note(canary)
    return error


def _bound(**facts):
    with structlog.contextvars.bound_contextvars(**facts):
        log.info("x")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "canary", [EMAIL, SSN, JWT, JWE, f"Bearer {TOKEN}", f"token={TOKEN}", f'"password": "{TOKEN}"']
)
def test_what_looks_secret_is_hidden_wherever_it_stands(lines, place, canary):
    PLACES[place](canary)

    written = json.dumps(lines())
    assert len(lines()) == 1
    assert not any(each in written for each in CANARIES)


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "new_password",
        "PASSWORD",
        "passwd",
        "client_secret",
        "access_token",
        "id_token",
        "Authorization",
        "Cookie",
        "set-cookie",
        "sealed",
        "ssn",
        "SSN",
        "email",
        "e_mail",
        "email_address",
        "phone_number",
        "code",
        "access_code",
        "api_key",
        "apikey",
        "private-key",
        "date_of_birth",
        "tax_id",
        "payload",
        "to",
        "recipient",
        "first_name",
        "address",
    ],
)
@pytest.mark.parametrize("value", ["canary", ["canary"], {"a": "canary"}, 471_147_114_711, b"canary"])
def test_a_field_with_a_telling_name_is_hidden_whatever_it_holds(lines, name, value):
    log.info("x", deep=[{"er": {name: value}}], **{name: value})

    written = json.dumps(lines())
    assert "canary" not in written
    assert "471147114711" not in written


def test_what_is_not_secret_stays(lines):
    facts = {
        "group_id": str(uuid4()), "status_code": 201, "duration_ms": 1.5, "topic": "covey.group.registered.v1", "key": "k",
        "offset": 123456789, "partition": 3, "ok": True, "nothing": None, "consumer": "renewals.groups",
        "date": "2026-01-31", "at_time": "2026-01-31T10:11:12.123456Z", "sqlstate": "40P01", "error": "KeyError: 'x'",
        "correlation_id": "a.b_c-1", "has_password": False, "problem": "group-not-found", "path": "/v1/groups/{group_id}",
    }  # fmt: skip

    log.info("x", **facts)

    line = the_only(lines)
    assert {name: line[name] for name in facts} == facts


def test_a_secret_string_shows_nothing(lines):
    log.info("x", settings={"inner": SecretStr(TOKEN)})

    assert TOKEN not in json.dumps(lines())


def test_what_cannot_be_said_is_still_a_line(lines):
    log.info("x", odd=Unsayable(), loud=Loud())

    assert the_only(lines)["odd"] == "<Unsayable: ValueError>"
    assert EMAIL not in json.dumps(lines())


def test_a_password_in_an_address_is_hidden(lines):
    log.info("x", database=f"postgresql://covey:{TOKEN}@db.internal/covey", other=f"redis://:{TOKEN}@h")

    assert TOKEN not in json.dumps(lines())
    assert "postgresql://covey:" in the_only(lines)["database"]


def test_an_exception_is_fields_and_holds_no_local_variables(lines):
    _raise(ValueError("broken"), local=TOKEN)

    (exception,) = the_only(lines)["exception"]
    assert (exception["exc_type"], exception["exc_value"]) == ("ValueError", "broken")
    assert exception["frames"][-1]["name"] == "_raise"
    assert TOKEN not in json.dumps(lines())


def test_what_validation_quotes_of_its_input_is_hidden(lines):
    class Member(BaseModel):
        age: int

    with pytest.raises(ValidationError) as failed:
        Member.model_validate({"age": TOKEN})
    log.info("x", error=str(failed.value))

    assert TOKEN not in json.dumps(lines())
    assert "age" in the_only(lines)["error"]


async def test_what_the_database_quotes_of_its_values_is_hidden(toy, lines):
    statements = [
        ("INSERT INTO gadget VALUES (uuidv7(), :name, 1, 1, 0), (uuidv7(), :name, 1, 1, 0)", {"name": TOKEN}),
        ("INSERT INTO gadget (id, name) VALUES (uuidv7(), :name)", {"name": TOKEN}),
        ("SELECT CAST(CAST(:name AS text) AS int)", {"name": TOKEN}),
        ("SELECT CAST(:number AS int)", {"number": TOKEN}),
    ]
    for statement, parameters in statements:
        try:
            await toy.execute(statement, **parameters)
        except Exception:
            log.exception("x")

    assert len(lines()) == len(statements)
    assert TOKEN not in json.dumps(lines())


def test_a_long_text_is_cut(lines):
    log.info("x", note="a" * (TEXT_MAX * 3))

    assert len(the_only(lines)["note"]) < TEXT_MAX + 20


def test_a_nest_without_end_is_cut(lines):
    nest = {}
    nest["in"] = nest

    log.info("x", nest=nest)

    assert "[deep]" in json.dumps(lines())


@given(st.text())
def test_redaction_takes_any_text_and_is_done_after_one_pass(anything):
    once = redacted_text(anything)

    assert redacted_text(once) == once


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(json_values)
def test_whatever_is_logged_can_be_written(anything):
    json.dumps(redacted(anything))


# --- requests ---


async def request_lines(lines):
    return [line for line in lines() if line["event"] == "http.request"]


async def test_a_request_is_one_line_without_ids_and_queries(toy, lines):
    gadget = uuid4()

    answer = await toy.api.get(f"/v1/gadgets/{gadget}?email={EMAIL}", headers={"X-Correlation-ID": "conversation-1"})

    (line,) = await request_lines(lines)
    assert answer.status_code == 404
    assert line.pop("duration_ms") >= 0
    del line["at"]
    assert line == {
        "event": "http.request", "level": "info", "logger": "covey_chassis.edge", "method": "GET",
        "route": "/v1/gadgets/{gadget_id}", "status": 404, "correlation_id": "conversation-1",
        "problem": "gadget-not-found",
    }  # fmt: skip
    assert str(gadget) not in json.dumps(lines())


async def test_an_address_that_is_none_is_one_route(toy, lines):
    await toy.api.get(f"/{TOKEN}")
    await toy.api.request("FROB", f"/v1/{TOKEN}")

    assert [(line["method"], line["route"]) for line in await request_lines(lines)] == [
        ("GET", "unmatched"), ("other", "unmatched")
    ]  # fmt: skip
    assert TOKEN not in json.dumps(lines())


async def test_nothing_that_a_client_sends_gets_into_the_log(toy, lines):
    headers = {
        "Authorization": f"Bearer {TOKEN}", "Cookie": f"session={TOKEN}", "Idempotency-Key": TOKEN, "If-Match": TOKEN,
        "X-Correlation-ID": f"{TOKEN} {TOKEN}", "User-Agent": TOKEN, "X-Operator": TOKEN,
    }  # fmt: skip
    body = {"name": EMAIL, "size": SSN, TOKEN: JWT}
    for method, path in [
        ("POST", "/v1/gadgets"), ("PUT", f"/v1/gadgets/{uuid4()}"), ("POST", "/v1/odd/notes"), ("GET", "/internal/date"),
        ("GET", f"/v1/gadgets?name={TOKEN}&after={TOKEN}"), ("GET", f"/v1/gadgets/{TOKEN}"), ("POST", "/v1/odd/faults/bug"),
    ]:  # fmt: skip
        await toy.api.request(method, path, json=body, headers=headers)

    assert len(await request_lines(lines)) == 7
    assert not any(canary in json.dumps(lines()) for canary in CANARIES)


async def test_a_failure_of_ours_is_logged_once_with_its_traceback_and_correlation_id(toy, lines):
    answer = await toy.api.post("/v1/odd/faults/bug")

    (failure,) = [line for line in lines() if line["level"] == "error"]
    assert failure["event"] == "http.failed"
    assert failure["exception"][0]["exc_type"] == "ZeroDivisionError"
    assert failure["correlation_id"] == answer.json()["correlation_id"]


async def test_a_refusal_is_information_only(toy, lines):
    await toy.api.post("/v1/odd/faults/refusal")

    assert {line["level"] for line in lines()} <= {"info", "debug"}


async def test_a_database_that_is_away_is_a_warning(toy, lines):
    await toy.api.post("/v1/odd/statements/timeout")

    (warning,) = [line for line in lines() if line["level"] == "warning"]
    assert (warning["event"], warning["sqlstate"]) == ("http.unavailable", "57014")


async def test_probes_that_pass_are_not_worth_a_line(toy, lines):
    configure_logging("INFO", stream := io.StringIO())

    await toy.api.get("/livez")
    await toy.api.get("/metrics")

    assert "http.request" not in stream.getvalue()


async def test_requests_are_counted_by_route_and_kind_of_status(toy):
    def observed(metrics):
        labels = 'method="GET",route="/v1/gadgets/{gadget_id}",status="4xx"'
        return re.findall(r"covey_http_request_duration_seconds_count\{" + re.escape(labels) + r"\} (\S+)\n", metrics)

    await toy.api.get(f"/v1/gadgets/{uuid4()}")
    (before,) = observed((await toy.api.get("/metrics")).text)
    await toy.api.get(f"/v1/gadgets/{uuid4()}")
    metrics = (await toy.api.get("/metrics")).text

    assert float(observed(metrics)[0]) == float(before) + 1
    assert not re.search(r'route="[^"]*[0-9a-f]{8}-', metrics)


async def test_a_failing_commit_is_logged_without_its_values(toy, lines):
    await toy.api.post("/v1/odd/promises", headers={"Idempotency-Key": "k"})

    (failure,) = [line for line in lines() if line["level"] == "error"]
    async with toy.transaction() as session:
        assert await session.scalar(text("SELECT count(*) FROM promise")) == 0
    assert "Key (gadget)" not in json.dumps(failure)
