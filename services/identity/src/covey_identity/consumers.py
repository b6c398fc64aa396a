"""What identity listens to: groups, and with them who their broker of record is."""

from covey_chassis.clock import Clock
from covey_chassis.consumer import Consumer
from covey_chassis.db import CLOCK
from covey_chassis.envelope import Envelope
from covey_contracts.membership import GroupChanged, GroupRegistered, GroupState
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.use_cases.take_group import take_group

# A batch holds the ledger from the first broker that changes to its end, and every other change of access waits for it.
groups = Consumer("identity.groups", since="beginning", records_at_once=20)


@groups.on(GroupRegistered, GroupChanged)
async def on_group(session: AsyncSession, event: GroupState, envelope: Envelope) -> None:
    assert envelope.sequence is not None
    clock: Clock = session.info[CLOCK]
    await take_group(session, event, sequence=envelope.sequence, today=await clock.today(session), at=clock.now())
