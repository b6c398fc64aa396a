"""Brokerage firms, their members, and which firm is a group's broker of record."""

from datetime import date, datetime
from typing import Self
from uuid import UUID

from covey_chassis.access import Right
from covey_chassis.access.facts import Fact, FactKind
from covey_chassis.db import Aggregate, Base
from covey_chassis.errors import NotFound, Refusal
from covey_chassis.ids import new_id
from covey_contracts.identity import AppointmentChanged, FirmChanged, FirmRegistered
from sqlalchemy import ARRAY, Text
from sqlalchemy.orm import Mapped, mapped_column

APPOINTED = (Right.RENEWALS_VIEW,)
"""What an appointment gives by itself (R-11): everything else takes a grant."""


class FirmNotFound(NotFound):
    """No firm has this ID."""


class FirmMemberNotFound(NotFound):
    """No present member of this firm has this ID."""


class AlreadyFirmMember(Refusal):
    """This person is a member of the firm already."""


class NotBrokerOfRecord(Refusal):
    """Only the group's broker of record can be given rights as a firm."""


class AlreadyBrokerOfRecord(Refusal):
    """This firm is the group's broker of record already."""


class AppointmentNotFound(NotFound):
    """The group's broker of record is not there by this appointment, or no longer."""


class Firm(Aggregate, Base, kw_only=True):
    """A brokerage firm, known by the number that the carrier gave it."""

    __tablename__ = "firm"

    id: Mapped[UUID] = mapped_column(primary_key=True, default_factory=new_id)
    firm_number: Mapped[str]
    firm_name: Mapped[str]

    @classmethod
    def register(cls, firm_number: str, firm_name: str) -> tuple[Self, FirmRegistered]:
        """The carrier knows this firm from now on."""
        firm = cls(firm_number=firm_number, firm_name=firm_name)
        return firm, FirmRegistered(firm_id=firm.id, firm_number=firm_number, firm_name=firm_name)

    def rename(self, firm_name: str) -> FirmChanged | None:
        """From now on the firm goes by this name. Nothing happens if it does already."""
        if firm_name == self.firm_name:
            return None
        self.firm_name = firm_name
        return FirmChanged(firm_id=self.id, firm_number=self.firm_number, firm_name=firm_name)


class Appointment(Aggregate, Base, kw_only=True):
    """A firm is a group's broker of record, from a day on; until a day, once that has come."""

    __tablename__ = "appointment"

    id: Mapped[UUID] = mapped_column(primary_key=True, default_factory=new_id)
    group_id: Mapped[UUID]
    firm_id: Mapped[UUID]
    starts_on: Mapped[date]
    ends_on: Mapped[date | None] = mapped_column(default=None)
    acquired_on: Mapped[date]
    in_book: Mapped[bool]
    """The carrier's book names the firm; else the group has appointed it, and the book does not say so yet."""

    def begin(self, firm: Firm) -> AppointmentChanged:
        """The firm is the group's broker of record from now on."""
        return self._told(firm)

    def confirm(self, firm: Firm, acquired_on: date) -> AppointmentChanged | None:
        """The carrier's book names the firm, and the day on which it acquired the group. Nothing happens if it did so."""
        if self.in_book and self.acquired_on == acquired_on:
            return None
        self.in_book, self.acquired_on = True, acquired_on
        return self._told(firm)

    def end(self, firm: Firm, today: date) -> AppointmentChanged:
        """The firm is the group's broker of record no longer."""
        self.ends_on = max(today, self.starts_on)
        return self._told(firm)

    def fact(self) -> Fact:
        return Fact(
            kind=FactKind.APPOINTMENT,
            id=self.id,
            group_id=self.group_id,
            firm_id=self.firm_id,
            rights=APPOINTED,
            active=self.ends_on is None,
        )

    def _told(self, firm: Firm) -> AppointmentChanged:
        return AppointmentChanged(
            appointment_id=self.id,
            group_id=self.group_id,
            firm_id=self.firm_id,
            starts_on=self.starts_on,
            ends_on=self.ends_on,
            acquired_on=self.acquired_on,
            in_book=self.in_book,
            firm_number=firm.firm_number,
        )


class FirmMember(Base, kw_only=True):
    """A person belongs to a firm, and holds what it holds; until they have left."""

    __tablename__ = "firm_member"

    id: Mapped[UUID] = mapped_column(primary_key=True, default_factory=new_id)
    firm_id: Mapped[UUID]
    account_id: Mapped[UUID]
    rights: Mapped[list[str]] = mapped_column(ARRAY(Text))
    since: Mapped[datetime]
    ended_at: Mapped[datetime | None] = mapped_column(default=None)

    def fact(self) -> Fact:
        return Fact(
            kind=FactKind.MEMBERSHIP,
            id=self.id,
            account_id=self.account_id,
            firm_id=self.firm_id,
            rights=tuple(self.rights),
            active=self.ended_at is None,
        )
