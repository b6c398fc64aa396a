"""The service, and the people of its stories."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from covey_chassis.access import StaffRight
from covey_chassis.testing import Harness, ServiceHarness
from covey_identity.app import service

from .story import Story

SETTINGS: dict[str, Any] = {
    "listener_credentials": {"membership": "a credential of a test", "renewals": "another credential of a test"},
    "code_secret": "a secret of a test that is long enough",
    "portal_url": "https://portal.carrier.example",
    # Hashes as weak as can be: what is slow on purpose is not what is tested.
    "argon2_memory_kib": 8,
    "argon2_passes": 1,
    "argon2_lanes": 1,
}


@pytest.fixture
async def covey(service_harness: ServiceHarness, sealing_keys: Path, signing_key: object) -> AsyncIterator[Harness]:
    signing_keys = sealing_keys / "signing.jwks.json"
    async with service_harness(service, signing_keys=signing_keys, **SETTINGS) as harness:
        harness.api = await staff_member(harness)
        yield harness


async def staff_member(harness: Harness) -> Any:
    """The client of somebody whom an operator made a member of staff, with every staff right."""
    anybody = harness.client(None)
    form = {"first_name": "Sam", "last_name": "Staff", "email": "sam@carrier.example", "rights": list(StaffRight)}
    made = await anybody.post("/internal/staff", json=form, headers=harness.operator)
    assert made.status_code == 201, made.text
    return harness.client(UUID(made.json()["account_id"]))


@asynccontextmanager
async def companions(covey: Harness) -> AsyncIterator[None]:
    """What runs beside the answering of requests, for the block."""
    tasks = [asyncio.create_task(each.run(covey.context)) for each in service.companions]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def at_work(covey: Harness) -> AsyncIterator[None]:
    """Signals, barrier and progress are at work."""
    async with companions(covey):
        yield


@pytest.fixture
def story(covey: Harness) -> Story:
    return Story(covey)
