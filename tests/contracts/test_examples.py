"""The kept examples say what every version of the contracts can read, and the published schemas say the same."""

import json
from pathlib import Path

import pytest
from covey_contracts import EVENTS, Event, SealedBody, examples
from covey_contracts.documents import JsonObject, event_schema, json_object
from jsonschema import Draft202012Validator
from pydantic import JsonValue

FOLDER = Path(__file__).parent / "examples"


KEPT = [
    pytest.param(event, payload, id=f"{event.topic.name}/{name}")
    for event in EVENTS
    for name, payload in examples.values(FOLDER, event.topic.name).items()
]
KEPT_SEALED = [
    pytest.param(event, payload, id=f"{event.topic.name}/{name}")
    for event in EVENTS
    for name, payload in examples.sealed_values(FOLDER, event.topic.name).items()
]


def round_trip(model: type[Event] | type[SealedBody], payload: JsonValue) -> JsonValue:
    parsed = model.model_validate_json(json.dumps(payload))
    assert model.model_validate_json(parsed.model_dump_json()) == parsed
    again: JsonValue = json.loads(parsed.model_dump_json(exclude_unset=True))
    return again


def refusals(schema: JsonObject, payload: JsonValue) -> list[str]:
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    return [error.message for error in validator.iter_errors(payload)]


def inside_sealed(event: type[Event]) -> JsonObject:
    """The schema of what is inside the event's sealed field, as the published document says it."""
    schema = event_schema(event)
    sealed = json_object(json_object(schema["properties"])["sealed"])["x-covey-sealed"]
    return {"$defs": schema["$defs"], **json_object(json_object(sealed)["schema"])}


def test_every_event_has_a_full_and_a_minimal_example_and_no_released_one_has_changed() -> None:
    assert examples.problems(FOLDER, EVENTS) == []


@pytest.mark.parametrize(("event", "payload"), KEPT)
def test_a_kept_example_parses_and_comes_back_whole(event: type[Event], payload: JsonValue) -> None:
    assert round_trip(event, payload) == payload


@pytest.mark.parametrize(("event", "payload"), KEPT_SEALED)
def test_what_was_sealed_parses_and_comes_back_whole(event: type[Event], payload: JsonValue) -> None:
    assert event.sealed_body is not None
    assert round_trip(event.sealed_body, payload) == payload


@pytest.mark.parametrize(("event", "payload"), KEPT)
def test_a_kept_example_is_valid_without_any_code_of_ours(event: type[Event], payload: JsonValue) -> None:
    assert refusals(event_schema(event), payload) == []


@pytest.mark.parametrize(("event", "payload"), KEPT_SEALED)
def test_what_was_sealed_is_valid_without_any_code_of_ours(event: type[Event], payload: JsonValue) -> None:
    assert refusals(inside_sealed(event), payload) == []


@pytest.mark.parametrize(("event", "payload"), KEPT)
def test_fields_of_a_newer_producer_are_passed_over(event: type[Event], payload: JsonValue) -> None:
    newer: JsonObject = {**json_object(payload), "from_the_future": {"a": [1]}}

    assert round_trip(event, newer) == payload
    assert refusals(event_schema(event), newer) == []


@pytest.mark.parametrize("event", EVENTS)
def test_some_example_says_all_there_is_to_say_and_some_only_what_must_be_said(event: type[Event]) -> None:
    said = [set(json_object(payload)) for payload in examples.values(FOLDER, event.topic.name).values()]
    required = {name for name, field in event.model_fields.items() if field.is_required()}

    assert set(event.model_fields) in said
    assert required in said


@pytest.mark.parametrize("event", EVENTS)
def test_the_schema_refuses_an_example_that_lacks_a_required_field(event: type[Event]) -> None:
    payload = next(iter(examples.values(FOLDER, event.topic.name).values()))
    del json_object(payload)[event.topic.key]

    assert refusals(event_schema(event), payload) == [f"'{event.topic.key}' is a required property"]
