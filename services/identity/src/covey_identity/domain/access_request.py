"""A group officer's request that somebody be the group's primary administrator online (R-01)."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from covey_chassis.db import Aggregate, Base, by_value
from covey_chassis.errors import NotFound, Refusal
from covey_chassis.ids import new_id
from covey_chassis.lifecycle import Lifecycle
from sqlalchemy.orm import Mapped, mapped_column

from covey_identity.domain import crockford
from covey_identity.domain.person_fields import address_key

REFERENCE_LENGTH = 16
"""Eighty random bits: who has the reference sees where the request stands, nobody guesses one."""


class RequestStatus(StrEnum):
    """Where a request stands."""

    SUBMITTED = "submitted"
    APPROVED = "approved"
    DECLINED = "declined"
    VOIDED = "voided"


LIFECYCLE = Lifecycle[RequestStatus](
    approve={RequestStatus.SUBMITTED: RequestStatus.APPROVED},
    decline={RequestStatus.SUBMITTED: RequestStatus.DECLINED},
    void={RequestStatus.SUBMITTED: RequestStatus.VOIDED},
)


class AccessRequestNotFound(NotFound):
    """No request has this reference."""


class GroupDoesNotMatch(Refusal):
    """The request names another group number than this group has."""

    status = 422


class OwnRequest(Refusal):
    """Nobody approves access for themselves."""

    status = 403


class OwnApproval(Refusal):
    """You have approved this yourself: nobody gives access to themselves."""

    status = 403


class AccessRequest(Aggregate, Base, kw_only=True):
    """Who asks, for whom, in which group; and what became of it."""

    __tablename__ = "access_request"

    id: Mapped[UUID] = mapped_column(primary_key=True, default_factory=new_id)
    reference: Mapped[str]
    group_number: Mapped[str]
    company: Mapped[str]
    officer_first_name: Mapped[str] = mapped_column(repr=False)
    officer_last_name: Mapped[str] = mapped_column(repr=False)
    officer_email: Mapped[str] = mapped_column(repr=False)
    first_name: Mapped[str] = mapped_column(repr=False)
    last_name: Mapped[str] = mapped_column(repr=False)
    email: Mapped[str] = mapped_column(repr=False)
    email_key: Mapped[str] = mapped_column(init=False, repr=False)
    language: Mapped[str]
    status: Mapped[RequestStatus] = mapped_column(
        by_value(RequestStatus),
        default=RequestStatus.SUBMITTED,
    )
    reason: Mapped[str | None] = mapped_column(default=None)
    group_id: Mapped[UUID | None] = mapped_column(default=None)
    submitted_at: Mapped[datetime]
    decided_by: Mapped[UUID | None] = mapped_column(default=None)
    decided_at: Mapped[datetime | None] = mapped_column(default=None)

    def __post_init__(self) -> None:
        self.email_key = address_key(self.email)

    def approve(self, group_id: UUID, *, by: UUID, at: datetime) -> None:
        """Staff have verified officer and group: the designated person is to be the primary."""
        self._decide("approve", by=by, at=at)
        self.group_id = group_id

    def decline(self, reason: str, *, by: UUID, at: datetime) -> None:
        """Staff refuse it, and say why."""
        self._decide("decline", by=by, at=at)
        self.reason = reason

    def void(self, *, at: datetime) -> None:
        """The person was removed from the group while it was waiting."""
        self._decide("void", by=None, at=at)

    def _decide(self, verb: str, *, by: UUID | None, at: datetime) -> None:
        self.status = LIFECYCLE.after(verb, self.status)
        self.decided_by, self.decided_at = by, at


def new_reference() -> str:
    """A reference that nobody guesses."""
    return crockford.draw(REFERENCE_LENGTH)
