"""A group's renewal for one plan year: the moves that it knows, and the days on which they are due.

The sweep makes these moves by the page, in SQL (``use_cases/become_available.py``, ``use_cases/roll_over.py``); tests
hold it to what is written here.
"""

from datetime import date, timedelta
from typing import Self, TypeVar
from uuid import UUID

from covey_chassis.db import Aggregate, Base
from covey_chassis.errors import NotFound, Refusal
from covey_chassis.ids import new_id
from covey_chassis.lifecycle import Lifecycle
from covey_contracts.renewals import RenewalAvailable, RenewalChanged, RenewalState, RenewalStatus
from sqlalchemy import Enum
from sqlalchemy.orm import Mapped, mapped_column

Told = TypeVar("Told", bound=RenewalState)

LEAD_DAYS = 75
"""How long before its effective date a renewal becomes available (R-43)."""

LIFECYCLE = Lifecycle[RenewalStatus](
    become_available={RenewalStatus.UPCOMING: RenewalStatus.AVAILABLE},
    move_to={
        RenewalStatus.UPCOMING: RenewalStatus.UPCOMING,
        RenewalStatus.AVAILABLE: RenewalStatus.AVAILABLE,
    },
    roll_over={
        RenewalStatus.UPCOMING: RenewalStatus.ROLLED_OVER,
        RenewalStatus.AVAILABLE: RenewalStatus.ROLLED_OVER,
    },
)

OPEN = (
    RenewalStatus.UPCOMING,
    RenewalStatus.AVAILABLE,
    RenewalStatus.IN_PROGRESS,
    RenewalStatus.PENDING_REVIEW,
    RenewalStatus.ACTION_REQUIRED,
)
"""Its outcome is still to come. A group has one open renewal at a time: its current one."""


class RenewalNotFound(NotFound):
    """No renewal has this ID."""


class NotDue(Refusal):
    """The day for this has not come, or has gone by."""


def last_date_in_reach(today: date) -> date:
    """The latest effective date whose renewal is available on a day; the earliest is the day after it."""
    return today + timedelta(days=LEAD_DAYS)


def is_due(effective_date: date, today: date) -> bool:
    """Whether a renewal is to be available: from 75 days before its effective date to the day before it."""
    return today < effective_date <= last_date_in_reach(today)


def has_come(effective_date: date, today: date) -> bool:
    """Whether the plan year has begun: what nobody changed until then rolls over."""
    return effective_date <= today


class Renewal(Aggregate, Base):
    """One for each group and plan year, for good. ``available_on`` is set once, when it is said to be available."""

    __tablename__ = "renewal"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    group_id: Mapped[UUID]
    plan_year: Mapped[int]
    effective_date: Mapped[date]
    status: Mapped[RenewalStatus] = mapped_column(
        Enum(RenewalStatus, native_enum=False, values_callable=lambda kind: [status.value for status in kind])
    )
    available_on: Mapped[date | None] = mapped_column(default=None)

    @classmethod
    def upcoming(cls, group_id: UUID, plan_year: int, effective_date: date) -> tuple[Self, RenewalChanged]:
        """Begin to watch a plan year."""
        renewal = cls(
            id=new_id(),
            group_id=group_id,
            plan_year=plan_year,
            effective_date=effective_date,
            status=RenewalStatus.UPCOMING,
        )
        return renewal, renewal._told_as(RenewalChanged)

    def become_available(self, today: date) -> RenewalAvailable:
        """Open it to its group and broker. No move leads back to upcoming, so this is said once, ever."""
        status = LIFECYCLE.after("become_available", self.status)
        if not is_due(self.effective_date, today):
            raise NotDue(effective_date=self.effective_date, today=today)
        self.status = status
        self.available_on = today
        return self._told_as(RenewalAvailable)

    def move_to(self, effective_date: date) -> RenewalChanged:
        """Let the plan year begin on another day. What is available stays so, even when its day is far away again."""
        self.status = LIFECYCLE.after("move_to", self.status)
        self.effective_date = effective_date
        return self._told_as(RenewalChanged)

    def roll_over(self, today: date) -> RenewalChanged:
        """Go on with the same plans: the day has come, and nothing was changed."""
        status = LIFECYCLE.after("roll_over", self.status)
        if not has_come(self.effective_date, today):
            raise NotDue(effective_date=self.effective_date, today=today)
        self.status = status
        return self._told_as(RenewalChanged)

    def _told_as(self, kind: type[Told]) -> Told:
        return kind(
            renewal_id=self.id,
            group_id=self.group_id,
            plan_year=self.plan_year,
            effective_date=self.effective_date,
            status=self.status,
            available_on=self.available_on,
        )
