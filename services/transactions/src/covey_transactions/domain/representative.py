"""The carrier's named contacts, whom a returned transaction carries in its instructions."""

from typing import Self
from uuid import UUID

from covey_chassis.db import Aggregate, Base
from covey_chassis.errors import NotFound, Refusal
from covey_chassis.ids import new_id
from covey_contracts.transactions import Representative as ToldRepresentative
from pydantic import BaseModel, ConfigDict
from sqlalchemy.orm import Mapped, mapped_column

from covey_transactions.domain.words import Email, Name, Phone


class RepresentativeNotFound(NotFound):
    """No representative has this ID."""


class RepresentativeIsGone(Refusal):
    """This representative is not on the carrier's list any more."""


class Contact(BaseModel):
    """Somebody's name, and how they are reached."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    phone: Phone
    email: Email


class Representative(Aggregate, Base, kw_only=True):
    """Somebody at the carrier who helps with what has to be done. One who is gone stays in the rounds that name them."""

    __tablename__ = "representative"

    id: Mapped[UUID] = mapped_column(primary_key=True, default_factory=new_id)
    name: Mapped[str] = mapped_column(repr=False)
    phone: Mapped[str] = mapped_column(repr=False)
    email: Mapped[str] = mapped_column(repr=False)
    active: Mapped[bool] = mapped_column(default=True)

    @classmethod
    def join(cls, contact: Contact) -> Self:
        """Put them on the list."""
        return cls(name=contact.name, phone=contact.phone, email=contact.email)

    def change(self, contact: Contact, *, active: bool) -> None:
        """What is said of them is different, or whether they are on the list. Rounds keep what was said at their time."""
        self.name, self.phone, self.email, self.active = contact.name, contact.phone, contact.email, active

    def help(self) -> ToldRepresentative:
        """Who and how they are at this moment, for somebody to ask.

        Raises:
            RepresentativeIsGone: they are not on the list any more.
        """
        if not self.active:
            raise RepresentativeIsGone(representative_id=self.id)
        return ToldRepresentative(representative_id=self.id, name=self.name, phone=self.phone, email=self.email)
