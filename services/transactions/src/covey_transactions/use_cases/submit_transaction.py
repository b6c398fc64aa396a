"""The owner lets the carrier decide."""

from datetime import date, datetime
from uuid import UUID

from covey_chassis.errors import Invalid
from covey_chassis.outbox import emit
from covey_chassis.versions import check_version
from sqlalchemy.ext.asyncio import AsyncSession

from covey_transactions import queries
from covey_transactions.domain.changes import faults
from covey_transactions.domain.transaction import Transaction


async def submit_transaction(
    session: AsyncSession,
    group_id: UUID,
    transaction_id: UUID,
    version: int,
    *,
    by: UUID,
    at: datetime,
    today: date,
    deadline_days: int,
) -> Transaction:
    """Submit what was saved last.

    What was submitted in time may be corrected after the last day, for as long as the renewal is not over.

    Raises:
        TransactionNotFound: the group has no such one.
        StaleVersion: it has changed since.
        IllegalMove: it is not the owner's turn.
        NotSavedYet: nothing was ever saved.
        RenewalNotAvailable, RenewalIsOver: the renewal can't be changed.
        DeadlinePassed: it is the first time, and the last day for that has passed.
        Invalid: with all that is missing or does not fit.
    """
    transaction = await queries.transaction_of(session, group_id, transaction_id, locked=True)
    check_version(transaction, version)
    transaction.check_can_be_submitted()
    renewal = await queries.renewal_behind(session, transaction)
    if transaction.rounds:
        renewal.check_not_over()
    else:
        renewal.check_open()
        renewal.check_in_time(today, deadline_days)
    if found := faults(transaction.draft, await queries.known_plans(session, renewal), today):
        raise Invalid(*found)
    transaction.follow(renewal)
    emit(session, transaction, transaction.submit(by=by, at=at))
    return transaction
