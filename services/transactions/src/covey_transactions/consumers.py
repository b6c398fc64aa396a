"""What transactions listens to: the groups, with what they offer, and how each group's coming plan year stands."""

from covey_chassis.consumer import Consumer
from covey_chassis.envelope import Envelope
from covey_contracts.membership import GroupChanged, GroupRegistered, GroupState
from covey_contracts.renewals import RenewalAvailable, RenewalChanged, RenewalState
from sqlalchemy.ext.asyncio import AsyncSession

from covey_transactions.use_cases.keep_group import keep_group
from covey_transactions.use_cases.keep_renewal import keep_renewal

groups = Consumer("transactions.groups", since="beginning")
renewals = Consumer("transactions.renewals", since="beginning")


@groups.on(GroupRegistered, GroupChanged)
async def on_group(session: AsyncSession, event: GroupState, envelope: Envelope) -> None:
    await keep_group(session, event, sequence=envelope.place)


@renewals.on(RenewalAvailable, RenewalChanged)
async def on_renewal(session: AsyncSession, event: RenewalState, envelope: Envelope) -> None:
    await keep_renewal(session, event, sequence=envelope.place)
