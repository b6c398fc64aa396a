"""The carrier agrees to what was submitted."""

from datetime import datetime
from uuid import UUID

from covey_chassis.db import load
from covey_chassis.outbox import emit
from sqlalchemy.ext.asyncio import AsyncSession

from covey_transactions import queries
from covey_transactions.domain.decision import Approval
from covey_transactions.domain.transaction import Transaction, TransactionNotFound


async def approve_transaction(
    session: AsyncSession, transaction_id: UUID, approval: Approval, *, by: UUID, at: datetime
) -> Transaction:
    """Complete it. Membership takes the changes when it hears of it.

    Raises:
        TransactionNotFound: there is none.
        IllegalMove: it is not under review.
        RoundIsOver: it is another round by now.
        OwnTransaction: the reviewer has worked on it.
        ClaimedBySomebodyElse: another one's claim lasts.
    """
    transaction = await load(session, Transaction, transaction_id, missing=TransactionNotFound)
    transaction.follow(await queries.renewal_behind(session, transaction))
    emit(session, transaction, transaction.approve(approval.round, by=by, at=at))
    return transaction
