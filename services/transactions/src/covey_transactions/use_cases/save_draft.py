"""What was worked out so far is kept.

Locks, everywhere in this service: a transaction's row first, its renewal's after it.
"""

from datetime import datetime
from uuid import UUID

from covey_chassis.outbox import emit
from covey_chassis.versions import check_version
from sqlalchemy.ext.asyncio import AsyncSession

from covey_transactions import queries
from covey_transactions.domain.changes import Draft
from covey_transactions.domain.transaction import AlreadyUnderWay, Transaction


async def save_draft(
    session: AsyncSession, group_id: UUID, transaction_id: UUID, version: int, draft: Draft, *, by: UUID, at: datetime
) -> Transaction:
    """Save the draft as it is, whole or not. With the first save the transaction is under way.

    Raises:
        TransactionNotFound: the group has no such one.
        StaleVersion: it has changed since.
        IllegalMove: it is not the owner's turn.
        RenewalNotAvailable, RenewalIsOver: the renewal can't be changed.
        AlreadyUnderWay: another one of this renewal is.
    """
    transaction = await queries.transaction_of(session, group_id, transaction_id, locked=True)
    check_version(transaction, version)
    transaction.check_may("save")
    # Held by a first save: of two transactions that are saved for the first time at once, one is the first.
    is_first = transaction.saved_at is None
    renewal = await queries.renewal_behind(session, transaction, locked=is_first)
    if is_first and (other := await queries.other_under_way(session, transaction)) is not None:
        raise AlreadyUnderWay(transaction_id=other)
    renewal.check_open()
    transaction.follow(renewal)
    opened = transaction.save(draft, by=by, at=at)
    if opened is not None:
        emit(session, transaction, opened)
    return transaction
