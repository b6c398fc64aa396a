"""What reviewers look for: what waits to be decided, the longest waiting first, and who helps owners."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Select, and_, case, func, not_, select
from sqlalchemy.ext.asyncio import AsyncSession

from covey_transactions.domain.renewal import Group
from covey_transactions.domain.representative import Representative
from covey_transactions.domain.transaction import Round, Transaction
from covey_transactions.queries import WITHOUT_DRAFT

BY_SUBMISSION = (Round.submitted_at, Round.transaction_id)
BY_NAME = (case((Representative.active, 0), else_=1), func.lower(Representative.name), Representative.id)
"""Those who are on the list first."""


class Claimed(StrEnum):
    """Whose claim keeps others from deciding at this moment."""

    MINE = "mine"
    FREE = "free"
    OTHERS = "others"


def queue(
    reviewer_id: UUID,
    at: datetime,
    *,
    claimed: Claimed | None = None,
    market_region: str | None = None,
    group_number: str | None = None,
) -> Select[Transaction]:
    """What is under review: each transaction whose latest round is undecided."""
    query = (
        select(Transaction)
        .options(WITHOUT_DRAFT)
        .join(Round, and_(Round.transaction_id == Transaction.id, Round.outcome.is_(None)))
    )
    if claimed is not None:
        lasts = and_(Transaction.claimed_until.is_not(None), Transaction.claimed_until > at)
        query = query.where(
            {
                Claimed.MINE: and_(lasts, Transaction.claimed_by == reviewer_id),
                Claimed.FREE: not_(lasts),
                Claimed.OTHERS: and_(lasts, Transaction.claimed_by != reviewer_id),
            }[claimed]
        )
    if market_region is not None or group_number is not None:
        query = query.join(Group, Group.group_id == Transaction.group_id)
    if market_region is not None:
        query = query.where(Group.market_region == market_region)
    if group_number is not None:
        query = query.where(Group.group_number == group_number)
    return query


async def submitted(session: AsyncSession, transaction_id: UUID) -> Transaction | None:
    """The transaction with all that was ever submitted in it; None if nothing was."""
    query = select(Transaction).where(
        Transaction.id == transaction_id, select(Round).where(Round.transaction_id == Transaction.id).exists()
    )
    return (await session.scalars(query)).one_or_none()
