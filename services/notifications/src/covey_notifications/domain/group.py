"""What this service knows of a group: its names, and who is told, as membership sealed it."""

from uuid import UUID

from covey_chassis.db import Base
from covey_chassis.errors import NotYet
from sqlalchemy.orm import Mapped, mapped_column


class GroupNotKnownYet(NotYet):
    """The group's own event has not arrived yet."""


class GroupCopy(Base, kw_only=True):
    """A copy of membership's group. The contacts stay ciphertext: they are opened when a message is written."""

    __tablename__ = "group_copy"

    group_id: Mapped[UUID] = mapped_column(primary_key=True)
    sequence: Mapped[int]
    group_number: Mapped[str]
    legal_name: Mapped[str]
    has_broker: Mapped[bool]
    broker_firm_number: Mapped[str | None]
    sealed_contacts: Mapped[str]
