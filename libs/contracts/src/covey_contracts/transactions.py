"""What transactions tells the world: what was submitted, who reviews it, and what became of it.

Persons travel in none of these events: they are counted. Words that people wrote (instructions, reasons) are sealed.
"""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import Field

from covey_contracts.acts import ActRecorded
from covey_contracts.base import Event, Part, Sealed, SealedBody, Topic


class TransactionKind(StrEnum):
    """What is worked on in steps."""

    QUOTE = "quote"
    ENROLLMENT = "enrollment"
    RENEWAL_CHANGES = "renewal changes"


class TransactionStatus(StrEnum):
    """Where a transaction stands."""

    OPEN = "open"
    PENDING_REVIEW = "pending review"
    ACTION_REQUIRED = "action required"
    COMPLETED = "completed"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"


class ContributionBasis(StrEnum):
    """What an employer's contribution is measured in."""

    PERCENT = "percent"
    """Of the premium."""
    AMOUNT = "amount"
    """US dollars a month."""


Share = Annotated[Decimal, Field(ge=0, max_digits=9, decimal_places=2)]


class Contribution(Part):
    """What the employer pays of an employee's premium, and of that of each of the employee's dependents."""

    basis: ContributionBasis
    employee: Share
    dependents: Share


class ClassPlans(Part):
    """What the group offers one class of its employees in the coming plan year."""

    employee_class: str
    plan_ids: tuple[str, ...]
    contribution: Contribution


class RenewalChanges(Part):
    """What is to be different in the coming plan year. Persons are counted; who they are stays where it was entered."""

    renewal_id: UUID
    plan_year: Annotated[int, Field(description="Names the renewal within its group, for good.")]
    effective_date: Annotated[date, Field(description="When the coming plan year begins.")]
    classes: tuple[ClassPlans, ...]
    enrollments: Annotated[int, Field(ge=0, description="How many subscribers and dependents are enrolled by it.")]
    terminations: Annotated[int, Field(ge=0, description="Of how many subscribers and dependents coverage ends by it.")]


class TransactionState(Event):
    """A transaction as it is after the change."""

    transaction_id: UUID
    kind: TransactionKind
    status: TransactionStatus
    group_id: Annotated[UUID | None, Field(description="Null while there is only a prospect.")] = None
    owner_id: Annotated[UUID, Field(description="The account that opened it.")]
    round: Annotated[int, Field(ge=0, description="How often it has been submitted.")]
    renewal_changes: Annotated[
        RenewalChanges | None, Field(description="As last saved or submitted; only in transactions of that kind.")
    ] = None


# --- its owner ---


class TransactionOpened(TransactionState):
    """It was saved for the first time: somebody works on it from now on."""

    topic: ClassVar[Topic] = Topic(
        name="covey.transaction.opened.v1",
        aggregate="transaction",
        key="transaction_id",
        owner="transactions",
        listeners=("renewals",),
    )

    status: Literal[TransactionStatus.OPEN]


class TransactionSubmitted(TransactionState):
    """The carrier is to decide on it. What was submitted in this round does not change any more."""

    topic: ClassVar[Topic] = Topic(
        name="covey.transaction.submitted.v1",
        aggregate="transaction",
        key="transaction_id",
        owner="transactions",
        listeners=("notifications", "renewals", "programs"),
    )

    status: Literal[TransactionStatus.PENDING_REVIEW]
    submitted_by: Annotated[UUID, Field(description="The account.")]
    submitted_at: datetime


class TransactionWithdrawn(TransactionState):
    """Its owner took it back. No later decision undoes that."""

    topic: ClassVar[Topic] = Topic(
        name="covey.transaction.withdrawn.v1",
        aggregate="transaction",
        key="transaction_id",
        owner="transactions",
        listeners=("notifications", "renewals"),
    )

    status: Literal[TransactionStatus.WITHDRAWN]
    withdrawn_by: Annotated[UUID, Field(description="The account.")]


# --- its review ---


class ReviewClaimed(TransactionState):
    """A reviewer is at work on the round. Until the claim lapses nobody else decides it."""

    topic: ClassVar[Topic] = Topic(
        name="covey.review.claimed.v1",
        aggregate="transaction",
        key="transaction_id",
        owner="transactions",
        listeners=("renewals",),
    )

    reviewer_id: Annotated[UUID, Field(description="The account.")]
    claimed_until: datetime


class ReviewReleased(TransactionState):
    """The reviewer let go of it: it is anybody's again."""

    topic: ClassVar[Topic] = Topic(
        name="covey.review.released.v1",
        aggregate="transaction",
        key="transaction_id",
        owner="transactions",
        listeners=("renewals",),
    )

    reviewer_id: Annotated[UUID, Field(description="The account.")]


class Representative(Part):
    """The carrier's named contact, whom one asks about what has to be done."""

    representative_id: UUID
    name: str
    phone: str
    email: str


class ReturnLetter(SealedBody):
    """What its owner has to do, and who helps."""

    sealed_for: ClassVar[str] = "notifications"

    instructions: str
    required_items: tuple[str, ...] = ()
    representative: Representative


class ReviewReturned(TransactionState):
    """It was sent back: its owner has to act, with the representative's help."""

    topic: ClassVar[Topic] = Topic(
        name="covey.review.returned.v1",
        aggregate="transaction",
        key="transaction_id",
        owner="transactions",
        listeners=("notifications", "renewals"),
    )
    sealed_body: ClassVar[type[SealedBody] | None] = ReturnLetter

    status: Literal[TransactionStatus.ACTION_REQUIRED]
    reviewer_id: Annotated[UUID, Field(description="The account.")]
    representative_id: UUID
    sealed: Sealed


class DeclineLetter(SealedBody):
    """Why it was refused."""

    sealed_for: ClassVar[str] = "notifications"

    reason: str


class ReviewDeclined(TransactionState):
    """The carrier refused it, for good. One may begin again with a copy."""

    topic: ClassVar[Topic] = Topic(
        name="covey.review.declined.v1",
        aggregate="transaction",
        key="transaction_id",
        owner="transactions",
        listeners=("notifications", "renewals"),
    )
    sealed_body: ClassVar[type[SealedBody] | None] = DeclineLetter

    status: Literal[TransactionStatus.DECLINED]
    reviewer_id: Annotated[UUID, Field(description="The account.")]
    sealed: Sealed


class ReviewApproved(TransactionState):
    """It is completed: what it says is so. It never changes again."""

    topic: ClassVar[Topic] = Topic(
        name="covey.review.approved.v1",
        aggregate="transaction",
        key="transaction_id",
        owner="transactions",
        listeners=("membership", "notifications", "renewals"),
    )

    status: Literal[TransactionStatus.COMPLETED]
    reviewer_id: Annotated[UUID, Field(description="The account.")]


# --- what programs are answered ---


class ReviewDecisionOutcome(StrEnum):
    """What became of a command."""

    DECIDED = "decided"
    REFUSED = "refused"


class ReviewDecisionAnswered(Event):
    """What became of a program's command. It gets the same answer for ever: to try anew is another command (`jti`)."""

    topic: ClassVar[Topic] = Topic(
        name="covey.review.decision-answered.v1",
        aggregate="transaction",
        key="transaction_id",
        owner="transactions",
        listeners=("programs",),
        kept_days=30,
        sequenced=False,
    )

    transaction_id: UUID
    command_id: Annotated[
        UUID | None,
        Field(
            description="The command's `jti`; null when its signature is not good, or it is about another transaction."
        ),
    ]
    account_id: Annotated[
        UUID | None,
        Field(
            description="The program that sent it. Null when that is not certain: also when its key is not registered."
            " Others can choose the same `jti`: only an answer with your account is one to your command."
        ),
    ] = None
    outcome: ReviewDecisionOutcome
    refusal: Annotated[
        str | None, Field(description="The refusal's name, such as `round-is-over`; null when it was decided.")
    ] = None
    sentence: Annotated[str | None, Field(description="The same for people.")] = None


# --- audit ---


class TransactionsActRecorded(ActRecorded):
    """Somebody did something in transactions, looked at what is sensitive there, or was refused."""

    topic: ClassVar[Topic] = Topic(
        name="covey.transactions-act.recorded.v1",
        aggregate="transactions-act",
        key="act_id",
        owner="transactions",
        listeners=("identity",),
        kept_days=30,
        sequenced=False,
    )
