"""What every event keeps to, whoever adds it."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import covey_contracts
import pytest
from covey_contracts import EVENTS, Event

PACKAGE = Path(covey_contracts.__file__).parent
MAY_IMPORT = sys.stdlib_module_names | {"pydantic", "covey_contracts"}


def imported_by(module: Path) -> set[str]:
    """The top-level names that a module imports, wherever in it."""
    names = set[str]()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." * node.level + (node.module or "").partition(".")[0])
    return names


def checks(schema: object) -> Iterator[str]:
    """The kinds of check that pydantic makes for a model, its parts included."""
    if isinstance(schema, dict):
        if isinstance(kind := schema.get("type"), str):
            yield kind
        for value in schema.values():
            yield from checks(value)
    elif isinstance(schema, list | tuple):
        for value in schema:
            yield from checks(value)


@pytest.mark.parametrize("module", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.name)
def test_the_contracts_import_pydantic_and_the_standard_library_only(module: Path) -> None:
    assert imported_by(module) <= MAY_IMPORT


def test_the_contracts_depend_on_pydantic_only() -> None:
    project = tomllib.loads((PACKAGE.parents[1] / "pyproject.toml").read_text())["project"]

    assert [re.split(r"[^a-z-]", requirement)[0] for requirement in project["dependencies"]] == ["pydantic"]


def test_no_two_events_share_a_topic() -> None:
    names = [event.topic.name for event in EVENTS]

    assert len(set(names)) == len(names)


PART_OF = {"review": "transaction"}
"""What has a name of its own in topics, and is one aggregate with what it is part of."""


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_is_named_after_its_aggregate_and_what_happened_to_it(event: type[Event]) -> None:
    named = re.fullmatch(r"covey\.([a-z]+(?:-[a-z]+)*)\.[a-z]+(-[a-z]+)*\.v[1-9][0-9]*", event.topic.name)

    assert named
    assert PART_OF.get(named[1], named[1]) == event.topic.aggregate


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_lives_in_the_module_of_the_service_that_says_it(event: type[Event]) -> None:
    assert event.__module__ == f"covey_contracts.{event.topic.owner}"


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_is_keyed_by_the_id_of_its_aggregate(event: type[Event]) -> None:
    key = event.model_fields[event.topic.key]

    assert key.annotation is UUID
    assert key.is_required()


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_says_in_its_own_words_what_it_means(event: type[Event]) -> None:
    assert event.__doc__
    assert event.__doc__ not in [other.__doc__ for other in event.__mro__[1:]]


@pytest.mark.parametrize("event", EVENTS)
def test_what_is_sealed_is_for_a_listener_of_the_event(event: type[Event]) -> None:
    if event.sealed_body:
        assert event.sealed_body.sealed_for in event.topic.listeners


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_has_no_check_in_code_as_neither_schema_nor_compatibility_check_would_know_it(
    event: type[Event],
) -> None:
    models = [event, *([event.sealed_body] if event.sealed_body else [])]
    found = [kind for model in models for kind in checks(model.__pydantic_core_schema__)]

    assert "uuid" in found
    assert not [kind for kind in found if kind.startswith("function-")]
