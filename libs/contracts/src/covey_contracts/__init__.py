"""The platform's vocabulary: every event that Covey publishes, one module for each producing service."""

from covey_contracts.base import Event, Sealed, SealedBody, Topic
from covey_contracts.identity import (
    AccessChanged,
    AccessCodeIssued,
    AccountChanged,
    AccountRegistered,
    AppointmentChanged,
    AuditAnchored,
    FirmChanged,
    FirmRegistered,
    MailRequested,
)
from covey_contracts.membership import GroupChanged, GroupRegistered, MembershipActRecorded
from covey_contracts.notifications import NotificationDelivered, NotificationFailed, NotificationsActRecorded
from covey_contracts.programs import ReviewDecision
from covey_contracts.renewals import RenewalAvailable, RenewalChanged, RenewalsActRecorded
from covey_contracts.transactions import (
    ReviewApproved,
    ReviewClaimed,
    ReviewDecisionAnswered,
    ReviewDeclined,
    ReviewReleased,
    ReviewReturned,
    TransactionOpened,
    TransactionsActRecorded,
    TransactionSubmitted,
    TransactionWithdrawn,
)

EVENTS: tuple[type[Event], ...] = (
    GroupRegistered,
    GroupChanged,
    FirmRegistered,
    FirmChanged,
    AppointmentChanged,
    AccountRegistered,
    AccountChanged,
    AccessChanged,
    AccessCodeIssued,
    MailRequested,
    AuditAnchored,
    RenewalAvailable,
    RenewalChanged,
    TransactionOpened,
    TransactionSubmitted,
    TransactionWithdrawn,
    ReviewClaimed,
    ReviewReleased,
    ReviewReturned,
    ReviewDeclined,
    ReviewApproved,
    ReviewDecision,
    ReviewDecisionAnswered,
    NotificationDelivered,
    NotificationFailed,
    MembershipActRecorded,
    TransactionsActRecorded,
    RenewalsActRecorded,
    NotificationsActRecorded,
)
"""Every kind of event, in the order in which the documents list them."""

__all__ = ["EVENTS", "Event", "Sealed", "SealedBody", "Topic"]
