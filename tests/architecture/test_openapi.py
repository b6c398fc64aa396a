"""Every service's OpenAPI document tells a programmer all that its routes ask for and answer."""

import importlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import pytest
from covey_chassis.app import create_app
from covey_chassis.service import Context
from covey_local import topology
from fastapi.routing import APIRoute, iter_route_contexts

PROBLEM = "application/problem+json"


@dataclass(frozen=True)
class Operation:
    """One route with what the document says of it."""

    name: str
    said: dict[str, Any]
    source: str

    @property
    def asked(self) -> dict[str, dict[str, Any]]:
        return {each["name"]: each for each in self.said.get("parameters", ()) if each["in"] == "header"}

    @property
    def answered(self) -> dict[str, Any]:
        """The headers of its success, in whichever way it succeeds."""
        successes = [said for status, said in self.said["responses"].items() if status.startswith("2")]
        return {name: header for said in successes for name, header in said.get("headers", {}).items()}


def operations() -> Iterator[Operation]:
    for each in topology.SERVICES:
        service = importlib.import_module(f"{each.package}.app").service
        app = create_app(service, cast("Context", None))  # no request is answered here
        routes = [found.original_route for found in iter_route_contexts(app.routes)]
        sources = {route.name: inspect.getsource(route.endpoint) for route in routes if isinstance(route, APIRoute)}
        for path, methods in app.openapi()["paths"].items():
            for method, said in methods.items():
                yield Operation(f"{service.name} {method.upper()} {path}", said, sources[said["operationId"]])


OPERATIONS = list(operations())
every_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)


@every_operation
def test_it_has_a_summary_of_somebodys_own(operation: Operation) -> None:
    assert operation.said["summary"] != operation.said["operationId"].replace("_", " ").title()


@every_operation
def test_its_refusals_are_problem_documents_with_a_sentence(operation: Operation) -> None:
    refusals = {status: said for status, said in operation.said["responses"].items() if status[0] in "45"}

    assert {"4XX", "5XX"} <= refusals.keys()
    for said in refusals.values():
        assert said["content"] == {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
        assert said["description"].endswith(".")


@every_operation
def test_the_headers_that_it_asks_for_have_examples(operation: Operation) -> None:
    for header in operation.asked.values():
        assert header["schema"]["examples"], header["name"]


@every_operation
def test_a_command_and_an_edit_say_what_is_refused_for_their_headers(operation: Operation) -> None:
    said = operation.said["responses"]
    if "Idempotency-Key" in operation.asked:
        assert "`idempotency-key-needed`" in said["400"]["description"]
        assert "`command-in-progress`" in said["409"]["description"]
        assert "`idempotency-key-reused`" in said["422"]["description"]
        assert "Idempotency-Replayed" in operation.answered
    if "If-Match" in operation.asked:
        assert "`stale-version`" in said["412"]["description"]
        assert "`precondition-required`" in said["428"]["description"]


@every_operation
def test_the_headers_that_its_code_sets_are_in_the_document(operation: Operation) -> None:
    assert ("set_etag(" in operation.source) == ("ETag" in operation.answered)
    assert ('headers["Location"]' in operation.source) == ("Location" in operation.answered)


def test_some_of_them_are_commands_and_edits() -> None:
    assert any("Idempotency-Key" in operation.asked for operation in OPERATIONS)
    assert any("If-Match" in operation.asked for operation in OPERATIONS)


OF_BROWSERS = {"MadeCredential", "MadeResponse", "ShownCredential", "ShownResponse"}
"""What browsers send of a passkey: later ones may say more (WebAuthn), of which nothing is kept."""


def bodies(schema: Any, components: dict[str, Any], seen: set[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object with named fields that a JSON body can hold, with its name in the document."""
    if isinstance(schema, list):
        for each in schema:
            yield from bodies(each, components, seen)
    elif isinstance(schema, dict):
        if (reference := schema.get("$ref")) and reference not in seen:
            seen.add(reference)
            name = reference.rpartition("/")[2]
            if "properties" in components[name]:
                yield name, components[name]
            yield from bodies(components[name], components, seen)
        for key, each in schema.items():
            if key not in ("$ref", "examples", "default", "discriminator"):
                yield from bodies(each, components, seen)


@pytest.mark.parametrize("service", topology.SERVICES, ids=lambda service: service.name)
def test_a_body_takes_no_field_that_it_does_not_name(service: topology.Service) -> None:
    app = create_app(importlib.import_module(f"{service.package}.app").service, cast("Context", None))
    document = app.openapi()
    said = [
        operation["requestBody"]["content"]["application/json"]["schema"]
        for methods in document["paths"].values()
        for operation in methods.values()
        if "application/json" in operation.get("requestBody", {}).get("content", {})
    ]
    found = dict(bodies(said, document["components"]["schemas"], set()))
    assert found or not said
    taking_more = {name for name, schema in found.items() if schema.get("additionalProperties") is not False}
    assert taking_more == found.keys() & OF_BROWSERS
