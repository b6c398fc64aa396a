"""A group's renewal for one plan year: the moves that it knows, and the days on which they are due.

The sweep makes its moves by the page, in SQL (``use_cases/become_available.py``, ``use_cases/pass_day.py``); tests hold it
to what is written here.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Self, TypeVar
from uuid import UUID

from covey_chassis.db import Aggregate, Base, by_value
from covey_chassis.errors import NotFound, NotYet, Refusal
from covey_chassis.ids import new_id
from covey_chassis.lifecycle import Lifecycle
from covey_contracts.renewals import RenewalAvailable, RenewalChanged, RenewalState, RenewalStatus
from covey_contracts.transactions import TransactionStatus
from sqlalchemy.orm import Mapped, mapped_column

Told = TypeVar("Told", bound=RenewalState)

LEAD_DAYS = 75
"""How long before its effective date a renewal becomes available (R-43)."""

_CHANGEABLE = (
    RenewalStatus.AVAILABLE,
    RenewalStatus.IN_PROGRESS,
    RenewalStatus.PENDING_REVIEW,
    RenewalStatus.ACTION_REQUIRED,
)
_FOLLOWING = (*_CHANGEABLE, RenewalStatus.ROLLED_OVER)

LIFECYCLE = Lifecycle[RenewalStatus](
    # As the days go by.
    become_available={RenewalStatus.UPCOMING: RenewalStatus.AVAILABLE},
    pass_day={
        RenewalStatus.UPCOMING: RenewalStatus.ROLLED_OVER,
        RenewalStatus.AVAILABLE: RenewalStatus.ROLLED_OVER,
        RenewalStatus.IN_PROGRESS: RenewalStatus.ROLLED_OVER,
        RenewalStatus.PENDING_REVIEW: RenewalStatus.PENDING_REVIEW,
        RenewalStatus.ACTION_REQUIRED: RenewalStatus.ACTION_REQUIRED,
        RenewalStatus.COMPLETED: RenewalStatus.COMPLETED,
    },
    # With the group's date.
    move_to={status: status for status in (RenewalStatus.UPCOMING, *_CHANGEABLE, RenewalStatus.COMPLETED)},
    # As its transactions stand (``Renewal.follow``). News comes in any order, so nearly everything follows everything.
    rest=dict.fromkeys(_CHANGEABLE, RenewalStatus.AVAILABLE),
    begin=dict.fromkeys(_CHANGEABLE, RenewalStatus.IN_PROGRESS),
    await_review=dict.fromkeys(_FOLLOWING, RenewalStatus.PENDING_REVIEW),
    require_action=dict.fromkeys(_FOLLOWING, RenewalStatus.ACTION_REQUIRED),
    complete=dict.fromkeys((*_FOLLOWING, RenewalStatus.COMPLETED), RenewalStatus.COMPLETED),
    roll_over=dict.fromkeys(
        (RenewalStatus.PENDING_REVIEW, RenewalStatus.ACTION_REQUIRED, RenewalStatus.ROLLED_OVER),
        RenewalStatus.ROLLED_OVER,
    ),
)

_LIVE = (TransactionStatus.OPEN, TransactionStatus.PENDING_REVIEW, TransactionStatus.ACTION_REQUIRED)


class RenewalNotFound(NotFound):
    """No renewal has this ID."""


class RenewalNotKnownYet(NotYet):
    """The group has no renewal for this plan year yet."""


class NotDue(Refusal):
    """The day for this has not come, or has gone by."""


class NotCurrent(Refusal):
    """The plan year has begun: another renewal is the group's current one."""


def last_date_in_reach(today: date) -> date:
    """The latest effective date whose renewal is available on a day; the earliest is the day after it."""
    return today + timedelta(days=LEAD_DAYS)


def is_due(effective_date: date, today: date) -> bool:
    """Whether a renewal is to be available: from 75 days before its effective date to the day before it."""
    return today < effective_date <= last_date_in_reach(today)


def has_come(effective_date: date, today: date) -> bool:
    """Whether the plan year has begun: the group's next renewal is to be the current one."""
    return effective_date <= today


class Renewal(Aggregate, Base):
    """One for each group and plan year, for good. ``available_on`` is set once, when it is said to be available.

    It is ``current`` until its day has come, whatever becomes of it; a group has one current renewal at a time.
    """

    __tablename__ = "renewal"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    group_id: Mapped[UUID]
    plan_year: Mapped[int]
    effective_date: Mapped[date]
    current: Mapped[bool]
    status: Mapped[RenewalStatus] = mapped_column(by_value(RenewalStatus))
    available_on: Mapped[date | None] = mapped_column(default=None)

    @classmethod
    def upcoming(cls, group_id: UUID, plan_year: int, effective_date: date) -> tuple[Self, RenewalChanged]:
        """Begin to watch a plan year."""
        renewal = cls(
            id=new_id(),
            group_id=group_id,
            plan_year=plan_year,
            effective_date=effective_date,
            current=True,
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
        status = LIFECYCLE.after("move_to", self.status)
        self._check_current()
        self.status = status
        self.effective_date = effective_date
        return self._told_as(RenewalChanged)

    def pass_day(self, today: date) -> RenewalChanged | None:
        """Leave its place to the group's next renewal: the day has come.

        What nobody submitted goes on with the same plans. What is in review stays there, and what is decided stays so.
        """
        status = LIFECYCLE.after("pass_day", self.status)
        self._check_current()
        if not has_come(self.effective_date, today):
            raise NotDue(effective_date=self.effective_date, today=today)
        self.current = False
        return self._stand_at(status)

    def follow(self, transactions: Sequence[TransactionStatus]) -> RenewalChanged | None:
        """Stand as its transactions do. They are given in the order in which they were begun."""
        return self._stand_at(LIFECYCLE.after(self._verb(transactions), self.status))

    def _verb(self, transactions: Sequence[TransactionStatus]) -> str:
        """A completed one decides, else the latest of the live ones. After its day nothing can be begun any more."""
        if TransactionStatus.COMPLETED in transactions:
            return "complete"
        live = [status for status in transactions if status in _LIVE]
        match live[-1:]:
            case [TransactionStatus.PENDING_REVIEW]:
                return "await_review"
            case [TransactionStatus.ACTION_REQUIRED]:
                return "require_action"
            case [TransactionStatus.OPEN] if self.current:
                return "begin"
        return "rest" if self.current else "roll_over"

    def _check_current(self) -> None:
        if not self.current:
            raise NotCurrent(id=self.id)

    def _stand_at(self, status: RenewalStatus) -> RenewalChanged | None:
        if status is self.status:
            return None
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
