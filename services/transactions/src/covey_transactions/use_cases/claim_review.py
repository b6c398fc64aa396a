"""A reviewer begins to look at what was submitted, or needs more time for it."""

from datetime import datetime
from uuid import UUID

from covey_chassis.db import load
from covey_chassis.outbox import emit
from sqlalchemy.ext.asyncio import AsyncSession

from covey_transactions.domain.transaction import Transaction, TransactionNotFound


async def claim_review(
    session: AsyncSession, transaction_id: UUID, *, by: UUID, at: datetime, until: datetime
) -> Transaction:
    """Keep others from deciding until then. Nobody has to end a claim: it lapses.

    Raises:
        TransactionNotFound: there is none.
        IllegalMove: it is not under review.
        OwnTransaction: the reviewer has worked on it.
        ClaimedBySomebodyElse: another one's claim lasts.
    """
    transaction = await load(session, Transaction, transaction_id, missing=TransactionNotFound)
    emit(session, transaction, transaction.claim(by=by, at=at, until=until))
    return transaction
