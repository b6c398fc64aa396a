"""What this service knows of a group's broker of record: whether it is the firm whose contact the carrier's book gives."""

from datetime import date
from enum import Enum, auto
from uuid import UUID

from covey_chassis.db import Base
from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column


class BrokersContact(Enum):
    """Whose contact it is that the group's event gives for its broker."""

    THEIRS = auto()
    """The broker of record's."""
    NOBODYS = auto()
    """A firm's that the group has left, or replaced by one whose contact nobody gave."""
    UNSETTLED = auto()
    """One of two events is still on its way: the group's own, or its appointment's."""


class AppointmentCopy(Base, kw_only=True):
    """A copy of identity's appointment. It may be here before its group is."""

    __tablename__ = "appointment_copy"

    appointment_id: Mapped[UUID] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger)
    group_id: Mapped[UUID]
    ends_on: Mapped[date | None]
    in_book: Mapped[bool]
    firm_number: Mapped[str | None]

    def contact_in(self, book_firm_number: str | None) -> BrokersContact:
        """Whose contact the carrier's book gave when it named the firm of this number; this is the latest appointment.

        Of what was told before numbers were, the flag alone says whether the book names the firm.
        """
        known = None not in (self.firm_number, book_firm_number)
        if known and self.firm_number != book_firm_number:
            return BrokersContact.UNSETTLED if self.in_book else BrokersContact.NOBODYS
        lasts = self.ends_on is None
        return BrokersContact.THEIRS if lasts and (known or self.in_book) else BrokersContact.NOBODYS
