"""A change of access on its way to every service, and what is said of it."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from covey_chassis.db import Base, by_value
from covey_chassis.errors import NotFound
from covey_chassis.ids import new_id
from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column


class AccessChangeNotFound(NotFound):
    """No change of access of yours has this ID."""


class ChangeKind(StrEnum):
    """What is being changed."""

    GRANTED = "granted"
    CHANGED = "changed"
    REMOVED = "removed"


class Progress(StrEnum):
    """How far a change is."""

    PENDING = "pending"
    REMOVED = "removed"
    """Of a removal: no service answers that person for that group any more."""
    EVERYWHERE = "everywhere"
    """Of any other change: every service goes by it."""
    SUPERSEDED = "superseded"
    """A later change has given the person a right in the group again."""


class AccessChange(Base, kw_only=True):
    """Revisions up to ``rev`` are on their way. ``how`` says why it is done: every service said so, or none can be left."""

    __tablename__ = "access_change"

    id: Mapped[UUID] = mapped_column(primary_key=True, default_factory=new_id)
    rev: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[ChangeKind] = mapped_column(by_value(ChangeKind))
    group_id: Mapped[UUID]
    account_id: Mapped[UUID | None] = mapped_column(default=None)
    firm_id: Mapped[UUID | None] = mapped_column(default=None)
    requested_by: Mapped[UUID | None] = mapped_column(default=None)
    at: Mapped[datetime]
    done_at: Mapped[datetime | None] = mapped_column(default=None)
    superseded_at: Mapped[datetime | None] = mapped_column(default=None)
    how: Mapped[str | None] = mapped_column(default=None)
