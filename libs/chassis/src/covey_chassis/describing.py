"""What the OpenAPI document says of the headers that many routes share: what they mean, and what is refused for them."""

from collections.abc import Mapping
from typing import Any

from covey_chassis.access.requiring import Requirement
from covey_chassis.idempotency import REPLAYED, CommandInProgress, IdempotencyKeyReused
from covey_chassis.problems import REQUIRED_HEADERS, documented, refuses
from covey_chassis.versions import StaleVersion

ANSWER_HEADERS = {
    "ETag": ("The version, to give as If-Match with an edit.", '"7"'),
    "Last-Event-ID": (
        "What it shows: give it to the stream of events, to hear of what changes after it.",
        "741:731,738:" + "0a" * 32,
    ),
    "Location": ("Where it can be read from now on.", "/v1/things/01a19d6e-d942-7a7f-8d0a-5aa0d4a8142a"),
    REPLAYED: ("There, and `true`, when the command was done before: this is the answer of then.", "true"),
}


def says(status: int, *headers: str) -> dict[int | str, dict[str, Any]]:
    """The ``responses=`` of a route whose answer of this status carries these headers."""
    return {status: {"headers": {name: _header(name) for name in headers}}}


def describe_shared_headers(document: dict[str, Any]) -> None:
    """Add what every command (Idempotency-Key) and every edit (If-Match) answers besides its route's own."""
    for path in document["paths"].values():
        for operation in path.values():
            asked = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "header"}
            if "Idempotency-Key" in asked:
                _add(operation, _needed("idempotency-key") | refuses(CommandInProgress, IdempotencyKeyReused))
                _success(operation).setdefault("headers", {})[REPLAYED] = _header(REPLAYED)
            if "If-Match" in asked:
                _add(operation, _needed("if-match") | refuses(StaleVersion))


def describe_access(document: dict[str, Any], requirements: Mapping[str, Requirement]) -> None:
    """Add what the routes of these operation IDs refuse to whoever may not use them."""
    for path in document["paths"].values():
        for operation in path.values():
            if requirement := requirements.get(operation["operationId"]):
                _add(operation, refuses(*requirement.refusals))


def _header(name: str) -> dict[str, Any]:
    description, example = ANSWER_HEADERS[name]
    return {"description": description, "schema": {"type": "string"}, "example": example}


def _needed(header: str) -> dict[int | str, dict[str, Any]]:
    fault = REQUIRED_HEADERS[header]
    return {fault.status: documented(f"`{fault.code}`: {fault.title}")}


def _success(operation: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(said for status, said in operation["responses"].items() if status.startswith("2"))
    return found


def _add(operation: dict[str, Any], responses: dict[int | str, dict[str, Any]]) -> None:
    """Say the new refusals after those that the route names itself, and none of them twice."""
    for status, said in responses.items():
        there = operation["responses"].setdefault(str(status), said)
        if said["description"] not in there["description"]:
            there["description"] += f"\n\n{said['description']}"
