"""What notifications listens to."""

from collections.abc import Sequence

from covey_chassis.clock import Clock
from covey_chassis.consumer import Arrived, Consumer
from covey_chassis.db import CLOCK
from covey_chassis.envelope import Envelope
from covey_contracts.identity import (
    AccessChanged,
    AccessCodeIssued,
    AccountChanged,
    AccountRegistered,
    AccountState,
    AppointmentChanged,
    MailRequested,
)
from covey_contracts.membership import GroupChanged, GroupRegistered, GroupState
from covey_contracts.renewals import RenewalAvailable
from covey_contracts.transactions import (
    ReviewApproved,
    ReviewDeclined,
    ReviewReturned,
    TransactionState,
    TransactionSubmitted,
    TransactionWithdrawn,
)
from sqlalchemy.ext.asyncio import AsyncSession

from covey_notifications.domain.notification import Occasion
from covey_notifications.use_cases.announce_access import announce_access
from covey_notifications.use_cases.announce_access_code import announce_access_code
from covey_notifications.use_cases.announce_renewal import announce_renewal
from covey_notifications.use_cases.announce_requested_mail import announce_requested_mail
from covey_notifications.use_cases.announce_transaction import announce_transaction
from covey_notifications.use_cases.keep_account import keep_account
from covey_notifications.use_cases.keep_appointment import keep_appointment
from covey_notifications.use_cases.keep_groups import keep_groups

groups = Consumer("notifications.groups", since="beginning")
accounts = Consumer("notifications.accounts", since="beginning")
reactions = Consumer("notifications.reactions", since="now")


@groups.on_many(GroupRegistered, GroupChanged)
async def on_groups(session: AsyncSession, arrived: Sequence[Arrived[GroupState]]) -> None:
    await keep_groups(session, arrived)


@groups.on(AppointmentChanged)
async def on_appointment(session: AsyncSession, event: AppointmentChanged, envelope: Envelope) -> None:
    await keep_appointment(session, event, sequence=envelope.place)


@accounts.on(AccountRegistered, AccountChanged)
async def on_account(session: AsyncSession, event: AccountState, envelope: Envelope) -> None:
    assert envelope.sequence is not None
    await keep_account(session, event, sequence=envelope.sequence)


@reactions.on(RenewalAvailable)
async def on_renewal_available(session: AsyncSession, event: RenewalAvailable, envelope: Envelope) -> None:
    await announce_renewal(session, event, _occasion(session, envelope))


@reactions.on(AccessCodeIssued)
async def on_access_code_issued(session: AsyncSession, event: AccessCodeIssued, envelope: Envelope) -> None:
    await announce_access_code(session, event, _occasion(session, envelope))


@reactions.on(MailRequested)
async def on_mail_requested(session: AsyncSession, event: MailRequested, envelope: Envelope) -> None:
    await announce_requested_mail(session, event, _occasion(session, envelope))


@reactions.on(AccessChanged)
async def on_access_changed(session: AsyncSession, event: AccessChanged, envelope: Envelope) -> None:
    assert envelope.sequence is not None
    await announce_access(session, event, _occasion(session, envelope), sequence=envelope.sequence)


@reactions.on(TransactionSubmitted, TransactionWithdrawn, ReviewReturned, ReviewDeclined, ReviewApproved)
async def on_transaction(session: AsyncSession, event: TransactionState, envelope: Envelope) -> None:
    await announce_transaction(session, event, _occasion(session, envelope))


def _occasion(session: AsyncSession, envelope: Envelope) -> Occasion:
    clock: Clock = session.info[CLOCK]
    return Occasion(event_id=envelope.id, correlation_id=envelope.correlation_id, at=clock.now())
