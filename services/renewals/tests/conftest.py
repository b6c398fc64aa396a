from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid5

import pytest
from covey_chassis.testing import Harness, ServiceHarness
from covey_contracts.identity import AppointmentChanged, FirmChanged, FirmRegistered
from covey_contracts.membership import Address, BrokerOfRecord, GroupChanged, GroupRegistered
from covey_contracts.transactions import (
    RenewalChanges,
    ReviewApproved,
    ReviewClaimed,
    ReviewDeclined,
    ReviewReleased,
    ReviewReturned,
    TransactionKind,
    TransactionOpened,
    TransactionState,
    TransactionStatus,
    TransactionSubmitted,
    TransactionWithdrawn,
)
from covey_renewals.app import service

NAMES = UUID("0190f1c0-0000-7000-8000-000000000000")

GroupEvent = Callable[..., GroupRegistered | GroupChanged]
FirmEvent = Callable[..., FirmRegistered | FirmChanged]
AppointmentEvent = Callable[..., AppointmentChanged]
TransactionEvent = Callable[..., TransactionState]

STATUS_AFTER = {
    TransactionOpened: TransactionStatus.OPEN,
    TransactionSubmitted: TransactionStatus.PENDING_REVIEW,
    ReviewClaimed: TransactionStatus.PENDING_REVIEW,
    ReviewReleased: TransactionStatus.PENDING_REVIEW,
    ReviewReturned: TransactionStatus.ACTION_REQUIRED,
    ReviewApproved: TransactionStatus.COMPLETED,
    ReviewDeclined: TransactionStatus.DECLINED,
    TransactionWithdrawn: TransactionStatus.WITHDRAWN,
}


@pytest.fixture
async def covey(service_harness: ServiceHarness) -> AsyncIterator[Harness]:
    async with service_harness(service) as harness:
        yield harness


@pytest.fixture(scope="session")
def group() -> GroupEvent:
    """``group("Acme", date(2026, 9, 1))``: what membership says of it; its ID follows from its name.

    What it says of a broker is the carrier's file's word, of which the book takes no notice.
    """

    def event(
        name: str,
        renewal_date: date,
        *,
        kind: type[GroupRegistered | GroupChanged] = GroupRegistered,
        number: str | None = None,
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
            broker=BrokerOfRecord(firm_number="F-0", firm_name="Of the file", acquired_date=date(2019, 1, 1)),
            sealed="e30.a.b.c.d",
        )

    return event


@pytest.fixture(scope="session")
def firm() -> FirmEvent:
    """``firm("F-1")``: what identity says of it; its ID follows from its number."""

    def event(
        number: str, *, kind: type[FirmRegistered | FirmChanged] = FirmRegistered, name: str | None = None
    ) -> FirmRegistered | FirmChanged:
        return kind(firm_id=uuid5(NAMES, number), firm_number=number, firm_name=name or f"Firm {number}")

    return event


@pytest.fixture(scope="session")
def appointment() -> AppointmentEvent:
    """``appointment("Acme", "F-1")``: the firm serves the group. A group's have IDs in the order of ``nth``."""

    def event(
        group_name: str,
        firm_number: str,
        *,
        starts: date = date(2020, 1, 1),
        ends: date | None = None,
        acquired: date = date(2020, 1, 1),
        nth: int = 0,
    ) -> AppointmentChanged:
        return AppointmentChanged(
            appointment_id=UUID(int=(nth << 96) + uuid5(NAMES, group_name).int % (1 << 96)),
            group_id=uuid5(NAMES, group_name),
            firm_id=uuid5(NAMES, firm_number),
            starts_on=starts,
            ends_on=ends,
            acquired_on=acquired,
        )

    return event


@pytest.fixture
def serve(covey: Harness, firm: FirmEvent, appointment: AppointmentEvent) -> Callable[..., Awaitable[None]]:
    """``await serve("Acme", "F-1")``: it is told that the firm is there, and serves the group."""

    async def tell(group_name: str, firm_number: str, **different: Any) -> None:
        await covey.deliver(firm(firm_number))
        await covey.deliver(appointment(group_name, firm_number, **different))

    return tell


@pytest.fixture(scope="session")
def transaction() -> TransactionEvent:
    """``transaction(TransactionOpened, "Acme", 2100)``: what transactions says of one about that plan year of the group.

    A renewal's transactions begin in the order of ``nth``. ``about_renewal=False`` is one that changes no renewal.
    """

    def event(
        kind: type[TransactionState], group_name: str, plan_year: int, *, nth: int = 0, about_renewal: bool = True
    ) -> TransactionState:
        name = uuid5(NAMES, f"{group_name} {plan_year}")
        changes = RenewalChanges(
            renewal_id=name,
            plan_year=plan_year,
            effective_date=date(plan_year, 1, 1),
            classes=(),
            enrollments=0,
            terminations=0,
        )
        facts = {
            "transaction_id": UUID(int=(nth << 96) + name.int % (1 << 96)),
            "kind": TransactionKind.RENEWAL_CHANGES if about_renewal else TransactionKind.ENROLLMENT,
            "status": STATUS_AFTER[kind],
            "group_id": uuid5(NAMES, group_name),
            "owner_id": NAMES,
            "round": 1,
            "renewal_changes": changes if about_renewal else None,
        }
        by = dict.fromkeys(("submitted_by", "withdrawn_by", "reviewer_id", "representative_id"), NAMES)
        at = dict.fromkeys(("submitted_at", "claimed_until"), datetime(2026, 1, 1, tzinfo=UTC))
        return kind.model_validate(facts | by | at | {"sealed": "e30.a.b.c.d"})

    return event
