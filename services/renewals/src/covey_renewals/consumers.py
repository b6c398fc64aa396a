"""What renewals listens to: the groups."""

from covey_chassis.clock import Clock
from covey_chassis.consumer import Consumer
from covey_chassis.db import CLOCK
from covey_chassis.envelope import Envelope
from covey_chassis.errors import Refusal
from covey_contracts.membership import GroupChanged, GroupRegistered, GroupState
from sqlalchemy.ext.asyncio import AsyncSession

from covey_renewals.use_cases.take_group import take_group

groups = Consumer("renewals.groups", since="beginning")


class Unnumbered(Refusal):
    """A fact about a group does not say its place in the group's history."""


@groups.on(GroupRegistered, GroupChanged)
async def on_group(session: AsyncSession, event: GroupState, envelope: Envelope) -> None:
    if envelope.sequence is None:
        raise Unnumbered(event_id=envelope.id)
    clock: Clock = session.info[CLOCK]
    await take_group(session, event, sequence=envelope.sequence, today=await clock.today(session))
