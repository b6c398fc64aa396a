"""What renewals listens to: the groups, the firms, which firm serves which group, and the transactions."""

from collections.abc import Sequence

from covey_chassis.clock import Clock
from covey_chassis.consumer import Arrived, Consumer
from covey_chassis.db import CLOCK
from covey_chassis.envelope import Envelope
from covey_contracts.identity import AppointmentChanged, FirmChanged, FirmRegistered, FirmState
from covey_contracts.membership import GroupChanged, GroupRegistered, GroupState
from covey_contracts.transactions import (
    ReviewApproved,
    ReviewClaimed,
    ReviewDeclined,
    ReviewReleased,
    ReviewReturned,
    TransactionOpened,
    TransactionState,
    TransactionSubmitted,
    TransactionWithdrawn,
)
from sqlalchemy.ext.asyncio import AsyncSession

from covey_renewals.use_cases.follow_transaction import follow_transaction
from covey_renewals.use_cases.take_appointment import take_appointment
from covey_renewals.use_cases.take_firm import take_firm
from covey_renewals.use_cases.take_groups import take_groups

groups = Consumer("renewals.groups", since="beginning")
firms = Consumer("renewals.firms", since="beginning")
# One at a time: nothing is waited for while a renewal is held, in whatever order transactions come.
transactions = Consumer("renewals.transactions", since="beginning", records_at_once=1)


@groups.on_many(GroupRegistered, GroupChanged)
async def on_groups(session: AsyncSession, arrived: Sequence[Arrived[GroupState]]) -> None:
    clock: Clock = session.info[CLOCK]
    await take_groups(session, arrived, today=await clock.today(session))


@firms.on(FirmRegistered, FirmChanged)
async def on_firm(session: AsyncSession, event: FirmState, envelope: Envelope) -> None:
    await take_firm(session, event, sequence=envelope.place)


@firms.on(AppointmentChanged)
async def on_appointment(session: AsyncSession, event: AppointmentChanged, envelope: Envelope) -> None:
    await take_appointment(session, event, sequence=envelope.place)


@transactions.on(
    TransactionOpened,
    TransactionSubmitted,
    TransactionWithdrawn,
    ReviewClaimed,
    ReviewReleased,
    ReviewReturned,
    ReviewDeclined,
    ReviewApproved,
)
async def on_transaction(session: AsyncSession, event: TransactionState, envelope: Envelope) -> None:
    await follow_transaction(session, event, sequence=envelope.place)
