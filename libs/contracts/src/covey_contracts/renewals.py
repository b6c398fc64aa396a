"""What renewals tells the world: how each group's coming plan year stands."""

from datetime import date
from enum import StrEnum
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import Field

from covey_contracts.acts import ActRecorded
from covey_contracts.base import Event, Topic


class RenewalStatus(StrEnum):
    """Where a renewal stands."""

    UPCOMING = "upcoming"
    AVAILABLE = "available"
    IN_PROGRESS = "in progress"
    PENDING_REVIEW = "pending review"
    ACTION_REQUIRED = "action required"
    COMPLETED = "completed"
    ROLLED_OVER = "rolled over"
    ENDED = "ended"


class RenewalState(Event):
    """A renewal as it is after the change: one for each group and plan year."""

    renewal_id: UUID
    group_id: UUID
    plan_year: Annotated[
        int,
        Field(description="Names the renewal within its group, for good: a date that moves later does not change it."),
    ]
    effective_date: Annotated[date, Field(description="When the coming plan year begins.")]
    status: RenewalStatus
    available_on: Annotated[date | None, Field(description="The day on which it became available, once it has.")] = None


class RenewalAvailable(RenewalState):
    """The renewal's plans and rates can be seen and changed from now on. Said once for a group and plan year, ever."""

    topic: ClassVar[Topic] = Topic(
        name="covey.renewal.available.v1",
        aggregate="renewal",
        key="renewal_id",
        owner="renewals",
        listeners=("transactions", "notifications"),
    )

    status: Literal[RenewalStatus.AVAILABLE]
    available_on: date


class RenewalChanged(RenewalState):
    """The renewal began to be watched, moved to another date, or moved on to another status."""

    topic: ClassVar[Topic] = Topic(
        name="covey.renewal.changed.v1",
        aggregate="renewal",
        key="renewal_id",
        owner="renewals",
        listeners=("transactions",),
    )


# --- audit ---


class RenewalsActRecorded(ActRecorded):
    """Somebody did something in renewals, looked at what is sensitive there, or was refused."""

    topic: ClassVar[Topic] = Topic(
        name="covey.renewals-act.recorded.v1",
        aggregate="renewals-act",
        key="act_id",
        owner="renewals",
        listeners=("identity",),
        kept_days=30,
        sequenced=False,
    )
