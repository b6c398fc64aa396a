"""What identity knows of a group: enough to say whose access is meant."""

from datetime import date
from uuid import UUID

from covey_chassis.db import Base
from covey_chassis.errors import NotFound
from covey_contracts.membership import BrokerOfRecord
from sqlalchemy import ARRAY, BigInteger, Text
from sqlalchemy.orm import Mapped, mapped_column


class GroupNotFound(NotFound):
    """No group has this ID."""


class GroupCopy(Base, kw_only=True):
    """A copy of membership's group, as of that group's event number ``sequence``."""

    __tablename__ = "group_copy"

    group_id: Mapped[UUID] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger)
    group_number: Mapped[str]
    legal_name: Mapped[str]
    market_region: Mapped[str]
    billing_units: Mapped[list[str]] = mapped_column(ARRAY(Text))
    book_firm_number: Mapped[str | None] = mapped_column(default=None)
    book_acquired_on: Mapped[date | None] = mapped_column(default=None)
    """The broker that the carrier's book named when its word was last followed, and since when."""

    def follow_book(self, broker: BrokerOfRecord | None) -> bool:
        """Note whom the book names now; whether that is another firm than before."""
        before = self.book_firm_number
        self.book_firm_number = broker.firm_number if broker else None
        self.book_acquired_on = broker.acquired_date if broker else None
        return self.book_firm_number != before
