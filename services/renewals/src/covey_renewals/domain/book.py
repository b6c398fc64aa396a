"""The book of business: a copy of every group, of every firm, and of which firm serves which group since when."""

from datetime import date, timedelta
from uuid import UUID

from covey_chassis.db import Base
from covey_chassis.errors import NotFound
from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

NEW_DAYS = 90
"""For how long a group counts as new to its firm, and is not listed among the firm's renewals (R-40)."""


class GroupNotFound(NotFound):
    """No group of the book has this ID."""


class Group(Base):
    """What membership says of a group, as of that group's event number ``sequence``."""

    __tablename__ = "book"

    group_id: Mapped[UUID] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger)
    group_number: Mapped[str]
    legal_name: Mapped[str]
    renewal_date: Mapped[date]


class Firm(Base):
    """What identity says of a firm, as of that firm's event number ``sequence``."""

    __tablename__ = "firm"

    firm_id: Mapped[UUID] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger)
    firm_number: Mapped[str]
    firm_name: Mapped[str]


class Appointment(Base):
    """What identity says of a firm's service to a group, as of that appointment's event number ``sequence``.

    It may be here before its group or its firm is.
    """

    __tablename__ = "appointment"

    appointment_id: Mapped[UUID] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger)
    group_id: Mapped[UUID]
    firm_id: Mapped[UUID]
    starts_on: Mapped[date]
    ends_on: Mapped[date | None]
    acquired_on: Mapped[date]


def new_since(today: date) -> date:
    """A group that its firm acquired on this day or later is new to the firm: the ninetieth day still counts."""
    return today - timedelta(days=NEW_DAYS)
