"""What membership listens to: what the carrier has approved."""

from covey_chassis.consumer import Consumer
from covey_chassis.db import KEYRING
from covey_chassis.envelope import Envelope
from covey_chassis.sealing import Keyring
from covey_contracts.transactions import ReviewApproved
from sqlalchemy.ext.asyncio import AsyncSession

from covey_membership.use_cases.take_approved_changes import take_approved_changes

# One at a time: nothing is waited for while a group is held, in whatever order approvals come.
approvals = Consumer("membership.approvals", since="beginning", records_at_once=1)


@approvals.on(ReviewApproved)
async def on_review_approved(session: AsyncSession, event: ReviewApproved, _envelope: Envelope) -> None:
    keyring: Keyring = session.info[KEYRING]
    await take_approved_changes(session, event, seal=keyring.seal)
