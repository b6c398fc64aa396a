"""What this service knows of an account: who holds it, as identity sealed it."""

from uuid import UUID

from covey_chassis.db import Base
from covey_chassis.errors import NotYet
from sqlalchemy.orm import Mapped, mapped_column


class AccountNotKnownYet(NotYet):
    """The account's own event has not arrived yet."""


class AccountCopy(Base, kw_only=True):
    """A copy of identity's account. The person stays ciphertext: it is opened when a message is written."""

    __tablename__ = "account_copy"

    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    sequence: Mapped[int]
    sealed_person: Mapped[str]
