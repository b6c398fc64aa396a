"""What notifications listens to."""

from covey_chassis.clock import Clock
from covey_chassis.consumer import Consumer
from covey_chassis.db import CLOCK
from covey_chassis.envelope import Envelope
from covey_contracts.membership import GroupChanged, GroupRegistered, GroupState
from covey_contracts.renewals import RenewalAvailable
from sqlalchemy.ext.asyncio import AsyncSession

from covey_notifications.use_cases.announce_renewal import announce_renewal
from covey_notifications.use_cases.keep_group import keep_group

groups = Consumer("notifications.groups", since="beginning")
reactions = Consumer("notifications.reactions", since="now")


@groups.on(GroupRegistered, GroupChanged)
async def on_group(session: AsyncSession, event: GroupState, envelope: Envelope) -> None:
    assert envelope.sequence is not None
    await keep_group(session, event, sequence=envelope.sequence)


@reactions.on(RenewalAvailable)
async def on_renewal_available(session: AsyncSession, event: RenewalAvailable, envelope: Envelope) -> None:
    clock: Clock = session.info[CLOCK]
    await announce_renewal(session, event, event_id=envelope.id, correlation_id=envelope.correlation_id, at=clock.now())
