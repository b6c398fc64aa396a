"""The service, what membership and renewals tell it, and the people of its stories."""

from collections.abc import AsyncIterator, Callable
from datetime import date
from uuid import UUID, uuid5

import pytest
from covey_chassis.testing import Harness, ServiceHarness
from covey_contracts.membership import Address, GroupChanged, GroupPlan, GroupRegistered
from covey_contracts.renewals import RenewalAvailable, RenewalChanged, RenewalState, RenewalStatus
from covey_transactions.app import service

from .story import EFFECTIVE_DATE, PLAN_YEAR, TODAY, Story

NAMES = UUID("0190f1c0-0000-7000-8000-000000000000")

GroupEvent = Callable[..., GroupRegistered | GroupChanged]
RenewalEvent = Callable[..., RenewalState]


@pytest.fixture
async def covey(service_harness: ServiceHarness) -> AsyncIterator[Harness]:
    async with service_harness(service) as harness:
        yield harness


@pytest.fixture(scope="session")
def group() -> GroupEvent:
    """``group("Acme", plans=[(2099, "GOLD-80")])``: what membership says of it; its ID follows from its name."""

    def event(
        name: str,
        *,
        kind: type[GroupRegistered | GroupChanged] = GroupRegistered,
        number: str | None = None,
        region: str = "California",
        plans: list[tuple[int, str]] | None = None,
    ) -> GroupRegistered | GroupChanged:
        if plans is None:
            plans = [(PLAN_YEAR - 1, "GOLD-80"), (PLAN_YEAR, "GOLD-80"), (PLAN_YEAR, "SILVER-70")]
        return kind(
            group_id=uuid5(NAMES, name),
            group_number=number or f"G-{name}",
            legal_name=name,
            ein="12-3456789",
            market_region=region,
            principal_address=Address(street="1 Oak St", city="Fresno", county="Fresno", state="CA", zip="93650"),
            billing_units=(),
            effective_date=date(2020, 1, 1),
            renewal_date=EFFECTIVE_DATE,
            plans=tuple(GroupPlan(plan_year=plan_year, plan_id=plan_id) for plan_year, plan_id in plans),
            sealed="e30.a.b.c.d",
        )

    return event


@pytest.fixture(scope="session")
def renewal() -> RenewalEvent:
    """``renewal("Acme")``: what renewals says of the group's coming plan year; its ID follows from both."""

    def event(
        name: str,
        *,
        status: RenewalStatus = RenewalStatus.AVAILABLE,
        plan_year: int = PLAN_YEAR,
        effective_date: date = EFFECTIVE_DATE,
    ) -> RenewalState:
        kind = RenewalAvailable if status is RenewalStatus.AVAILABLE else RenewalChanged
        return kind(
            renewal_id=uuid5(NAMES, f"{name} {plan_year}"),
            group_id=uuid5(NAMES, name),
            plan_year=plan_year,
            effective_date=effective_date,
            status=status,
            available_on=TODAY,
        )

    return event


@pytest.fixture
async def story(covey: Harness, group: GroupEvent, renewal: RenewalEvent) -> Story:
    """It is some time before the plan year begins, and what a test needs is there in one line."""
    await covey.move_date(TODAY)
    return Story(covey, group, renewal)
