"""A group's transactions, as their owners work on them, and the history of all that one sees."""

from datetime import date
from typing import Annotated
from uuid import UUID

from covey_chassis.access import Actor, By, InSight, Right, Sight, SightAgain, StaffRight, requires, sees
from covey_chassis.acts import tells_of
from covey_chassis.following import POSITION, Seen, changed_since, seen_now
from covey_chassis.http import (
    After,
    Ctx,
    IdempotencyKey,
    Limit,
    Page,
    Session,
    Version,
    page_of,
    refuses,
    says,
    service_router,
    set_etag,
)
from covey_chassis.lifecycle import IllegalMove
from covey_chassis.paging import Order
from covey_chassis.service import Context
from covey_chassis.streaming import EventStream, TooManyStreams, event, news
from fastapi import Depends, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession

from covey_transactions import queries
from covey_transactions.domain.changes import Draft
from covey_transactions.domain.renewal import (
    DeadlinePassed,
    GroupNotFound,
    RenewalIsOver,
    RenewalNotAvailable,
    RenewalNotFound,
)
from covey_transactions.domain.saved_search import Filters, SortedBy
from covey_transactions.domain.transaction import (
    WITHDRAWN,
    AlreadyUnderWay,
    NotSavedYet,
    Transaction,
    TransactionNotFound,
)
from covey_transactions.http.views import TransactionSummary, TransactionView, summaries_of, summary_of, view_of
from covey_transactions.settings import TransactionsSettings
from covey_transactions.use_cases.open_transaction import open_transaction
from covey_transactions.use_cases.save_draft import save_draft
from covey_transactions.use_cases.submit_transaction import submit_transaction
from covey_transactions.use_cases.withdraw_transaction import withdraw_transaction

SEEING = (StaffRight.OPERATIONS, StaffRight.REVIEW_DECIDE)
"""The staff who see all groups."""
CHANGING = requires(Right.RENEWALS_CHANGE)
READING = requires(Right.RENEWALS_VIEW, or_staff=SEEING)
IN_SIGHT = sees(Right.RENEWALS_VIEW, or_staff=SEEING)

router = service_router(prefix="/v1/groups/{group_id}", tags=["transactions"])
history = service_router(prefix="/v1/transactions", tags=["history"])


class Count(BaseModel):
    """How many there are."""

    count: Annotated[int, Field(description=f"At most {queries.COUNTED_MAX:,}.")]
    more: Annotated[bool, Field(description="There are more than these.")]


class NewTransaction(BaseModel):
    """What is to be changed, and what to begin with."""

    model_config = ConfigDict(extra="forbid")

    renewal_id: UUID
    copy_of: Annotated[
        UUID | None, Field(description="A transaction of the group, in any status but withdrawn: its draft is copied.")
    ] = None


class Plans(BaseModel):
    """What a renewal's changes can be made of, and until when."""

    plan_year: int
    effective_date: date
    last_day: Annotated[date, Field(description="The last day to submit changes for the first time.")]
    now: Annotated[list[str], Field(description="The group's plans in the plan year before.")]
    planned: Annotated[list[str], Field(description="The group's plans in this plan year, as far as there are any.")]
    offered: Annotated[list[str], Field(description="Those that can be chosen.")]


def _deadline_days(context: Context) -> int:
    assert isinstance(context.settings, TransactionsSettings)
    return context.settings.renewal_deadline_days


def _sees_persons(actor: Actor) -> bool:
    """Who joins and who leaves is for those who may enter it, see the members of the whole group, or review it."""
    members = actor.holds(Right.RENEWALS_CHANGE, Right.MEMBERS_VIEW, whole_group=True)
    return members or actor.has_staff_right([StaffRight.REVIEW_DECIDE])


# --- one group's. A command's answer is kept, to be given again: it is short, and nobody who joins or leaves is in it ---


@router.post(
    "/transactions",
    status_code=201,
    dependencies=[CHANGING],
    responses=says(201, "ETag", "Location")
    | refuses(GroupNotFound, RenewalNotFound, TransactionNotFound, RenewalNotAvailable, RenewalIsOver),
    summary="Open a transaction",
)
async def open_one(
    group_id: UUID, new: NewTransaction, by: By, session: Session, ctx: Ctx, key: IdempotencyKey, response: Response
) -> TransactionSummary:
    """It has an ID from now on. Before it is saved it is in no list, and nobody hears of it."""
    transaction = await open_transaction(
        session, group_id, new.renewal_id, copy_of=new.copy_of, by=by.account_id, at=ctx.clock.now()
    )
    tells_of(session, transaction_id=transaction.id)
    await set_etag(response, session, transaction)
    response.headers["Location"] = f"/v1/groups/{group_id}/transactions/{transaction.id}"
    return await summary_of(session, transaction)


@router.get(
    "/transactions/{transaction_id}",
    dependencies=[READING],
    responses=says(200, "ETag") | refuses(TransactionNotFound),
    summary="One transaction",
)
async def read_one(
    group_id: UUID, transaction_id: UUID, by: By, session: Session, response: Response
) -> TransactionView:
    """Who joins and who leaves is shown to those with `renewals.change` or `members.view` in the whole group, and to
    reviewers. One that was withdrawn is found by staff alone.
    """
    transaction = await queries.transaction_of(session, group_id, transaction_id)
    if transaction.status is WITHDRAWN and not by.has_staff_right(SEEING):
        raise TransactionNotFound(id=transaction_id)
    await set_etag(response, session, transaction)
    return await view_of(session, transaction, persons=_sees_persons(by))


@router.put(
    "/transactions/{transaction_id}/draft",
    dependencies=[CHANGING],
    responses=says(200, "ETag")
    | refuses(TransactionNotFound, IllegalMove, RenewalNotAvailable, RenewalIsOver, AlreadyUnderWay),
    summary="Save the draft",
)
async def save(
    group_id: UUID,
    transaction_id: UUID,
    draft: Draft,
    version: Version,
    by: By,
    session: Session,
    ctx: Ctx,
    key: IdempotencyKey,
    response: Response,
) -> TransactionSummary:
    """The whole draft, as it shall be; it may lack anything. A renewal has one transaction under way at a time."""
    transaction = await save_draft(
        session, group_id, transaction_id, version, draft, by=by.account_id, at=ctx.clock.now()
    )
    await set_etag(response, session, transaction)
    return await summary_of(session, transaction)


@router.post(
    "/transactions/{transaction_id}/submission",
    dependencies=[CHANGING],
    responses=says(200, "ETag")
    | refuses(TransactionNotFound, IllegalMove, NotSavedYet, RenewalNotAvailable, RenewalIsOver, DeadlinePassed),
    summary="Submit what was saved last",
)
async def submit(
    group_id: UUID,
    transaction_id: UUID,
    version: Version,
    by: By,
    session: Session,
    ctx: Ctx,
    key: IdempotencyKey,
    response: Response,
) -> TransactionSummary:
    """What is missing or does not fit is named with its place in the draft, all of it at once."""
    transaction = await submit_transaction(
        session,
        group_id,
        transaction_id,
        version,
        by=by.account_id,
        at=ctx.clock.now(),
        today=await ctx.clock.today(session),
        deadline_days=_deadline_days(ctx),
    )
    await set_etag(response, session, transaction)
    return await summary_of(session, transaction)


@router.post(
    "/transactions/{transaction_id}/withdrawal",
    dependencies=[CHANGING],
    responses=says(200, "ETag") | refuses(TransactionNotFound, IllegalMove),
    summary="Take it back",
)
async def withdraw(
    group_id: UUID,
    transaction_id: UUID,
    by: By,
    session: Session,
    ctx: Ctx,
    key: IdempotencyKey,
    response: Response,
) -> TransactionSummary:
    """For good, and also while it is under review. Nobody but staff finds it afterwards."""
    transaction = await withdraw_transaction(session, group_id, transaction_id, by=by.account_id, at=ctx.clock.now())
    await set_etag(response, session, transaction)
    return await summary_of(session, transaction)


@router.get(
    "/renewals/{renewal_id}/plans",
    dependencies=[READING],
    responses=refuses(RenewalNotFound),
    summary="What a renewal's changes can be made of",
)
async def read_plans(group_id: UUID, renewal_id: UUID, session: Session, ctx: Ctx) -> Plans:
    renewal = await queries.renewal_of(session, group_id, renewal_id)
    return Plans(
        plan_year=renewal.plan_year,
        effective_date=renewal.effective_date,
        last_day=renewal.last_day(_deadline_days(ctx)),
        now=await queries.plans_of(session, group_id, renewal.plan_year - 1),
        planned=await queries.plans_of(session, group_id, renewal.plan_year),
        offered=await queries.known_plans(session, renewal),
    )


# --- all that one sees ---


async def _sought(filters: Annotated[Filters, Query()]) -> Filters:
    return filters


Sought = Annotated[Filters, Depends(_sought)]
"""By a dependency of its own: a model of query parameters stands alone in its function."""


@history.get("", dependencies=[IN_SIGHT], responses=says(200, POSITION), summary="Transaction history")
async def list_transactions(
    session: Session,
    sight: InSight,
    ctx: Ctx,
    sought: Sought,
    limit: Limit,
    after: After,
    response: Response,
    sort: Annotated[SortedBy, Query(description="What they are sorted by.")] = SortedBy.CREATED,
    order: Annotated[Order, Query(description="`desc`: the newest, the last, first.")] = Order.DESCENDING,
) -> Page[TransactionSummary]:
    """What was ever saved, of groups in which one has `renewals.view`; what was withdrawn, to staff alone. Days are the
    carrier's.
    """
    response.headers[POSITION] = str(await seen_now(session, sight))
    found, following = await page_of(
        session,
        queries.history(sight, sought, sort, zone=ctx.settings.zone),
        by=queries.sort_keys(sort),
        limit=limit,
        after=after,
        descending=order is Order.DESCENDING,
    )
    return Page(items=await summaries_of(session, found), next=following)


@history.get("/count", dependencies=[IN_SIGHT], summary="How many there are")
async def count_transactions(session: Session, sight: InSight, ctx: Ctx, sought: Sought) -> Count:
    """Of the history, with the same filters. Days are the carrier's."""
    found = await queries.count(session, sight, sought, zone=ctx.settings.zone)
    return Count(count=min(found, queries.COUNTED_MAX), more=found > queries.COUNTED_MAX)


@history.get(
    "/events",
    dependencies=[IN_SIGHT],
    response_class=EventStream,
    responses=refuses(TooManyStreams),
    summary="Which transactions change, live",
)
async def watch_transactions(
    request: Request,
    again: SightAgain,
    position: Annotated[
        str | None,
        Header(
            alias=POSITION,
            description="What is known already: as an answer, or an event's `id`, said it.",
            examples=["741:731,738:" + "0a" * 32],
        ),
    ] = None,
) -> EventStream:
    """`changed` has the IDs of those that did: saved, submitted, claimed, released, decided, withdrawn.

    It has null for them where that cannot be said, and all may have: without a position, or with one that cannot be read;
    when groups have come into sight or left it; when the database began anew; when more than a hundred have changed.
    `ended` names the refusal, and is the last.
    """
    seen = Seen.read(position)

    async def look(session: AsyncSession, sight: Sight) -> str | None:
        nonlocal seen
        seen, changed = await changed_since(session, seen, sight, queries.followed(sight), Transaction.changed_in)
        if changed == []:
            return None
        ids = None if changed is None else [str(each) for each in changed]
        return event("changed", {"transactions": ids}, event_id=str(seen))

    return news(request, again, look)


@history.get(
    "/{transaction_id}",
    dependencies=[IN_SIGHT],
    responses=says(200, "ETag", POSITION) | refuses(TransactionNotFound),
    summary="One transaction, by its ID alone",
)
async def read_by_id(transaction_id: UUID, session: Session, sight: InSight, response: Response) -> TransactionSummary:
    """As it is listed; all of it is read in its group. One that is not in sight is not found."""
    response.headers[POSITION] = str(await seen_now(session, sight))
    transaction = await queries.transaction_in_sight(session, sight, transaction_id)
    await set_etag(response, session, transaction)
    return await summary_of(session, transaction)
