"""Somebody asks for an account.

Anybody can ask for any address, so asking takes nothing away from whoever else asked for it: each registration waits by
itself, with a token of its own. And an address is written to only so often (``attempts.may_write_to``).
"""

from covey_chassis.outbox import emit_rows
from covey_chassis.service import Context
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.attempts import may_write_to
from covey_identity.domain.registration import NewRegistration, Registration
from covey_identity.queries_accounts import holder_of_address

PURPOSE = "registration"


async def register(context: Context, session: AsyncSession, new: NewRegistration, *, hours: int) -> None:
    """Keep what they ask for, and write to the address; during one of its pauses do neither, and do not say so.

    Nothing here tells whether the address has an account already.
    """
    if not await may_write_to(context, PURPOSE, new.email):
        return
    holder = await holder_of_address(session, new.email)
    registration, mail = Registration.ask(new, holder, at=context.clock.now(), hours=hours, seal=context.keyring.seal)
    session.add(registration)
    await emit_rows(session, [(mail, None)])
