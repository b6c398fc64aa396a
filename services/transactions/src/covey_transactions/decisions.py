"""Decisions by program: commands from Kafka, each done for the program that has signed it, and answered."""

from covey_chassis.clock import Clock
from covey_chassis.consumer import Consumer
from covey_chassis.db import CLOCK, KEYRING
from covey_chassis.envelope import Envelope
from covey_chassis.sealing import Keyring
from covey_contracts.programs import ReviewDecision
from sqlalchemy.ext.asyncio import AsyncSession

from covey_transactions.use_cases.answer_command import answer_command

decisions = Consumer("transactions.decisions", since="beginning", acting=True)


@decisions.on(ReviewDecision)
async def on_decision(session: AsyncSession, event: ReviewDecision, envelope: Envelope) -> None:
    clock: Clock = session.info[CLOCK]
    keyring: Keyring = session.info[KEYRING]
    await answer_command(session, event, at=clock.now(), seal=keyring.seal)
