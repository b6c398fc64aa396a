"""Copies of groups and renewals: what changes can be made to, and until when."""

from datetime import date, timedelta
from uuid import UUID

from covey_chassis.db import Base, by_value
from covey_chassis.errors import NotFound, Refusal
from covey_contracts.renewals import RenewalStatus
from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

OVER = (RenewalStatus.COMPLETED, RenewalStatus.ROLLED_OVER, RenewalStatus.ENDED)
"""Its outcome is there: nothing is changed any more."""


class GroupNotFound(NotFound):
    """No group is known by this ID."""


class RenewalNotFound(NotFound):
    """The group has no renewal with this ID."""


class RenewalNotAvailable(Refusal):
    """The renewal is not available yet."""


class RenewalIsOver(Refusal):
    """The renewal is over: it was completed or rolled over, or the group left."""


class DeadlinePassed(Refusal):
    """The last day to submit changes for this plan year has passed."""


class Group(Base):
    """What membership says of a group, as of that group's event number ``sequence``."""

    __tablename__ = "group_copy"

    group_id: Mapped[UUID] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger)
    group_number: Mapped[str]
    legal_name: Mapped[str]
    market_region: Mapped[str]


class Renewal(Base):
    """What renewals says of a group's coming plan year, as of that renewal's event number ``sequence``.

    It may be here before its group is. The group and the plan year name it for good, its ID need not: in a database of
    renewals that was restored to an earlier state, what is made again has another one.
    """

    __tablename__ = "renewal_copy"

    renewal_id: Mapped[UUID] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger)
    group_id: Mapped[UUID]
    plan_year: Mapped[int]
    effective_date: Mapped[date]
    status: Mapped[RenewalStatus] = mapped_column(by_value(RenewalStatus))

    def check_open(self) -> None:
        """Let changes be worked on.

        Raises:
            RenewalNotAvailable: its day has not come.
            RenewalIsOver: its outcome is there.
        """
        if self.status is RenewalStatus.UPCOMING:
            raise RenewalNotAvailable(renewal_id=self.renewal_id)
        self.check_not_over()

    def check_not_over(self) -> None:
        """Let what was submitted in time be corrected.

        Raises:
            RenewalIsOver: its outcome is there.
        """
        if self.status in OVER:
            raise RenewalIsOver(renewal_id=self.renewal_id, status=self.status.value)

    def last_day(self, deadline_days: int) -> date:
        """The last day on which changes can be submitted for the first time (R-45)."""
        return self.effective_date - timedelta(days=deadline_days)

    def check_in_time(self, today: date, deadline_days: int) -> None:
        """Let changes be submitted for the first time.

        Raises:
            DeadlinePassed: the last day has passed.
        """
        if today > self.last_day(deadline_days):
            raise DeadlinePassed(last_day=self.last_day(deadline_days))
