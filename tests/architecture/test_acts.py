"""The audit hears of every service that people use, and people read what it heard in words."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from covey_chassis.access.requiring import SAFE, Requirement, requirement_of
from covey_chassis.app import create_app
from covey_chassis.http import TransactionRoute
from covey_chassis.service import Context, Service
from covey_contracts import EVENTS
from covey_contracts.acts import ActRecorded
from covey_identity.acts import keep_act
from covey_identity.consumers import acts
from covey_local import topology
from covey_portal import words
from fastapi.routing import iter_route_contexts

SERVICES: list[Service] = [importlib.import_module(f"{service.package}.app").service for service in topology.SERVICES]
KINDS = {event.topic.owner: event for event in EVENTS if issubclass(event, ActRecorded)}
WRITTEN = re.compile(r'(?:act=|\brecord\(|refusals_audited\(\w+, )"([a-z.-]+)"')
"""How identity names an act in its own code."""


def commands(service: Service) -> Iterator[str]:
    """The operations by which somebody who is signed on changes something."""
    for found in iter_route_contexts(create_app(service, cast("Context", None)).routes):
        route = found.original_route
        if isinstance(route, TransactionRoute) and isinstance(requirement_of(route), Requirement):
            yield from (f"{service.name}.{route.name}" for method in route.methods or () if method not in SAFE)


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_every_service_that_people_use_tells_of_its_acts(service: Service) -> None:
    assert service.acts is not None
    assert (service.name in KINDS) == (service.acts is not keep_act), "identity alone writes down its own"


def test_identity_hears_of_all_that_is_told() -> None:
    assert acts.topics == sorted(kind.topic.name for kind in KINDS.values())


def test_what_is_done_has_a_name_for_those_who_read_of_it() -> None:
    done = {name for service in SERVICES if service.name in KINDS for name in commands(service)}
    sources = [file.read_text() for file in Path(keep_act.__code__.co_filename).parent.rglob("*.py")]
    written = {name for source in sources for name in WRITTEN.findall(source)}

    assert len(written) > 40
    assert (done | written) - words.ACTS.keys() == set()
