"""What identity listens to: groups, with them who their broker of record is; and what is done in other services."""

from collections.abc import Sequence

from covey_chassis.clock import Clock
from covey_chassis.consumer import Arrived, Consumer
from covey_chassis.db import CLOCK, KEYRING
from covey_chassis.envelope import Envelope
from covey_chassis.sealing import Keyring
from covey_contracts.acts import ActRecorded
from covey_contracts.membership import GroupChanged, GroupRegistered, GroupState, MembershipActRecorded
from covey_contracts.notifications import NotificationsActRecorded
from covey_contracts.renewals import RenewalsActRecorded
from covey_contracts.transactions import TransactionsActRecorded
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.acts import take_act
from covey_identity.use_cases.take_groups import take_groups

# A batch holds the ledger from the first broker that changes to its end, and every other change of access waits for it.
groups = Consumer("identity.groups", since="beginning", records_at_once=20)
acts = Consumer("identity.acts", since="beginning")


@groups.on_many(GroupRegistered, GroupChanged)
async def on_groups(session: AsyncSession, arrived: Sequence[Arrived[GroupState]]) -> None:
    clock: Clock = session.info[CLOCK]
    await take_groups(session, arrived, today=await clock.today(session), at=clock.now())


@acts.on(MembershipActRecorded, TransactionsActRecorded, RenewalsActRecorded, NotificationsActRecorded)
async def on_act(session: AsyncSession, told: ActRecorded, envelope: Envelope) -> None:
    keyring: Keyring = session.info[KEYRING]
    await take_act(session, told, keyring, at=envelope.time)
