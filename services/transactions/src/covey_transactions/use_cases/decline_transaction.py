"""The carrier refuses what was submitted."""

from datetime import datetime
from uuid import UUID

from covey_chassis.db import load
from covey_chassis.outbox import emit
from covey_contracts.transactions import DeclineLetter
from sqlalchemy.ext.asyncio import AsyncSession

from covey_transactions import queries
from covey_transactions.domain.decision import Decline
from covey_transactions.domain.transaction import Seal, Transaction, TransactionNotFound


async def decline_transaction(
    session: AsyncSession, transaction_id: UUID, decline: Decline, *, by: UUID, at: datetime, seal: Seal
) -> Transaction:
    """End it without effect. Its owner is told why, and may begin again with a copy.

    Raises:
        TransactionNotFound: there is none.
        IllegalMove: it is not under review.
        RoundIsOver: it is another round by now.
        OwnTransaction: the reviewer has worked on it.
        ClaimedBySomebodyElse: another one's claim lasts.
    """
    transaction = await load(session, Transaction, transaction_id, missing=TransactionNotFound)
    transaction.follow(await queries.renewal_behind(session, transaction))
    declined = transaction.decline(decline.round, DeclineLetter(reason=decline.reason), by=by, at=at, seal=seal)
    emit(session, transaction, declined)
    return transaction
