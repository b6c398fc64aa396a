"""One message to one recipient about one event: how it is tried, and what became of it."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from uuid import UUID, uuid5

from covey_chassis.db import Aggregate, Base, by_value
from covey_chassis.errors import NotFound
from covey_chassis.ids import new_id
from covey_chassis.lifecycle import Lifecycle
from covey_contracts.identity import GrantRole
from covey_contracts.notifications import NotificationDelivered, NotificationFailed
from sqlalchemy import ARRAY, Text
from sqlalchemy.orm import Mapped, mapped_column

ATTEMPTS_MAX = 100
"""With the pauses below: about 23 hours, so a mail server may be away for a day."""

FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(minutes=15)

EXPIRED = "expired"
"""The reason of a message that was not delivered while it was of use."""

_MESSAGES = UUID("5c0b8a0e-4d0b-5d8c-9f57-6f0f1d0b7a3e")
"""The namespace of Message-IDs. Changing it would give every message that is sent again another Message-ID."""


class NotificationNotFound(NotFound):
    """No notification has this ID."""


class Status(StrEnum):
    """Where a notification stands."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"


class Kind(StrEnum):
    """What a message says. Its texts are in ``texts/<language>/<kind>/``."""

    RENEWAL_AVAILABLE = "renewal-available"
    ACCESS_CODE = "access-code"
    VERIFY_ADDRESS = "verify-address"
    ALREADY_REGISTERED = "already-registered"
    FORGOTTEN_USER_ID = "forgotten-user-id"
    RESET_PASSWORD = "reset-password"  # noqa: S105 - a kind
    NO_ACCOUNT = "no-account"
    VERIFY_NEW_ADDRESS = "verify-new-address"
    PASSWORD_CHANGED = "password-changed"  # noqa: S105 - a kind
    ADDRESS_CHANGED = "address-changed"
    SECOND_FACTOR_ON = "second-factor-on"
    SECOND_FACTOR_OFF = "second-factor-off"
    RECOVERY_CODE_USED = "recovery-code-used"
    RECOVERY_CODES_RENEWED = "recovery-codes-renewed"
    ADDRESS_ADDED = "address-added"
    ADDRESS_REMOVED = "address-removed"
    PASSKEY_ADDED = "passkey-added"
    PASSKEY_REMOVED = "passkey-removed"
    USER_ADDED = "user-added"
    RIGHTS_CHANGED = "rights-changed"
    ACCESS_REMOVED = "access-removed"
    SUBMISSION_RECEIVED = "submission-received"
    ACTION_REQUIRED = "action-required"
    TRANSACTION_ASSIGNED = "transaction-assigned"
    TRANSACTION_APPROVED = "transaction-approved"
    TRANSACTION_DECLINED = "transaction-declined"
    TRANSACTION_WITHDRAWN = "transaction-withdrawn"


class Recipient(StrEnum):
    """Whom a message is for, by role. Who that is, and at which address, is known when it is sent."""

    CONTRACT_SIGNER = "contract-signer"
    BROKER = "broker"
    GIVER = "giver"
    """The account that gave the access."""
    HOLDER = "holder"
    """The account that has, or had, the access."""
    ADDRESSEE = "addressee"
    """Whom the event's own letter names."""
    OWNER = "owner"
    """The account that opened the transaction."""
    SUBMITTER = "submitter"
    """The account that submitted the transaction."""
    REPRESENTATIVE = "representative"
    """The carrier's contact whom the event's own letter names."""


REQUESTED = (
    Kind.VERIFY_ADDRESS,
    Kind.ALREADY_REGISTERED,
    Kind.FORGOTTEN_USER_ID,
    Kind.RESET_PASSWORD,
    Kind.NO_ACCOUNT,
    Kind.VERIFY_NEW_ADDRESS,
    Kind.PASSWORD_CHANGED,
    Kind.ADDRESS_CHANGED,
    Kind.SECOND_FACTOR_ON,
    Kind.SECOND_FACTOR_OFF,
    Kind.RECOVERY_CODE_USED,
    Kind.RECOVERY_CODES_RENEWED,
    Kind.ADDRESS_ADDED,
    Kind.ADDRESS_REMOVED,
    Kind.PASSKEY_ADDED,
    Kind.PASSKEY_REMOVED,
)
"""What identity asks for, each under the same name: they concern somebody's own sign-on, and no group."""

WHO_SEE_RENEWALS = (Recipient.OWNER, Recipient.SUBMITTER)
"""They are told for as long as they may see the group's renewals: who was removed reads no more of them by mail either."""

LIFECYCLE = Lifecycle[Status](
    deliver={Status.WAITING: Status.DELIVERED},
    put_off={Status.WAITING: Status.WAITING},
    fail={Status.WAITING: Status.FAILED},
    resend={Status.FAILED: Status.WAITING},
)


@dataclass(frozen=True)
class Occasion:
    """The event that a message is about, and when it was heard of."""

    event_id: str
    correlation_id: str
    at: datetime


class Notification(Aggregate, Base, kw_only=True):
    """A message. It says what was true at the event; whom it reaches is settled when it is sent.

    Nobody's name or address is in it. ``account_id`` is the account that it goes to, if it goes to one, ``holder_id``
    the account whose access it tells of; ``sealed_letter`` is the event's own letter, which goes as soon as it has been
    delivered, or is of no use any more. ``plans_by_class`` says how many plans each class of employees is offered, as
    in ``Full-time: 3``.

    ``reason`` is a code, such as ``smtp-550-5.1.1``, never a mail server's own words: they may quote an address.
    ``attempts`` counts since it last began to wait. ``since`` is when it came to its present status.
    """

    __tablename__ = "notification"

    id: Mapped[UUID] = mapped_column(primary_key=True, default_factory=new_id)
    kind: Mapped[Kind] = mapped_column(by_value(Kind))
    about_event_id: Mapped[str]
    correlation_id: Mapped[str]
    recipient: Mapped[Recipient] = mapped_column(by_value(Recipient))
    account_id: Mapped[UUID | None] = mapped_column(default=None)
    sealed_letter: Mapped[str | None] = mapped_column(default=None, repr=False)
    expires_at: Mapped[datetime | None] = mapped_column(default=None)
    group_id: Mapped[UUID | None] = mapped_column(default=None)
    group_number: Mapped[str | None] = mapped_column(default=None)
    legal_name: Mapped[str | None] = mapped_column(default=None)
    effective_date: Mapped[date | None] = mapped_column(default=None)
    plan_year: Mapped[int | None] = mapped_column(default=None)
    holder_id: Mapped[UUID | None] = mapped_column(default=None)
    role: Mapped[GrantRole | None] = mapped_column(by_value(GrantRole), default=None)
    rights: Mapped[list[str] | None] = mapped_column(ARRAY(Text), default=None)
    billing_units: Mapped[list[str] | None] = mapped_column(ARRAY(Text), default=None)
    transaction_id: Mapped[UUID | None] = mapped_column(default=None)
    round: Mapped[int | None] = mapped_column(default=None)
    plans_by_class: Mapped[list[str] | None] = mapped_column(ARRAY(Text), default=None)
    enrollments: Mapped[int | None] = mapped_column(default=None)
    terminations: Mapped[int | None] = mapped_column(default=None)
    message_id: Mapped[str] = mapped_column(init=False)
    status: Mapped[Status] = mapped_column(by_value(Status), default=Status.WAITING)
    attempts: Mapped[int] = mapped_column(init=False, default=0)
    next_at: Mapped[datetime | None] = mapped_column(init=False)
    reason: Mapped[str | None] = mapped_column(init=False, default=None)
    created_at: Mapped[datetime]
    since: Mapped[datetime] = mapped_column(init=False)

    def __post_init__(self) -> None:
        self.message_id = message_id(self.kind, self.about_event_id, self.recipient)
        self.since = self.created_at
        self.next_at = self.created_at if self.status is Status.WAITING else None

    def deliver(self, *, at: datetime) -> NotificationDelivered:
        """The mail server has taken the message."""
        self._move("deliver", at=at)
        self.attempts += 1
        self.reason = None
        self.sealed_letter = None
        return NotificationDelivered(
            notification_id=self.id,
            kind=self.kind,
            about_event_id=self.about_event_id,
            message_id=self.message_id,
            attempts=self.attempts,
        )

    def put_off(self, reason: str, *, at: datetime) -> NotificationFailed | None:
        """It was not taken this time: try again after a pause, longer each time, or give up after the last try."""
        if self.attempts + 1 >= ATTEMPTS_MAX:
            return self.fail(reason, at=at)
        self.status = LIFECYCLE.after("put_off", self.status)
        self.attempts += 1
        self.reason = reason
        self.next_at = at + pause(self.attempts)
        return None

    def fail(self, reason: str, *, at: datetime) -> NotificationFailed:
        """It cannot be delivered as things are: an operator may send it again once they are different."""
        self._move("fail", at=at)
        self.attempts += 1
        self.reason = reason
        if self.is_expired(at=at):
            self.sealed_letter = None
        return NotificationFailed(
            notification_id=self.id,
            kind=self.kind,
            about_event_id=self.about_event_id,
            message_id=self.message_id,
            attempts=self.attempts,
            reason=reason,
        )

    def resend(self, *, at: datetime) -> None:
        """An operator wants it tried again, now and as often as the first time."""
        self._move("resend", at=at)
        self.attempts = 0

    def is_expired(self, *, at: datetime) -> bool:
        """Whether what it says is of no use any more."""
        return self.expires_at is not None and self.expires_at <= at

    def _move(self, verb: str, *, at: datetime) -> None:
        self.status = LIFECYCLE.after(verb, self.status)
        self.since = at
        self.next_at = at if self.status is Status.WAITING else None


def message_id(kind: Kind, about_event_id: str, recipient: Recipient) -> str:
    """The email's Message-ID: the same for this event and recipient, whoever sends it and however often.

    No setting goes into it, because one that is changed between two tries would make two messages of one. It is short
    enough to stand on one line of the header, the kind cut where need be: not every mail program reads a folded one.
    """
    return f"<{kind:.20}.{uuid5(_MESSAGES, f'{about_event_id} {recipient}').hex}@mail.covey>"


def pause(attempts: int) -> timedelta:
    """How long to wait after so many tries: 5, 10, 20, ... seconds, at most 15 minutes."""
    return min(FIRST_PAUSE * (1 << min(attempts - 1, 16)), LONGEST_PAUSE)
