"""What transactions listens to: the groups, with what they offer, and how each group's coming plan year stands."""

from collections.abc import Sequence

from covey_chassis.consumer import Arrived, Consumer
from covey_chassis.envelope import Envelope
from covey_contracts.membership import GroupChanged, GroupRegistered, GroupState
from covey_contracts.renewals import RenewalAvailable, RenewalChanged, RenewalState
from sqlalchemy.ext.asyncio import AsyncSession

from covey_transactions.use_cases.keep_groups import keep_groups
from covey_transactions.use_cases.keep_renewal import keep_renewal

groups = Consumer("transactions.groups", since="beginning")
renewals = Consumer("transactions.renewals", since="beginning")


@groups.on_many(GroupRegistered, GroupChanged)
async def on_groups(session: AsyncSession, arrived: Sequence[Arrived[GroupState]]) -> None:
    await keep_groups(session, arrived)


@renewals.on(RenewalAvailable, RenewalChanged)
async def on_renewal(session: AsyncSession, event: RenewalState, envelope: Envelope) -> None:
    await keep_renewal(session, event, sequence=envelope.place)
