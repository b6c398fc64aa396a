"""Review: what waits for the carrier's decision, who is at work on it, and what they decide (R-28, R-29)."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Self
from uuid import UUID

from covey_chassis.access import Actor, By, Sight, StaffRight, staff
from covey_chassis.acts import tells_of
from covey_chassis.following import POSITION, seen_now
from covey_chassis.http import (
    After,
    Ctx,
    IdempotencyKey,
    Limit,
    Page,
    Session,
    page_of,
    refuses,
    says,
    service_router,
    set_etag,
)
from covey_chassis.lifecycle import IllegalMove
from fastapi import Query, Response
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncSession

from covey_transactions import queries_reviews
from covey_transactions.domain.decision import Approval, Decline, Return
from covey_transactions.domain.representative import RepresentativeIsGone
from covey_transactions.domain.transaction import (
    ClaimedBySomebodyElse,
    NotClaimedByYou,
    OwnTransaction,
    RoundIsOver,
    Transaction,
    TransactionNotFound,
)
from covey_transactions.http.views import TransactionSummary, TransactionView, summaries_of, view_of
from covey_transactions.queries_reviews import Claimed
from covey_transactions.settings import TransactionsSettings
from covey_transactions.use_cases.approve_transaction import approve_transaction
from covey_transactions.use_cases.claim_review import claim_review
from covey_transactions.use_cases.decline_transaction import decline_transaction
from covey_transactions.use_cases.release_review import release_review
from covey_transactions.use_cases.return_transaction import return_transaction

DECIDING = refuses(TransactionNotFound, IllegalMove, RoundIsOver, OwnTransaction, ClaimedBySomebodyElse)

router = service_router(prefix="/v1/reviews", tags=["review"], dependencies=[staff(StaffRight.REVIEW_DECIDE)])


class Claim(BaseModel):
    """Who is at work on it. Until then nobody else decides."""

    claimed_by: Annotated[UUID, Field(description="The account.")]
    claimed_until: datetime

    @classmethod
    def of(cls, transaction: Transaction, at: datetime) -> Self | None:
        if not transaction.is_claimed(at):
            return None
        return cls.model_validate({"claimed_by": transaction.claimed_by, "claimed_until": transaction.claimed_until})


class Standing(BaseModel):
    """How a transaction stands between those who review."""

    claim: Annotated[Claim | None, Field(description="Null when nobody is at work on it, or their time has passed.")]
    yours: Annotated[bool, Field(description="You have worked on it yourself: others review it.")]

    @classmethod
    def seen(cls, transaction: Transaction, by: Actor, at: datetime) -> Self:
        return cls(claim=Claim.of(transaction, at), yours=by.account_id in transaction.worked_on_by)


class ReviewSummary(TransactionSummary, Standing):
    """A transaction as reviewers have it listed."""


class ReviewView(TransactionView, Standing):
    """All of it: every round with what was submitted, what was asked for, and what became of it."""


def _all(by: Actor) -> Sight:
    """Whoever reviews sees all groups."""
    return Sight(by, (), everything=True)


async def _summaries(
    session: AsyncSession, transactions: Sequence[Transaction], by: Actor, at: datetime
) -> list[ReviewSummary]:
    summaries = await summaries_of(session, transactions)
    return [
        ReviewSummary(**dict(summary), **dict(Standing.seen(transaction, by, at)))
        for transaction, summary in zip(transactions, summaries, strict=True)
    ]


async def _summary(session: AsyncSession, transaction: Transaction, by: Actor, at: datetime) -> ReviewSummary:
    """The answer of a command. It is kept, to be given again: nobody who joins or leaves is in it."""
    tells_of(session, group_id=transaction.group_id)
    (answer,) = await _summaries(session, [transaction], by, at)
    return answer


@router.get("", responses=says(200, POSITION), summary="What waits to be decided")
async def list_reviews(
    by: By,
    session: Session,
    ctx: Ctx,
    limit: Limit,
    after: After,
    response: Response,
    claimed: Annotated[Claimed | None, Query(description="Whose claim lasts: yours, nobody's, another one's.")] = None,
    market_region: Annotated[str | None, Query(max_length=100, description="Only groups of this region.")] = None,
    group_number: Annotated[str | None, Query(max_length=100, description="Only this group.")] = None,
) -> Page[ReviewSummary]:
    """What was submitted first comes first. What changes afterwards, the stream of transactions says."""
    at = ctx.clock.now()
    query = queries_reviews.queue(
        by.account_id, at, claimed=claimed, market_region=market_region, group_number=group_number
    )
    response.headers[POSITION] = str(await seen_now(session, _all(by)))
    found, following = await page_of(session, query, by=queries_reviews.BY_SUBMISSION, limit=limit, after=after)
    return Page(items=await _summaries(session, found, by, at), next=following)


@router.get(
    "/{transaction_id}",
    responses=says(200, "ETag", POSITION) | refuses(TransactionNotFound),
    summary="One, as it was submitted",
)
async def read_review(transaction_id: UUID, by: By, session: Session, ctx: Ctx, response: Response) -> ReviewView:
    """Also when it is decided. What was never submitted is not found."""
    response.headers[POSITION] = str(await seen_now(session, _all(by)))
    transaction = await queries_reviews.submitted(session, transaction_id)
    if transaction is None:
        raise TransactionNotFound(id=transaction_id)
    await set_etag(response, session, transaction)
    view = await view_of(session, transaction, persons=True)
    return ReviewView(**dict(view), **dict(Standing.seen(transaction, by, ctx.clock.now())))


@router.post(
    "/{transaction_id}/claim",
    responses=says(200, "ETag") | refuses(TransactionNotFound, IllegalMove, OwnTransaction, ClaimedBySomebodyElse),
    summary="Claim it",
)
async def claim(
    transaction_id: UUID, by: By, session: Session, ctx: Ctx, key: IdempotencyKey, response: Response
) -> ReviewSummary:
    """Nobody else decides it for a while. Claim it again to have longer."""
    assert isinstance(ctx.settings, TransactionsSettings)
    at = ctx.clock.now()
    until = at + timedelta(minutes=ctx.settings.claim_minutes)
    transaction = await claim_review(session, transaction_id, by=by.account_id, at=at, until=until)
    await set_etag(response, session, transaction)
    return await _summary(session, transaction, by, at)


@router.delete(
    "/{transaction_id}/claim",
    responses=says(200, "ETag") | refuses(TransactionNotFound, IllegalMove, NotClaimedByYou),
    summary="Release it",
)
async def release(
    transaction_id: UUID, by: By, session: Session, ctx: Ctx, key: IdempotencyKey, response: Response
) -> ReviewSummary:
    """Others may decide it at once."""
    at = ctx.clock.now()
    transaction = await release_review(session, transaction_id, by=by.account_id, at=at)
    await set_etag(response, session, transaction)
    return await _summary(session, transaction, by, at)


@router.post(
    "/{transaction_id}/return",
    responses=says(200, "ETag") | DECIDING | refuses(RepresentativeIsGone),
    summary="Return it",
)
async def return_it(
    transaction_id: UUID, said: Return, by: By, session: Session, ctx: Ctx, key: IdempotencyKey, response: Response
) -> ReviewSummary:
    """Its owner is told what has to be done, and who helps; the representative is told too."""
    at = ctx.clock.now()
    transaction = await return_transaction(
        session, transaction_id, said, by=by.account_id, at=at, seal=ctx.keyring.seal
    )
    await set_etag(response, session, transaction)
    return await _summary(session, transaction, by, at)


@router.post("/{transaction_id}/approval", responses=says(200, "ETag") | DECIDING, summary="Approve it")
async def approve(
    transaction_id: UUID,
    approval: Approval,
    by: By,
    session: Session,
    ctx: Ctx,
    key: IdempotencyKey,
    response: Response,
) -> ReviewSummary:
    """It is completed, and its changes are the group's."""
    at = ctx.clock.now()
    transaction = await approve_transaction(session, transaction_id, approval, by=by.account_id, at=at)
    await set_etag(response, session, transaction)
    return await _summary(session, transaction, by, at)


@router.post("/{transaction_id}/decline", responses=says(200, "ETag") | DECIDING, summary="Decline it")
async def decline(
    transaction_id: UUID, said: Decline, by: By, session: Session, ctx: Ctx, key: IdempotencyKey, response: Response
) -> ReviewSummary:
    """For good. Its owner is told why, and may begin again with a copy."""
    at = ctx.clock.now()
    transaction = await decline_transaction(
        session, transaction_id, said, by=by.account_id, at=at, seal=ctx.keyring.seal
    )
    await set_etag(response, session, transaction)
    return await _summary(session, transaction, by, at)
