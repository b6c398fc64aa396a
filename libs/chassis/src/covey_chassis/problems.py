"""Every answer that is not a success is a problem document (RFC 9457): one shape, made in one place."""

import http
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm.exc import StaleDataError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from covey_chassis.errors import FieldError, Invalid, Refusal
from covey_chassis.transient import is_transient, sqlstate
from covey_chassis.versions import StaleVersion, etag

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
CORRELATION_ID = "covey.correlation_id"
"""Key in the ASGI scope."""
CODE = "covey.problem"
"""Key in the ASGI scope: the code of the problem that was answered, for the log."""

RETRY_AFTER_S = 1


class FieldProblem(BaseModel):
    """One bad field."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    pointer: str = Field(
        description="In the body a JSON pointer (RFC 6901), such as `/billing_units/0/name`; the whole body is the "
        "empty pointer. Elsewhere `query:limit`, `path:group_id`, `header:if-match`."
    )
    detail: str


class Problem(BaseModel):
    """Why the request was not done. `code` is for programs, `title` and `detail` are for people."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    type: str = Field(description="`urn:covey:problem:` and the code.")
    title: str
    status: int
    detail: str
    instance: str = Field(description="The path that was asked for.")
    code: str
    correlation_id: str = Field(description="Name it when you ask us about the problem.")
    errors: list[FieldProblem] = Field(description="Every bad field.")


@dataclass(frozen=True)
class Fault:
    """A problem before it has met its request."""

    status: int
    code: str
    title: str
    detail: str = ""
    errors: Sequence[FieldError] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, object] = field(default_factory=dict)


UNEXPECTED = Fault(500, "unexpected", "Something went wrong that should not have. It has been logged.")
UNAVAILABLE = Fault(
    503,
    "temporarily-unavailable",
    "The service cannot do this right now: try again.",
    headers={"Retry-After": str(RETRY_AFTER_S)},
)
ALREADY_THERE = Fault(409, "already-there", "Something with the same identity is there already.")
UNACCEPTABLE_VALUE = Fault(422, "unacceptable-value", "A value in the request cannot be stored.")
TITLES = {
    400: "The request cannot be read.",
    401: "Say who you are.",
    403: "This is not yours to do.",
    404: "Nothing is at this address.",
    405: "This address does not know this method.",
    406: "None of the accepted media types can be given.",
    413: "The body is larger than this address takes.",
    414: "The address is too long.",
    415: "The body's media type is not one that this address reads.",
    428: "The request must say which version it was made on.",
}

REQUIRED_HEADERS = {
    "idempotency-key": Fault(
        400, "idempotency-key-needed", "A command needs an Idempotency-Key of 1 to 255 visible ASCII characters."
    ),
    "if-match": Fault(428, "precondition-required", TITLES[428]),
}
"""Headers whose absence has a status of its own; any other bad header is a 422 like a bad field."""

_TAKEN = frozenset({"23505", "23P01"})
_CANNOT_BE_STORED = frozenset({"22001", "22003", "22007", "22008", "22021", "22P05"})
"""Too long, out of range, no such date, not a character: what validation should have caught, but is still bad input."""


def http_fault(status: int, detail: str = "", headers: Mapping[str, str] | None = None) -> Fault:
    """A problem that HTTP itself has a status for."""
    phrase = http.HTTPStatus(status).phrase
    return Fault(
        status=status,
        code=_HTTP_CODES.get(status) or re.sub(r"[^a-z0-9]+", "-", phrase.lower()),
        title=TITLES.get(status, f"{phrase}."),
        detail="" if detail == phrase else detail,
        headers=headers or {},
    )


_HTTP_CODES = {404: "no-such-address", 413: "content-too-large", 414: "address-too-long"}
"""Where the standard library's phrase is an older one, or a refusal's code would read the same."""


def fault_of(error: Exception, headers: Headers) -> Fault:
    """What an error is to the client. Whatever is not known here is unexpected, and tells nothing of itself."""
    match error:
        case StaleVersion(facts={"current": int(current)}):
            return Fault(error.status, error.code(), error.sentence(), headers={"ETag": etag(current)})
        case Invalid():
            return Fault(error.status, error.code(), error.sentence(), errors=error.errors, headers=error.headers)
        case Refusal():
            return Fault(error.status, error.code(), error.sentence(), detail=str(error), headers=error.headers)
        case RequestValidationError():
            return _invalid_request(error)
        case HTTPException():
            return http_fault(error.status_code, str(error.detail), error.headers)
        case StaleDataError():
            return Fault(412 if "if-match" in headers else 409, StaleVersion.code(), StaleVersion.sentence())
    if is_transient(error):
        return UNAVAILABLE
    if isinstance(error, DBAPIError):
        return _refused_by_database(error)
    return UNEXPECTED


def _refused_by_database(error: DBAPIError) -> Fault:
    state = sqlstate(error)
    if state in _TAKEN:
        return ALREADY_THERE
    driver_error = error.orig.__cause__ if error.orig else None
    # Before a value is sent, the driver itself may find no encoding for it; its error then hangs below the driver's.
    unencodable = driver_error is not None and isinstance(driver_error.__cause__, OverflowError | UnicodeEncodeError)
    if state in _CANNOT_BE_STORED or unencodable:
        return UNACCEPTABLE_VALUE
    return UNEXPECTED


def answer(scope: Scope, error: Exception) -> Response:
    """The problem document for an error."""
    return document(scope, noted(scope, error))


def noted(scope: Scope, error: Exception) -> Fault:
    """What an error is to the client. What the service itself did wrong is logged, with its traceback."""
    fault = fault_of(error, Headers(scope=scope))
    if fault is UNAVAILABLE:
        log.warning("http.unavailable", error=type(error).__name__, sqlstate=sqlstate(error))
    elif fault.status >= http.HTTPStatus.INTERNAL_SERVER_ERROR and not isinstance(error, Refusal | HTTPException):
        log.error("http.failed", exc_info=error)
    elif fault is UNACCEPTABLE_VALUE:
        log.error("http.validation_gap", exc_info=error)
    return fault


def document(scope: Scope, fault: Fault) -> Response:
    """The problem document itself."""
    scope[CODE] = fault.code
    problem = Problem(
        type=f"urn:covey:problem:{fault.code}",
        title=fault.title,
        status=fault.status,
        detail=fault.detail or fault.title,
        instance=scope["path"],
        code=fault.code,
        correlation_id=scope.get(CORRELATION_ID, ""),
        errors=[FieldProblem(pointer=error.pointer, detail=error.detail) for error in fault.errors],
    )
    return JSONResponse(
        problem.model_dump() | dict(fault.more), fault.status, headers=dict(fault.headers), media_type=MEDIA_TYPE
    )


def _invalid_request(error: RequestValidationError) -> Fault:
    found = list(error.errors())
    errors = [FieldError(_pointer(each["loc"], error.body), each["msg"]) for each in found]
    for header, fault in REQUIRED_HEADERS.items():
        if any(tuple(map(str.lower, map(str, each["loc"]))) == ("header", header) for each in found):
            return Fault(fault.status, fault.code, fault.title, errors=errors)
    return Fault(Invalid.status, Invalid.code(), Invalid.sentence(), errors=errors)


def _pointer(place: Sequence[str | int], body: object) -> str:
    """Where pydantic says the error is, as a client knows it: without the union members and validators on the way."""
    where, *path = place
    if where != "body":
        return f"{where}:{'/'.join(map(str, path)).lower() if where == 'header' else '/'.join(map(str, path))}"
    parts: list[str | int] = []
    for index, part in enumerate(path):
        match body, part:
            case Mapping(), _ if part in body:
                body = body[part]
            case list(), int() if part < len(body):
                body = body[part]
            case Mapping(), _ if index == len(path) - 1:
                pass  # a missing field
            case _:
                continue
        parts.append(part)
    return json_pointer(parts)


def json_pointer(parts: Iterable[str | int]) -> str:
    """An RFC 6901 pointer: ``["a", 0]`` is ``/a/0``."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


# --- OpenAPI ---

SCHEMA_REF = {"$ref": "#/components/schemas/Problem"}


def documented(description: str) -> dict[str, Any]:
    """What the OpenAPI document says of an answer that is a problem document."""
    return {"description": description, "content": {MEDIA_TYPE: {"schema": SCHEMA_REF}}}


RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": documented("The request was refused; nothing was changed."),
    "5XX": documented("The service failed. Ask again; a command with the same Idempotency-Key is done once at most."),
}
"""For every route: whatever goes wrong is a problem document."""


def refuses(*refusals: type[Refusal]) -> dict[int | str, dict[str, Any]]:
    """The ``responses=`` of a route that names its refusals: by status, each with its code and sentence."""
    by_status: dict[int | str, list[str]] = {}
    for refusal in refusals:
        by_status.setdefault(refusal.status, []).append(f"`{refusal.code()}`: {refusal.sentence()}")
    return {status: documented("\n\n".join(said)) for status, said in by_status.items()}


def describe(schema: dict[str, Any]) -> None:
    """Add the problem document's schema to an OpenAPI document that refers to it."""
    problem = Problem.model_json_schema(mode="serialization", ref_template="#/components/schemas/{model}")
    schemas = schema.setdefault("components", {}).setdefault("schemas", {})
    schemas |= problem.pop("$defs") | {"Problem": problem}
