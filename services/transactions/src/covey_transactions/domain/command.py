"""A program's command to decide a round: what its claims say, and what was answered.

A command is known by who signed it, with which key, its ID, and its transaction. So nobody else can bring an answer upon it
beforehand, and whoever brings it again, signed as it was, gets the answer that it got.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from covey_chassis.access import KeyNotRegistered
from covey_chassis.access.signing import Signed
from covey_chassis.db import Base
from covey_chassis.errors import FieldError, Invalid, Refusal
from covey_contracts.transactions import ReviewDecisionAnswered, ReviewDecisionOutcome
from pydantic import ValidationError
from sqlalchemy.orm import Mapped, mapped_column

from covey_transactions.domain.columns import AsJson
from covey_transactions.domain.decision import Approval, Decision, Decline, Return

DECISIONS: Mapping[str, type[Decision]] = {"approve": Approval, "return": Return, "decline": Decline}
OF_EVERY_COMMAND = frozenset({"iss", "aud", "iat", "jti", "transaction_id", "decision"})

_TELLING = frozenset(
    {"missing", "int_type", "greater_than_equal", "less_than_equal", "string_type", "too_long"}
    | {"controls", "blank", "length"}
)
"""Faults whose sentence is made of the rule alone. Others may quote what they refuse."""


class CommandNotReadable(Invalid):
    """The command's claims are not what a decision needs."""


def check_destination(signed: Signed, transaction_id: UUID) -> None:
    """Let a command pass only if it is about the transaction that it was brought for.

    Raises:
        CommandNotReadable: it is about another one, or says none.
    """
    try:
        about = UUID(str(signed.claims.get("transaction_id")))
    except ValueError:
        about = None
    if about != transaction_id:
        raise CommandNotReadable(FieldError("/transaction_id", "must be that of the message that brings the command"))


def read_decision(claims: Mapping[str, object]) -> Decision:
    """What the command decides.

    Raises:
        CommandNotReadable: with every bad field, and never its value.
    """
    kind = DECISIONS.get(str(claims.get("decision")))
    if kind is None:
        raise CommandNotReadable(FieldError("/decision", f"must be one of {', '.join(DECISIONS)}"))
    try:
        return kind.model_validate({name: said for name, said in claims.items() if name not in OF_EVERY_COMMAND})
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        known = [each for each in found if each["type"] != "extra_forbidden"]
        faults = [
            FieldError("".join(f"/{part}" for part in each["loc"]), _sentence(each["type"], each["msg"]))
            for each in known
        ]
        if len(known) < len(found):
            # A condition that is passed over would be a decision that nobody made. Names of claims are words, too.
            faults.append(FieldError("", "must have no claims but those of its decision"))
        raise CommandNotReadable(*faults) from None


def _sentence(rule: str, sentence: str) -> str:
    return sentence if rule in _TELLING else "is not what it must be"


class ProgramCommand(Base):
    """What a command was answered. Kept for good: a signature does not lapse."""

    __tablename__ = "program_command"

    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    key_id: Mapped[UUID] = mapped_column(primary_key=True)
    command_id: Mapped[UUID] = mapped_column(primary_key=True)
    transaction_id: Mapped[UUID] = mapped_column(primary_key=True)
    answer: Mapped[ReviewDecisionAnswered] = mapped_column(AsJson(ReviewDecisionAnswered))
    answered_at: Mapped[datetime]


def answer_to(transaction_id: UUID, signed: Signed | None, refusal: Refusal | None) -> ReviewDecisionAnswered:
    """What became of a command, for whoever sent it: decided, unless it was refused.

    It names the program only where nobody else can have sent the command.
    """
    certain = signed is not None and not isinstance(refusal, KeyNotRegistered)
    return ReviewDecisionAnswered(
        transaction_id=transaction_id,
        command_id=signed and signed.command_id,
        account_id=signed.account_id if signed and certain else None,
        outcome=ReviewDecisionOutcome.REFUSED if refusal else ReviewDecisionOutcome.DECIDED,
        refusal=refusal.code() if refusal else None,
        sentence=_sentence_of(refusal) if refusal else None,
    )


def _sentence_of(refusal: Refusal) -> str:
    return str(refusal) if isinstance(refusal, CommandNotReadable) else refusal.sentence()
