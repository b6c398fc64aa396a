"""The owner takes it back."""

from datetime import datetime
from uuid import UUID

from covey_chassis.outbox import emit
from sqlalchemy.ext.asyncio import AsyncSession

from covey_transactions import queries
from covey_transactions.domain.transaction import Transaction


async def withdraw_transaction(
    session: AsyncSession, group_id: UUID, transaction_id: UUID, *, by: UUID, at: datetime
) -> Transaction:
    """Withdraw it, whoever reviews it: no later decision undoes that.

    Raises:
        TransactionNotFound: the group has no such one.
        IllegalMove: it is decided, or withdrawn already.
    """
    transaction = await queries.transaction_of(session, group_id, transaction_id, locked=True)
    transaction.follow(await queries.renewal_behind(session, transaction))
    withdrawn = transaction.withdraw(by=by, at=at)
    if withdrawn is not None:
        emit(session, transaction, withdrawn)
    return transaction
