from collections.abc import AsyncIterator, Callable
from datetime import date
from uuid import UUID, uuid5

import pytest
from covey_chassis.testing import Harness, ServiceHarness
from covey_contracts.membership import Address, BrokerOfRecord, GroupChanged, GroupRegistered
from covey_renewals.app import service

NAMES = UUID("0190f1c0-0000-7000-8000-000000000000")

GroupEvent = Callable[..., GroupRegistered | GroupChanged]


@pytest.fixture
async def covey(service_harness: ServiceHarness) -> AsyncIterator[Harness]:
    async with service_harness(service) as harness:
        yield harness


@pytest.fixture(scope="session")
def group() -> GroupEvent:
    """``group("Acme", date(2026, 9, 1))``: what membership says of it; its ID follows from its name."""

    def event(
        name: str,
        renewal_date: date,
        *,
        kind: type[GroupRegistered | GroupChanged] = GroupRegistered,
        number: str | None = None,
        firm: str | None = "F-1",
        acquired: date = date(2020, 1, 1),
        street: str = "1 Main Street",
    ) -> GroupRegistered | GroupChanged:
        return kind(
            group_id=uuid5(NAMES, name),
            group_number=number or f"G-{name}",
            legal_name=name,
            ein="12-3456789",
            market_region="California",
            principal_address=Address(street=street, city="Fresno", county="Fresno", state="CA", zip="93650"),
            billing_units=(),
            effective_date=date(2020, 1, 1),
            renewal_date=renewal_date,
            plans=(),
            broker=BrokerOfRecord(firm_number=firm, firm_name=f"Firm {firm}", acquired_date=acquired) if firm else None,
            sealed="e30.a.b.c.d",
        )

    return event
