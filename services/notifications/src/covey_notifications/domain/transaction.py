"""Who is told what about a transaction."""

from dataclasses import dataclass
from uuid import UUID

from covey_contracts.transactions import (
    ReviewApproved,
    ReviewDeclined,
    ReviewReturned,
    TransactionState,
    TransactionSubmitted,
    TransactionWithdrawn,
)

from covey_notifications.domain.notification import Kind, Recipient


@dataclass(frozen=True)
class News:
    """One message: what it says, and to whom, by role; to which account, where it is one's role."""

    kind: Kind
    recipient: Recipient
    account_id: UUID | None = None


def news_about(event: TransactionState) -> list[News]:
    """What there is to tell of it, to each recipient one thing. Who took their own transaction back knows it."""
    owner = event.owner_id
    match event:
        case TransactionSubmitted():
            return [News(Kind.SUBMISSION_RECEIVED, Recipient.SUBMITTER, event.submitted_by)]
        case ReviewReturned():
            return [
                News(Kind.ACTION_REQUIRED, Recipient.OWNER, owner),
                News(Kind.TRANSACTION_ASSIGNED, Recipient.REPRESENTATIVE),
            ]
        case ReviewApproved():
            return [
                News(Kind.TRANSACTION_APPROVED, Recipient.OWNER, owner),
                News(Kind.TRANSACTION_APPROVED, Recipient.CONTRACT_SIGNER),
            ]
        case ReviewDeclined():
            return [News(Kind.TRANSACTION_DECLINED, Recipient.OWNER, owner)]
        case TransactionWithdrawn() if event.withdrawn_by != owner:
            return [News(Kind.TRANSACTION_WITHDRAWN, Recipient.OWNER, owner)]
    return []
