"""Transactions tells how one stands: the renewal that it is about follows."""

from covey_chassis.copies import keep_newer
from covey_chassis.outbox import emit
from covey_contracts.transactions import TransactionState
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from covey_renewals.domain.renewal import Renewal, RenewalNotKnownYet
from covey_renewals.domain.transaction import Transaction


async def follow_transaction(session: AsyncSession, transaction: TransactionState, *, sequence: int) -> None:
    """Keep how the transaction stands, if this is news and it is about a renewal; the renewal stands as all of them do.

    The renewal is found by its group and plan year, which name it for good: in a database that was restored to an earlier
    state, what is made again has another ID.

    Raises:
        RenewalNotKnownYet: it has not been made again yet.
        IllegalMove: nor has it become available again.
    """
    changes = transaction.renewal_changes
    if changes is None:
        return
    found = await session.scalars(
        select(Renewal)
        .where(Renewal.group_id == transaction.group_id, Renewal.plan_year == changes.plan_year)
        .with_for_update()
    )
    renewal = found.one_or_none()
    if renewal is None:
        raise RenewalNotKnownYet(group_id=transaction.group_id, plan_year=changes.plan_year)
    is_news = await keep_newer(
        session,
        Transaction,
        sequence=sequence,
        transaction_id=transaction.transaction_id,
        renewal_id=renewal.id,
        status=transaction.status,
    )
    if is_news:
        in_order = select(Transaction.status).where(Transaction.renewal_id == renewal.id)
        statuses = await session.scalars(in_order.order_by(Transaction.transaction_id))
        if changed := renewal.follow(statuses.all()):
            emit(session, renewal, changed)
