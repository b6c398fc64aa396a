"""What membership tells the world: which groups there are, and what they look like now."""

from datetime import date
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field

from covey_contracts.acts import ActRecorded
from covey_contracts.base import Event, Part, Sealed, SealedBody, Topic


class Address(Part):
    """A place of business in the United States. The county settles the rating area together with the ZIP."""

    street: str
    city: str
    county: str
    state: Annotated[str, Field(description="Two-letter postal code.", pattern=r"^[A-Z]{2}$")]
    zip: Annotated[str, Field(description="Five digits, or ZIP+4.", pattern=r"^[0-9]{5}(-[0-9]{4})?$")]


class BillingUnit(Part):
    """A part of the group that is billed on its own."""

    code: str
    name: str


class GroupPlan(Part):
    """A plan that the group offers in one plan year; the plan year is named by the calendar year in which it begins."""

    plan_year: int
    plan_id: str


class BrokerOfRecord(Part):
    """The firm that the carrier's book names as the group's broker, and when it acquired the group.

    The group may have appointed another one since: `covey.appointment.changed.v1` says who is broker of record.
    """

    firm_number: str
    firm_name: str
    acquired_date: date


class Contact(Part):
    """A person to write to."""

    name: str
    email: str


class GroupContacts(SealedBody):
    """Who is told of what concerns the group, until people have accounts of their own."""

    sealed_for: ClassVar[str] = "notifications"

    contract_signer: Contact
    billing_contact: Contact
    broker: Contact | None = None


class GroupState(Event):
    """A group as it is after the change. Group number and EIN are attributes: the key is the group's ID."""

    sealed_body: ClassVar[type[SealedBody] | None] = GroupContacts

    group_id: UUID
    group_number: str
    legal_name: str
    ein: Annotated[
        str, Field(description="Employer identification number, NN-NNNNNNN.", pattern=r"^[0-9]{2}-[0-9]{7}$")
    ]
    market_region: str
    principal_address: Address
    billing_units: tuple[BillingUnit, ...]
    effective_date: Annotated[date, Field(description="When the group's coverage with the carrier began.")]
    renewal_date: Annotated[date, Field(description="When a plan year of the group begins; later ones follow yearly.")]
    plans: tuple[GroupPlan, ...]
    broker: BrokerOfRecord | None = None
    sealed: Sealed


class GroupRegistered(GroupState):
    """The carrier covers this group from now on: whoever keeps a copy begins one."""

    topic: ClassVar[Topic] = Topic(
        name="covey.group.registered.v1",
        aggregate="group",
        key="group_id",
        owner="membership",
        listeners=("identity", "transactions", "renewals", "notifications"),
    )


class GroupChanged(GroupState):
    """Something about the group is different now: whoever keeps a copy replaces it."""

    topic: ClassVar[Topic] = Topic(
        name="covey.group.changed.v1",
        aggregate="group",
        key="group_id",
        owner="membership",
        listeners=("identity", "transactions", "renewals", "notifications"),
    )


# --- audit ---


class MembershipActRecorded(ActRecorded):
    """Somebody did something in membership, looked at what is sensitive there, or was refused."""

    topic: ClassVar[Topic] = Topic(
        name="covey.membership-act.recorded.v1",
        aggregate="membership-act",
        key="act_id",
        owner="membership",
        listeners=("identity",),
        kept_days=30,
        sequenced=False,
    )
