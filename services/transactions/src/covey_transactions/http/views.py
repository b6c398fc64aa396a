"""Transactions as they are shown, to their owners and to reviewers."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Self
from uuid import UUID

from covey_chassis.acts import shows_sensitive, tells_of
from covey_contracts.transactions import TransactionKind, TransactionStatus
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncSession

from covey_transactions import queries
from covey_transactions.domain.changes import ClassPlans, Draft, Enrollment, Termination
from covey_transactions.domain.renewal import Group
from covey_transactions.domain.transaction import ACTION_REQUIRED, DECLINED, Outcome, Round, Transaction

WITHHELD = "Null for who may not see the group's members."


class GroupInBrief(BaseModel):
    """Whose it is."""

    group_id: UUID
    group_number: str
    legal_name: str
    market_region: str

    @classmethod
    def of(cls, group: Group) -> Self:
        return cls(
            group_id=group.group_id,
            group_number=group.group_number,
            legal_name=group.legal_name,
            market_region=group.market_region,
        )


class RenewalInBrief(BaseModel):
    """The plan year that it changes."""

    renewal_id: UUID
    plan_year: Annotated[int, Field(description="Names the renewal within its group, for good.")]
    effective_date: Annotated[date, Field(description="When the plan year begins.")]


class RepresentativeInRound(BaseModel):
    """Whom its owner asks about what has to be done, as it was said then."""

    representative_id: UUID
    name: str
    phone: str
    email: str

    @classmethod
    def of(cls, decided: Round) -> Self | None:
        if decided.outcome is not Outcome.RETURNED:
            return None
        return cls.model_validate(
            {
                "representative_id": decided.representative_id,
                "name": decided.representative_name,
                "phone": decided.representative_phone,
                "email": decided.representative_email,
            }
        )


class Counts(BaseModel):
    """How much is in a draft."""

    classes: int
    enrollments: Annotated[int, Field(description="Subscribers and dependents who join.")]
    terminations: Annotated[int, Field(description="Subscribers and dependents who are listed as leaving.")]

    @classmethod
    def of(cls, draft: Draft) -> Self:
        return cls(classes=len(draft.classes), enrollments=draft.enrolled, terminations=draft.terminated)


class TransactionSummary(BaseModel):
    """A transaction as it is listed."""

    transaction_id: UUID
    kind: TransactionKind
    status: TransactionStatus
    group: GroupInBrief
    renewal: RenewalInBrief
    owner_id: Annotated[UUID, Field(description="The account that opened it.")]
    round: Annotated[int, Field(description="How often it has been submitted.")]
    created_at: datetime
    updated_at: datetime
    saved_at: Annotated[datetime | None, Field(description="When it was last saved; null before the first time.")]
    submitted_at: Annotated[datetime | None, Field(description="When it was last submitted.")]
    counts: Annotated[Counts, Field(description="Of what was saved last.")]
    instructions: Annotated[str | None, Field(description="What has to be done, while action is required.")]
    required_items: Annotated[list[str], Field(description="What has to be handed in, likewise.")]
    representative: Annotated[RepresentativeInRound | None, Field(description="Who helps, likewise.")]
    reason: Annotated[str | None, Field(description="Why it was declined.")]

    @classmethod
    def of(cls, transaction: Transaction, group: Group) -> Self:
        latest = transaction.rounds[-1] if transaction.rounds else None
        asked = latest if transaction.status is ACTION_REQUIRED else None
        return cls(
            transaction_id=transaction.id,
            kind=transaction.kind,
            status=transaction.status,
            group=GroupInBrief.of(group),
            renewal=RenewalInBrief(
                renewal_id=transaction.renewal_id,
                plan_year=transaction.plan_year,
                effective_date=transaction.effective_date,
            ),
            owner_id=transaction.owner_id,
            round=len(transaction.rounds),
            created_at=transaction.created_at,
            updated_at=transaction.updated_at,
            saved_at=transaction.saved_at,
            submitted_at=latest and latest.submitted_at,
            counts=Counts(
                classes=transaction.classes,
                enrollments=transaction.enrollments,
                terminations=transaction.terminations,
            ),
            instructions=asked and asked.instructions,
            required_items=list(asked.required_items or ()) if asked else [],
            representative=asked and RepresentativeInRound.of(asked),
            reason=latest.reason if latest and transaction.status is DECLINED else None,
        )


class DraftView(BaseModel):
    """What is to be different. Persons are shown only to those who may see the group's members."""

    classes: tuple[ClassPlans, ...]
    enrollments: Annotated[tuple[Enrollment, ...] | None, Field(description=WITHHELD)]
    terminations: Annotated[tuple[Termination, ...] | None, Field(description=WITHHELD)]

    @classmethod
    def of(cls, draft: Draft, *, persons: bool) -> Self:
        return cls(
            classes=draft.classes,
            enrollments=draft.enrollments if persons else None,
            terminations=draft.terminations if persons else None,
        )


class RoundView(BaseModel):
    """What was submitted once, and what became of it."""

    round: int
    submitted_by: UUID
    submitted_at: datetime
    outcome: Annotated[Outcome | None, Field(description="Null while it is under review.")]
    decided_by: UUID | None
    decided_at: datetime | None
    instructions: str | None
    required_items: list[str]
    representative: RepresentativeInRound | None
    reason: str | None
    counts: Counts
    content: DraftView

    @classmethod
    def of(cls, submitted: Round, content: Draft, *, persons: bool) -> Self:
        return cls(
            round=submitted.number,
            submitted_by=submitted.submitted_by,
            submitted_at=submitted.submitted_at,
            outcome=submitted.outcome,
            decided_by=submitted.decided_by,
            decided_at=submitted.decided_at,
            instructions=submitted.instructions,
            required_items=list(submitted.required_items or ()),
            representative=RepresentativeInRound.of(submitted),
            reason=submitted.reason,
            counts=Counts.of(content),
            content=DraftView.of(content, persons=persons),
        )


class TransactionView(TransactionSummary):
    """A transaction as it is opened: all of it."""

    draft: DraftView
    rounds: list[RoundView]


async def summaries_of(session: AsyncSession, transactions: Sequence[Transaction]) -> list[TransactionSummary]:
    """The transactions as they are listed. Their drafts are not needed."""
    groups = await queries.groups_of(session, transactions)
    return [TransactionSummary.of(each, groups[each.group_id]) for each in transactions]


async def summary_of(session: AsyncSession, transaction: Transaction) -> TransactionSummary:
    """The transaction as it is listed."""
    (summary,) = await summaries_of(session, [transaction])
    return summary


async def view_of(session: AsyncSession, transaction: Transaction, *, persons: bool) -> TransactionView:
    """The transaction with its draft, and all that was ever submitted in it.

    Args:
        session: where to read.
        transaction: with its draft.
        persons: whether those who join and leave are shown.
    """
    tells_of(session, group_id=transaction.group_id)
    if persons:
        shows_sensitive(session)
    summary = await summary_of(session, transaction)
    contents = await queries.contents(session, transaction)
    return TransactionView(
        **dict(summary),
        draft=DraftView.of(transaction.draft, persons=persons),
        rounds=[RoundView.of(each, contents[each.number], persons=persons) for each in transaction.rounds],
    )
