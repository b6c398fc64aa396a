"""What identity knows of a group: enough to say whose access is meant."""

from uuid import UUID

from covey_chassis.db import Base
from covey_chassis.errors import NotFound
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
