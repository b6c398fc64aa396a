"""A reviewer leaves what was submitted to others."""

from datetime import datetime
from uuid import UUID

from covey_chassis.db import load
from covey_chassis.outbox import emit
from sqlalchemy.ext.asyncio import AsyncSession

from covey_transactions.domain.transaction import Transaction, TransactionNotFound


async def release_review(session: AsyncSession, transaction_id: UUID, *, by: UUID, at: datetime) -> Transaction:
    """End one's own claim.

    Raises:
        TransactionNotFound: there is none.
        IllegalMove: it is not under review.
        NotClaimedByYou: the claim is another one's, or there is none.
    """
    transaction = await load(session, Transaction, transaction_id, missing=TransactionNotFound)
    emit(session, transaction, transaction.release(by=by, at=at))
    return transaction
