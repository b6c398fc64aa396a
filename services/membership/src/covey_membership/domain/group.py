"""A group: a small business with coverage, as the carrier knows it."""

from collections.abc import Callable
from datetime import date
from typing import Self, TypeVar
from uuid import UUID

from covey_chassis.db import Aggregate, Base
from covey_chassis.errors import NotFound, NotYet, Refusal
from covey_chassis.ids import new_id
from covey_contracts import SealedBody, membership
from covey_contracts.membership import GroupChanged, GroupContacts, GroupRegistered, GroupState
from sqlalchemy import Date, ForeignKey, Text
from sqlalchemy.orm import Mapped, composite, mapped_column, relationship

from covey_membership.domain.profile import Address, BillingUnit, Broker, Contact, Plan, Profile

Seal = Callable[[SealedBody], str]
"""Makes of personal data what only its listener can open. No two seals of the same are alike."""

Fact = TypeVar("Fact", bound=GroupState)


class GroupNotFound(NotFound):
    """No group has this ID."""


class GroupNotKnownYet(NotYet):
    """The group has not been registered yet."""


class GroupNumberTaken(Refusal):
    """Another group has this group number."""


class BillingUnitRow(Base, kw_only=True):
    """One billing unit as it is stored."""

    __tablename__ = "billing_unit"

    group_id: Mapped[UUID] = mapped_column(ForeignKey("covered_group.group_id"), primary_key=True, init=False)
    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]


class PlanRow(Base, kw_only=True):
    """One plan as it is stored."""

    __tablename__ = "group_plan"

    group_id: Mapped[UUID] = mapped_column(ForeignKey("covered_group.group_id"), primary_key=True, init=False)
    plan_year: Mapped[int] = mapped_column(primary_key=True)
    plan_id: Mapped[str] = mapped_column(primary_key=True)


class Group(Aggregate, Base, kw_only=True):
    """A small business with coverage. Its number and EIN are attributes; the ID is Covey's own and never changes.

    Two groups may share an EIN, never a number.
    """

    __tablename__ = "covered_group"

    group_id: Mapped[UUID] = mapped_column(primary_key=True, default_factory=new_id)
    group_number: Mapped[str]
    legal_name: Mapped[str] = mapped_column(init=False)
    ein: Mapped[str] = mapped_column(init=False)
    market_region: Mapped[str] = mapped_column(init=False)
    principal_address: Mapped[Address] = composite(
        mapped_column("street", Text),
        mapped_column("city", Text),
        mapped_column("state", Text),
        mapped_column("county", Text),
        mapped_column("zip", Text),
        init=False,
    )
    contract_signer: Mapped[Contact] = composite(
        mapped_column("contract_signer_name", Text),
        mapped_column("contract_signer_email", Text),
        init=False,
        repr=False,
    )
    billing_contact: Mapped[Contact] = composite(
        mapped_column("billing_contact_name", Text),
        mapped_column("billing_contact_email", Text),
        init=False,
        repr=False,
    )
    broker: Mapped[Broker | None] = composite(
        Broker.from_columns,
        mapped_column("firm_number", Text, nullable=True),
        mapped_column("firm_name", Text, nullable=True),
        mapped_column("acquired_date", Date, nullable=True),
        mapped_column("firm_contact_name", Text, nullable=True),
        mapped_column("firm_contact_email", Text, nullable=True),
        return_none_on=lambda firm_number, *_: firm_number is None,
        init=False,
        repr=False,
    )
    effective_date: Mapped[date] = mapped_column(init=False)
    renewal_date: Mapped[date] = mapped_column(init=False)
    unit_rows: Mapped[list[BillingUnitRow]] = relationship(
        init=False, repr=False, cascade="all, delete-orphan", lazy="selectin", order_by=BillingUnitRow.code
    )
    plan_rows: Mapped[list[PlanRow]] = relationship(
        init=False, repr=False, cascade="all, delete-orphan", lazy="selectin"
    )

    @classmethod
    def register(cls, group_number: str, profile: Profile, *, seal: Seal) -> tuple[Self, GroupRegistered]:
        """The carrier covers this group from now on."""
        group = cls(group_number=group_number)
        group._take(profile)
        return group, group._fact(GroupRegistered, seal)

    def change(self, profile: Profile, *, seal: Seal) -> GroupChanged | None:
        """From now on the group is like this. Nothing happens if it is already."""
        if profile == self.profile:
            return None
        self._take(profile)
        return self._fact(GroupChanged, seal)

    @property
    def profile(self) -> Profile:
        """What the carrier knows of the group now."""
        units = (BillingUnit(row.code, row.name) for row in self.unit_rows)
        plans = (Plan(row.plan_year, row.plan_id) for row in self.plan_rows)
        return Profile(
            legal_name=self.legal_name,
            ein=self.ein,
            market_region=self.market_region,
            principal_address=self.principal_address,
            contract_signer=self.contract_signer,
            billing_contact=self.billing_contact,
            broker=self.broker,
            effective_date=self.effective_date,
            renewal_date=self.renewal_date,
            billing_units=tuple(sorted(units)),
            plans=tuple(sorted(plans)),
        )

    def _take(self, profile: Profile) -> None:
        self.legal_name = profile.legal_name
        self.ein = profile.ein
        self.market_region = profile.market_region
        self.principal_address = profile.principal_address
        self.contract_signer = profile.contract_signer
        self.billing_contact = profile.billing_contact
        self.broker = profile.broker
        self.effective_date = profile.effective_date
        self.renewal_date = profile.renewal_date
        units = {row.code: row for row in self.unit_rows}
        for unit in profile.billing_units:
            units.setdefault(unit.code, BillingUnitRow(code=unit.code, name=unit.name)).name = unit.name
        self.unit_rows = [units[unit.code] for unit in profile.billing_units]
        plans = {Plan(row.plan_year, row.plan_id): row for row in self.plan_rows}
        self.plan_rows = [
            plans.get(plan) or PlanRow(plan_year=plan.plan_year, plan_id=plan.plan_id) for plan in profile.plans
        ]

    def _fact(self, kind: type[Fact], seal: Seal) -> Fact:
        """The group's public state; who is to be written to is sealed."""
        now = self.profile
        return kind(
            group_id=self.group_id,
            group_number=self.group_number,
            legal_name=now.legal_name,
            ein=now.ein,
            market_region=now.market_region,
            principal_address=membership.Address(**vars(now.principal_address)),
            billing_units=tuple(membership.BillingUnit(**vars(unit)) for unit in now.billing_units),
            effective_date=now.effective_date,
            renewal_date=now.renewal_date,
            plans=tuple(membership.GroupPlan(**vars(plan)) for plan in now.plans),
            broker=now.broker and membership.BrokerOfRecord.model_validate(now.broker, from_attributes=True),
            sealed=seal(
                GroupContacts(
                    contract_signer=membership.Contact(**vars(now.contract_signer)),
                    billing_contact=membership.Contact(**vars(now.billing_contact)),
                    broker=now.broker and membership.Contact(**vars(now.broker.contact)),
                )
            ),
        )
