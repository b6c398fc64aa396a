"""Somebody begins to change what a group's coming plan year will be like."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from covey_transactions import queries
from covey_transactions.domain.renewal import Group, GroupNotFound
from covey_transactions.domain.transaction import WITHDRAWN, Transaction, TransactionNotFound


async def open_transaction(
    session: AsyncSession, group_id: UUID, renewal_id: UUID, *, copy_of: UUID | None, by: UUID, at: datetime
) -> Transaction:
    """Open a transaction, with an empty draft or that of another one. Before its first save it is in no list.

    Raises:
        GroupNotFound, RenewalNotFound: there is none.
        TransactionNotFound: there is no such one to copy.
        RenewalNotAvailable, RenewalIsOver: the renewal can't be changed.
    """
    if await session.get(Group, group_id) is None:
        raise GroupNotFound(id=group_id)
    renewal = await queries.renewal_of(session, group_id, renewal_id)
    copied = None if copy_of is None else await _to_copy(session, group_id, copy_of)
    transaction = Transaction.open(renewal, copied, by=by, at=at)
    session.add(transaction)
    return transaction


async def _to_copy(session: AsyncSession, group_id: UUID, transaction_id: UUID) -> Transaction:
    copied = await queries.transaction_of(session, group_id, transaction_id)
    if copied.saved_at is None or copied.status is WITHDRAWN:
        raise TransactionNotFound(id=transaction_id)
    return copied
