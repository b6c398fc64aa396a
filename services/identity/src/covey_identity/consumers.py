"""What identity listens to: groups, and with them who their broker of record is."""

from collections.abc import Sequence

from covey_chassis.clock import Clock
from covey_chassis.consumer import Arrived, Consumer
from covey_chassis.db import CLOCK
from covey_contracts.membership import GroupChanged, GroupRegistered, GroupState
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.use_cases.take_groups import take_groups

# A batch holds the ledger from the first broker that changes to its end, and every other change of access waits for it.
groups = Consumer("identity.groups", since="beginning", records_at_once=20)


@groups.on_many(GroupRegistered, GroupChanged)
async def on_groups(session: AsyncSession, arrived: Sequence[Arrived[GroupState]]) -> None:
    clock: Clock = session.info[CLOCK]
    await take_groups(session, arrived, today=await clock.today(session), at=clock.now())
