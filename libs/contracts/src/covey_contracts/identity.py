"""What identity tells the world: firms, who serves which group, accounts, and who may do what in a group."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field

from covey_contracts.base import Event, Sealed, SealedBody, Topic

Rights = Annotated[
    tuple[str, ...],
    Field(description="Such as `members.view`. The list of all rights grows: pass over those that you do not know."),
]
BillingUnits = Annotated[
    tuple[str, ...] | None, Field(description="Codes of the group's billing units; null means all, later ones too.")
]


# --- firms ---


class FirmState(Event):
    """A brokerage firm as it is after the change."""

    firm_id: UUID
    firm_number: str
    firm_name: str


class FirmRegistered(FirmState):
    """The carrier knows this firm from now on: whoever keeps a copy begins one."""

    topic: ClassVar[Topic] = Topic(
        name="covey.firm.registered.v1", aggregate="firm", key="firm_id", owner="identity", listeners=("renewals",)
    )


class FirmChanged(FirmState):
    """The firm goes by another name now: whoever keeps a copy replaces it."""

    topic: ClassVar[Topic] = Topic(
        name="covey.firm.changed.v1", aggregate="firm", key="firm_id", owner="identity", listeners=("renewals",)
    )


class AppointmentChanged(Event):
    """A firm became a group's broker of record, or is it no longer: a group has one at a time."""

    topic: ClassVar[Topic] = Topic(
        name="covey.appointment.changed.v1",
        aggregate="appointment",
        key="appointment_id",
        owner="identity",
        listeners=("notifications", "renewals"),
    )

    appointment_id: UUID
    group_id: UUID
    firm_id: UUID
    starts_on: date
    ends_on: Annotated[date | None, Field(description="The day on which it ended; null while it lasts.")] = None
    acquired_on: Annotated[
        date,
        Field(description="When the firm acquired the group: as the book says, or else when the group appointed it."),
    ]
    in_book: Annotated[
        bool,
        Field(
            description="The carrier's book names this firm; else the group has appointed it, and the book, with its "
            "contacts, does not say so yet."
        ),
    ] = True
    firm_number: Annotated[
        str | None,
        Field(description="The firm, as a group's own event names its broker; null in events from before it was told."),
    ] = None


# --- accounts ---


class Person(SealedBody):
    """Who holds an account, and how they are written to."""

    sealed_for: ClassVar[str] = "notifications"

    first_name: str
    last_name: str
    address: Annotated[str, Field(description="The email address.")]
    language: str
    user_id: str


class AccountState(Event):
    """An account as it is after the change. Who holds it is sealed."""

    sealed_body: ClassVar[type[SealedBody] | None] = Person

    account_id: UUID
    market_region: str
    sealed: Sealed


class AccountRegistered(AccountState):
    """Somebody has an account from now on, and their address is verified."""

    topic: ClassVar[Topic] = Topic(
        name="covey.account.registered.v1",
        aggregate="account",
        key="account_id",
        owner="identity",
        listeners=("notifications",),
    )


class AccountChanged(AccountState):
    """The holder's name, address, language or market region is different now."""

    topic: ClassVar[Topic] = Topic(
        name="covey.account.changed.v1",
        aggregate="account",
        key="account_id",
        owner="identity",
        listeners=("notifications",),
    )


# --- access ---


class GrantStatus(StrEnum):
    """Where a grant stands. A code that expired leaves its grant invited."""

    INVITED = "invited"
    ACTIVE = "active"
    REMOVED = "removed"


class GrantRole(StrEnum):
    """Whether the holder is the group's primary administrator, or somebody to whom the primary delegated rights."""

    PRIMARY = "primary"
    SECONDARY = "secondary"


class AccessChanged(Event):
    """A grant as it is after the change: who may do what in a group, on whose authority.

    Neither a source of rights nor a proof that they are gone: services ask identity for those.
    """

    topic: ClassVar[Topic] = Topic(
        name="covey.access.changed.v1",
        aggregate="access",
        key="grant_id",
        owner="identity",
        listeners=("notifications",),
    )

    grant_id: UUID
    group_id: UUID
    account_id: Annotated[UUID | None, Field(description="The person who holds it; null while invited, or for a firm.")]
    firm_id: Annotated[UUID | None, Field(description="The firm that holds it, for all of its members.")]
    role: GrantRole
    rights: Rights
    billing_units: BillingUnits
    status: GrantStatus
    given_by: Annotated[UUID | None, Field(description="The account that gave it; null when the carrier did.")]


class CodeLetter(SealedBody):
    """The access code, and to whom it goes."""

    sealed_for: ClassVar[str] = "notifications"

    first_name: str
    last_name: str
    address: str
    language: str
    code: Annotated[str, Field(description="Shown as four groups of four: it is typed by a person.")]


class AccessCodeIssued(Event):
    """A code was made that turns an invited grant into an active one, once, until it expires."""

    topic: ClassVar[Topic] = Topic(
        name="covey.access-code.issued.v1",
        aggregate="access-code",
        key="access_code_id",
        owner="identity",
        listeners=("notifications",),
        kept_days=30,
    )
    sealed_body: ClassVar[type[SealedBody] | None] = CodeLetter

    access_code_id: UUID
    grant_id: UUID
    group_id: UUID
    role: GrantRole
    expires_at: datetime
    sealed: Sealed


# --- mail ---


class Letter(SealedBody):
    """To whom it goes, and what only the recipient may see."""

    sealed_for: ClassVar[str] = "notifications"

    first_name: str
    last_name: str
    address: str
    language: str
    token: Annotated[str | None, Field(description="What the recipient proves the address with.")] = None
    user_id: str | None = None


class MailRequested(Event):
    """Somebody is to get an email that concerns their own sign-on, such as the one that verifies an address."""

    topic: ClassVar[Topic] = Topic(
        name="covey.mail.requested.v1",
        aggregate="mail",
        key="mail_id",
        owner="identity",
        listeners=("notifications",),
        kept_days=30,
        sequenced=False,
    )
    sealed_body: ClassVar[type[SealedBody] | None] = Letter

    mail_id: UUID
    purpose: Annotated[str, Field(description="Such as `verify-address`, `already-registered`.")]
    expires_at: Annotated[datetime | None, Field(description="Until when what it says is of use.")] = None
    sealed: Sealed


# --- audit ---


class AuditAnchored(Event):
    """The audit's chain has come as far as this link: whoever keeps it can tell whether it is ever written anew."""

    topic: ClassVar[Topic] = Topic(
        name="covey.audit.anchored.v1",
        aggregate="audit",
        key="chain_id",
        owner="identity",
        listeners=(),
        sequenced=False,
    )

    chain_id: Annotated[UUID, Field(description="Which chain it is. Identity has one, under the same ID for good.")]
    number: Annotated[int, Field(description="Of the newest link. Links are numbered from 1 without a gap.", ge=1)]
    hash: Annotated[str, Field(description="Of the newest link: SHA-256 in hexadecimal.", pattern="^[0-9a-f]{64}$")]
    signed: Annotated[
        str,
        Field(description="Chain, number and hash as a compact JWS (RFC 7515), signed as access tokens are."),
    ]
