"""Somebody asks for an account."""

from datetime import datetime

from covey_chassis.outbox import emit_rows
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.domain.account import Seal
from covey_identity.domain.registration import NewRegistration, Registration
from covey_identity.queries_accounts import holder_of_address, keep_registration


async def register(session: AsyncSession, new: NewRegistration, *, at: datetime, hours: int, seal: Seal) -> None:
    """Keep what they ask for, and write to the address. Nothing here tells whether it has an account already."""
    holder = await holder_of_address(session, new.email)
    registration, mail = Registration.ask(new, holder, at=at, hours=hours, seal=seal)
    await keep_registration(session, registration)
    await emit_rows(session, [(mail, None)])
