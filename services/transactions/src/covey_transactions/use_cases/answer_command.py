"""A program commands a decision: it is authorised when it is read, done once, and always answered."""

from datetime import datetime
from uuid import UUID

from covey_chassis.access import NotYours, StaffRight, check_signed, see_all_groups, see_group
from covey_chassis.access.checking import KeyNotRegistered
from covey_chassis.access.signing import Signed, read_signed
from covey_chassis.acts import Act
from covey_chassis.errors import Refusal
from covey_chassis.outbox import emit_rows
from covey_chassis.recording import is_denial
from covey_contracts.acts import ActAuthority, ActOutcome
from covey_contracts.programs import ReviewDecision
from covey_contracts.transactions import ReviewDecisionAnswered
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from covey_transactions.acts import keep_act
from covey_transactions.domain.command import ProgramCommand, answer_to, check_destination, read_decision
from covey_transactions.domain.decision import Approval, Decision, Decline, Return
from covey_transactions.domain.transaction import Seal, Transaction
from covey_transactions.use_cases.approve_transaction import approve_transaction
from covey_transactions.use_cases.decline_transaction import decline_transaction
from covey_transactions.use_cases.return_transaction import return_transaction

AUDIENCE = "covey-transactions"


async def answer_command(session: AsyncSession, command: ReviewDecision, *, at: datetime, seal: Seal) -> None:
    """Decide the round as the program says, or refuse to; and tell what became of it.

    Raises:
        AccessUnverified: whether it may cannot be verified now. The command waits.
    """
    answer = await _answer(session, command, at=at, seal=seal)
    await emit_rows(session, [(answer, None)])


async def _answer(
    session: AsyncSession, command: ReviewDecision, *, at: datetime, seal: Seal
) -> ReviewDecisionAnswered:
    try:
        signed = read_signed(command.signed, audience=AUDIENCE)
        check_destination(signed, command.transaction_id)
    except Refusal as refusal:
        # Whoever may write to the topic can bring this about: it is no answer to the command that a program has sent.
        return answer_to(command.transaction_id, None, refusal)
    identity = (signed.account_id, signed.key_id, signed.command_id, command.transaction_id)
    known = await session.get(ProgramCommand, identity)
    if known is not None:
        return known.answer
    group_id = await _group_of(session, command.transaction_id)
    objection = await _objection(session, command.transaction_id, group_id, signed, at=at, seal=seal)
    # A key that is not registered shows nothing of whose command it is: anybody can sign in another's name.
    if objection is None or (is_denial(objection) and not isinstance(objection, KeyNotRegistered)):
        await keep_act(session, _act(command.transaction_id, group_id, signed, objection))
    answer = answer_to(command.transaction_id, signed, objection)
    session.add(ProgramCommand(*identity, answer, at))
    return answer


async def _group_of(session: AsyncSession, transaction_id: UUID) -> UUID | None:
    """The group that it is in, which is seen from now on, and none besides."""
    await see_all_groups(session)  # only the transaction says of which group it is
    group_id = await session.scalar(select(Transaction.group_id).where(Transaction.id == transaction_id))
    await see_group(session, group_id)
    return group_id


def _act(transaction_id: UUID, group_id: UUID | None, signed: Signed, denial: Refusal | None) -> Act:
    return Act(
        act="decide",
        changes=True,
        outcome=ActOutcome.REFUSED if denial else ActOutcome.DONE,
        authority=ActAuthority.NONE if denial else ActAuthority.STAFF,
        account_id=signed.account_id,
        session_id=None,
        group_id=group_id,
        about={"transaction_id": transaction_id, "command_id": signed.command_id},
        why=denial.code() if denial else None,
    )


async def _objection(
    session: AsyncSession, transaction_id: UUID, group_id: UUID | None, signed: Signed, *, at: datetime, seal: Seal
) -> Refusal | None:
    """What speaks against the command, of which nothing is left then; None when it is done."""
    try:
        # Outside the savepoint: with it, the locks would go, and a removal would not wait for the answer.
        program = await check_signed(session, signed, group_id)
        if not program.has_staff_right([StaffRight.REVIEW_DECIDE]):
            raise NotYours
        decision = read_decision(signed.claims)
        async with session.begin_nested():
            await _decide(session, transaction_id, decision, by=program.account_id, at=at, seal=seal)
    except Refusal as refusal:
        if refusal.passes_by_itself:
            raise
        return refusal
    return None


async def _decide(
    session: AsyncSession, transaction_id: UUID, decision: Decision, *, by: UUID, at: datetime, seal: Seal
) -> None:
    match decision:
        case Approval():
            await approve_transaction(session, transaction_id, decision, by=by, at=at)
        case Return():
            await return_transaction(session, transaction_id, decision, by=by, at=at, seal=seal)
        case Decline():
            await decline_transaction(session, transaction_id, decision, by=by, at=at, seal=seal)
