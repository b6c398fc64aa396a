"""What the carrier knows of a group. Plain values: their types carry the rules, which are asked only of what comes in.

Making one of these by hand checks nothing. Whoever takes something in reads it through pydantic, which does.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from typing import Annotated, ClassVar, Self

from covey_chassis.errors import FieldError, Invalid
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from covey_membership.domain import fields

BILLING_UNITS_MAX = 100
PLANS_MAX = 200


@dataclass(frozen=True)
class Value:
    """Two that say the same are the same. Fields that it does not know are refused."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class Address(Value):
    """The principal place of business. County and ZIP settle the rating area."""

    street: fields.Street
    city: fields.City
    state: fields.State  # before the county, whose rule asks for it
    county: fields.County
    zip: fields.Zip


@dataclass(frozen=True)
class Contact(Value):
    """A person to write to."""

    name: fields.PersonName
    email: fields.Email


@dataclass(frozen=True)
class Broker(Value):
    """The firm that the carrier's book names as the group's broker: all of it is known, or there is none."""

    firm_number: fields.FirmNumber
    firm_name: fields.FirmName
    acquired_date: Annotated[fields.Date, Field(description="When the firm acquired the group.")]
    contact: Contact

    @classmethod
    def from_columns(cls, number: str, name: str, acquired: date, contact_name: str, contact_email: str) -> Self:
        """The database keeps it flat, and hands it over so."""
        return cls(number, name, acquired, Contact(contact_name, contact_email))

    def __composite_values__(self) -> tuple[str | date, ...]:
        """The way back into the columns."""
        return self.firm_number, self.firm_name, self.acquired_date, self.contact.name, self.contact.email


@dataclass(frozen=True, order=True)
class BillingUnit(Value):
    """A part of the group that is billed on its own; its code is its own within the group."""

    code: fields.BillingUnitCode
    name: fields.BillingUnitName


@dataclass(frozen=True, order=True)
class Plan(Value):
    """A plan that the group offers in one plan year."""

    plan_year: fields.PlanYear
    plan_id: fields.PlanId


def _billing_units(units: tuple[BillingUnit, ...]) -> tuple[BillingUnit, ...]:
    """Their order says nothing, so they are kept by code."""
    if not units:
        raise PydanticCustomError("billing_units", "must name at least one billing unit")
    if len(units) > BILLING_UNITS_MAX:
        raise PydanticCustomError("billing_units", "must name at most 100 billing units")
    if len({unit.code for unit in units}) < len(units):
        raise PydanticCustomError("billing_units", "must not name a billing unit twice")
    return tuple(sorted(units))


def _plans(plans: tuple[Plan, ...]) -> tuple[Plan, ...]:
    """Their order says nothing, so they are kept by plan year and ID."""
    if len(plans) > PLANS_MAX:
        raise PydanticCustomError("plans", "must name at most 200 plans")
    if len(set(plans)) < len(plans):
        raise PydanticCustomError("plans", "must not name a plan twice in a plan year")
    return tuple(sorted(plans))


class PlansNotAcceptable(Invalid):
    """No group can have such plans."""


BillingUnits = Annotated[tuple[BillingUnit, ...], AfterValidator(_billing_units)]
Plans = Annotated[tuple[Plan, ...], AfterValidator(_plans)]
_ANY_PLANS = TypeAdapter[tuple[Plan, ...]](Plans)


@dataclass(frozen=True, kw_only=True)
class OwnData(Value):
    """What the group may change by itself."""

    ein: fields.Ein
    principal_address: Address
    contract_signer: Contact
    billing_contact: Contact
    billing_units: BillingUnits


@dataclass(frozen=True, kw_only=True)
class CarrierData(Value):
    """What changes only through the carrier."""

    legal_name: fields.LegalName
    market_region: fields.MarketRegion
    effective_date: Annotated[fields.Date, Field(description="When the group's coverage with the carrier began.")]
    renewal_date: fields.RenewalDate
    plans: Plans
    broker: Annotated[
        Broker | None,
        Field(
            description="The broker of record as the carrier's book says, null when it names none. The group may have "
            "appointed another firm since: identity knows."
        ),
    ]


@dataclass(frozen=True, kw_only=True)
class Profile(OwnData, CarrierData):
    """All that the carrier knows of a group but its number."""

    def offering(self, plan_year: int, plan_ids: Iterable[str]) -> Self:
        """The same group, offering exactly these plans in that plan year.

        Raises:
            PlansNotAcceptable: no group can have such plans.
        """
        others = [vars(plan) for plan in self.plans if plan.plan_year != plan_year]
        said = [{"plan_year": plan_year, "plan_id": plan_id} for plan_id in plan_ids]
        try:
            return replace(self, plans=_ANY_PLANS.validate_python(others + said))
        except ValidationError as error:
            faults = (FieldError("/plans", str(found["msg"])) for found in error.errors())
            raise PlansNotAcceptable(*faults) from None  # the error quotes them


@dataclass(frozen=True, kw_only=True)
class NewGroup(Profile):
    """A group that is to be registered, or the carrier's word on one that is."""

    group_number: fields.GroupNumber

    @property
    def profile(self) -> Profile:
        facts = dict(vars(self))
        del facts["group_number"]
        return Profile(**facts)
