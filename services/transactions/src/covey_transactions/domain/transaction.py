"""A transaction: worked on in steps, submitted, reviewed in rounds, completed.

Its life is one table for each kind (product: life of a transaction). Verbs return the event that tells the world.
"""

from collections.abc import Callable
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Self, TypeVar
from uuid import UUID

from covey_chassis.db import Aggregate, Base, by_value
from covey_chassis.errors import NotFound, Refusal
from covey_chassis.following import Followed
from covey_chassis.ids import new_id
from covey_chassis.lifecycle import Lifecycle
from covey_contracts import SealedBody
from covey_contracts.transactions import (
    DeclineLetter,
    RenewalChanges,
    ReturnLetter,
    ReviewApproved,
    ReviewClaimed,
    ReviewDeclined,
    ReviewReleased,
    ReviewReturned,
    TransactionKind,
    TransactionOpened,
    TransactionState,
    TransactionStatus,
    TransactionSubmitted,
    TransactionWithdrawn,
)
from sqlalchemy import ARRAY, ForeignKey, Text, Uuid
from sqlalchemy.orm import Mapped, mapped_column, relationship, validates

from covey_transactions.domain.changes import Draft
from covey_transactions.domain.columns import AsJson
from covey_transactions.domain.renewal import Renewal

Told = TypeVar("Told", bound=TransactionState)
Seal = Callable[[SealedBody], str]
"""Makes of personal data what only its listener can open."""

OPEN, PENDING_REVIEW, ACTION_REQUIRED, COMPLETED, DECLINED, WITHDRAWN = TransactionStatus

REVIEWED = Lifecycle[TransactionStatus](
    save={OPEN: OPEN, ACTION_REQUIRED: ACTION_REQUIRED},
    submit={OPEN: PENDING_REVIEW, ACTION_REQUIRED: PENDING_REVIEW},
    withdraw={OPEN: WITHDRAWN, PENDING_REVIEW: WITHDRAWN, ACTION_REQUIRED: WITHDRAWN},
    claim={PENDING_REVIEW: PENDING_REVIEW},
    release={PENDING_REVIEW: PENDING_REVIEW},
    send_back={PENDING_REVIEW: ACTION_REQUIRED},
    approve={PENDING_REVIEW: COMPLETED},
    decline={PENDING_REVIEW: DECLINED},
)
QUOTED = Lifecycle[TransactionStatus](
    save={OPEN: OPEN},
    submit={OPEN: COMPLETED},
    withdraw={OPEN: WITHDRAWN},
    claim={},
    release={},
    send_back={},
    approve={},
    decline={},
)
LIFECYCLE = {
    TransactionKind.QUOTE: QUOTED,
    TransactionKind.ENROLLMENT: REVIEWED,
    TransactionKind.RENEWAL_CHANGES: REVIEWED,
}

LIVE = (OPEN, PENDING_REVIEW, ACTION_REQUIRED)
"""Its outcome is still to come."""


class TransactionNotFound(NotFound):
    """No transaction has this ID."""


class NotSavedYet(Refusal):
    """It has never been saved: save it first."""


class AlreadyUnderWay(Refusal):
    """Changes to this renewal are being worked on already, or were approved."""


class OwnTransaction(Refusal):
    """Nobody reviews what they have worked on themselves."""

    status = 403


class ClaimedBySomebodyElse(Refusal):
    """Another reviewer is at work on this."""


class NotClaimedByYou(Refusal):
    """You have not claimed this."""


class RoundIsOver(Refusal):
    """The transaction has been submitted again since: look at the latest round."""


class Outcome(StrEnum):
    """What became of a round."""

    RETURNED = "returned"
    APPROVED = "approved"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"


class Round(Base, kw_only=True):
    """What was submitted once, and what became of it. Kept for good."""

    __tablename__ = "round"

    transaction_id: Mapped[UUID] = mapped_column(ForeignKey("transaction.id"), primary_key=True, init=False)
    number: Mapped[int] = mapped_column(primary_key=True)
    content: Mapped[Draft] = mapped_column(AsJson(Draft), deferred=True, repr=False)
    submitted_by: Mapped[UUID]
    submitted_at: Mapped[datetime]
    outcome: Mapped[Outcome | None] = mapped_column(by_value(Outcome), default=None)
    decided_by: Mapped[UUID | None] = mapped_column(default=None)
    decided_at: Mapped[datetime | None] = mapped_column(default=None)
    instructions: Mapped[str | None] = mapped_column(default=None, repr=False)
    required_items: Mapped[list[str] | None] = mapped_column(ARRAY(Text), default=None, repr=False)
    representative_id: Mapped[UUID | None] = mapped_column(default=None)
    representative_name: Mapped[str | None] = mapped_column(default=None, repr=False)
    representative_phone: Mapped[str | None] = mapped_column(default=None, repr=False)
    representative_email: Mapped[str | None] = mapped_column(default=None, repr=False)
    reason: Mapped[str | None] = mapped_column(default=None, repr=False)

    def end(self, outcome: Outcome, by: UUID, at: datetime) -> None:
        """Note what became of it, once."""
        assert self.outcome is None
        self.outcome, self.decided_by, self.decided_at = outcome, by, at


class Transaction(Aggregate, Followed, Base, kw_only=True):
    """Renewal changes of a group, from the first draft to the carrier's decision."""

    __tablename__ = "transaction"

    id: Mapped[UUID] = mapped_column(primary_key=True, default_factory=new_id)
    kind: Mapped[TransactionKind] = mapped_column(by_value(TransactionKind))
    status: Mapped[TransactionStatus] = mapped_column(by_value(TransactionStatus), default=OPEN)
    group_id: Mapped[UUID]
    renewal_id: Mapped[UUID]
    plan_year: Mapped[int]
    effective_date: Mapped[date]
    owner_id: Mapped[UUID]
    worked_on_by: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))
    draft: Mapped[Draft] = mapped_column(AsJson(Draft), repr=False)
    classes: Mapped[int] = mapped_column(init=False)
    enrollments: Mapped[int] = mapped_column(init=False)
    terminations: Mapped[int] = mapped_column(init=False)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    saved_at: Mapped[datetime | None] = mapped_column(default=None)
    claimed_by: Mapped[UUID | None] = mapped_column(default=None)
    claimed_until: Mapped[datetime | None] = mapped_column(default=None)
    rounds: Mapped[list[Round]] = relationship(
        init=False, repr=False, cascade="all, delete-orphan", lazy="selectin", order_by=Round.number
    )

    @classmethod
    def open(cls, renewal: Renewal, copied: Self | None = None, *, by: UUID, at: datetime) -> Self:
        """Begin to change a renewal, with what another transaction says. Nobody hears of it before it is saved.

        Who worked on the other one has worked on what is copied.

        Raises:
            RenewalNotAvailable, RenewalIsOver: the renewal can't be changed.
        """
        renewal.check_open()
        transaction = cls(
            kind=TransactionKind.RENEWAL_CHANGES,
            group_id=renewal.group_id,
            renewal_id=renewal.renewal_id,
            plan_year=renewal.plan_year,
            effective_date=renewal.effective_date,
            owner_id=by,
            worked_on_by=list(dict.fromkeys([by, *(copied.worked_on_by if copied else ())])),
            draft=copied.draft if copied else Draft(),
            created_at=at,
            updated_at=at,
        )
        transaction.rounds = []  # said, so that nobody reads them from the database
        return transaction

    def follow(self, renewal: Renewal) -> None:
        """The plan year may begin on another day than was said before, and its renewal may have been made again."""
        self.renewal_id, self.effective_date = renewal.renewal_id, renewal.effective_date

    def save(self, draft: Draft, *, by: UUID, at: datetime) -> TransactionOpened | None:
        """Keep the draft as it is now. The first time the world hears that somebody works on it."""
        self._move("save", at)
        self._worked_on(by)
        self.draft = draft
        if self.saved_at is not None:
            self.saved_at = at
            return None
        self.saved_at = at
        return self._told_as(TransactionOpened)

    def submit(self, *, by: UUID, at: datetime) -> TransactionSubmitted:
        """Let the carrier decide on what was saved last: a new round begins."""
        self.check_can_be_submitted()
        self._move("submit", at)
        self._worked_on(by)
        self.rounds.append(Round(number=len(self.rounds) + 1, content=self.draft, submitted_by=by, submitted_at=at))
        return self._told_as(TransactionSubmitted, submitted_by=by, submitted_at=at)

    def check_can_be_submitted(self) -> None:
        """Let it be submitted, if what is in it is whole.

        Raises:
            IllegalMove: it is not the owner's turn.
            NotSavedYet: nobody has said that it is meant so.
        """
        self.check_may("submit")
        if self.saved_at is None:
            raise NotSavedYet(transaction_id=self.id)

    def withdraw(self, *, by: UUID, at: datetime) -> TransactionWithdrawn | None:
        """Take it back, for good. Of what was never saved nobody has heard."""
        under_review = self.status is PENDING_REVIEW
        self._move("withdraw", at)
        if under_review:
            self.rounds[-1].end(Outcome.WITHDRAWN, by, at)
        self._let_go()
        return self._told_as(TransactionWithdrawn, withdrawn_by=by) if self.saved_at else None

    # --- review ---

    def claim(self, *, by: UUID, at: datetime, until: datetime) -> ReviewClaimed:
        """Keep others from deciding for a while; again, for longer."""
        self._check_reviewer("claim", by, at)
        self._move("claim", at)
        self.claimed_by, self.claimed_until = by, until
        return self._told_as(ReviewClaimed, reviewer_id=by, claimed_until=until)

    def release(self, *, by: UUID, at: datetime) -> ReviewReleased:
        """Let others decide."""
        self.check_may("release")
        if self.claimed_by != by:
            raise NotClaimedByYou(transaction_id=self.id)
        self._move("release", at)
        self._let_go()
        return self._told_as(ReviewReleased, reviewer_id=by)

    def send_back(
        self, round_number: int, letter: ReturnLetter, *, by: UUID, at: datetime, seal: Seal
    ) -> ReviewReturned:
        """Let its owner correct it, with the representative's help."""
        decided = self._decide("send_back", Outcome.RETURNED, round_number, by, at)
        helper = letter.representative
        decided.instructions = letter.instructions
        decided.required_items = list(letter.required_items)
        decided.representative_id = helper.representative_id
        decided.representative_name = helper.name
        decided.representative_phone = helper.phone
        decided.representative_email = helper.email
        return self._told_as(
            ReviewReturned, reviewer_id=by, representative_id=helper.representative_id, sealed=seal(letter)
        )

    def approve(self, round_number: int, *, by: UUID, at: datetime) -> ReviewApproved:
        """Complete it: what was submitted is so."""
        self._decide("approve", Outcome.APPROVED, round_number, by, at)
        return self._told_as(ReviewApproved, reviewer_id=by)

    def decline(
        self, round_number: int, letter: DeclineLetter, *, by: UUID, at: datetime, seal: Seal
    ) -> ReviewDeclined:
        """Refuse it, for good."""
        self._decide("decline", Outcome.DECLINED, round_number, by, at).reason = letter.reason
        return self._told_as(ReviewDeclined, reviewer_id=by, sealed=seal(letter))

    def is_claimed(self, at: datetime) -> bool:
        """Whether a reviewer's claim lasts. It lapses by itself."""
        return self.claimed_until is not None and self.claimed_until > at

    def _decide(self, verb: str, outcome: Outcome, round_number: int, by: UUID, at: datetime) -> Round:
        self._check_reviewer(verb, by, at)
        latest = self.rounds[-1]
        if round_number != latest.number:
            raise RoundIsOver(round=round_number, latest=latest.number)
        self._move(verb, at)
        latest.end(outcome, by, at)
        self._let_go()
        return latest

    def _check_reviewer(self, verb: str, by: UUID, at: datetime) -> None:
        self.check_may(verb)
        if by in self.worked_on_by:
            raise OwnTransaction(transaction_id=self.id)
        if self.is_claimed(at) and self.claimed_by != by:
            raise ClaimedBySomebodyElse(until=self.claimed_until)

    # --- what all verbs do ---

    def check_may(self, verb: str) -> None:
        """Let the verb be, as the transaction stands.

        Raises:
            IllegalMove: it cannot be done now.
        """
        LIFECYCLE[self.kind].after(verb, self.status)

    @validates("draft")
    def _count(self, _name: str, draft: Draft) -> Draft:
        """Lists show how much is in the draft without reading it."""
        self.classes, self.enrollments, self.terminations = len(draft.classes), draft.enrolled, draft.terminated
        return draft

    def _move(self, verb: str, at: datetime) -> None:
        self.status = LIFECYCLE[self.kind].after(verb, self.status)
        self.updated_at = at

    def _worked_on(self, by: UUID) -> None:
        if by not in self.worked_on_by:
            self.worked_on_by = [*self.worked_on_by, by]

    def _let_go(self) -> None:
        self.claimed_by = self.claimed_until = None

    def _told_as(self, kind: type[Told], **more: Any) -> Told:
        return kind(
            transaction_id=self.id,
            kind=self.kind,
            status=self.status,
            group_id=self.group_id,
            owner_id=self.owner_id,
            round=len(self.rounds),
            renewal_changes=RenewalChanges(
                renewal_id=self.renewal_id,
                plan_year=self.plan_year,
                effective_date=self.effective_date,
                classes=self.draft.told_classes(),
                enrollments=self.draft.enrolled,
                terminations=self.draft.terminated,
            ),
            **more,
        )
