"""Staff replace a program's secret."""

from datetime import datetime
from uuid import UUID

from covey_chassis.access import Actor
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.audit import Author
from covey_identity.domain.account import Account
from covey_identity.domain.bearer_secret import new_secret
from covey_identity.domain.session import AccountSession
from covey_identity.ledger import lock_ledger
from covey_identity.queries_accounts import find_program
from covey_identity.use_cases.end_session import end_sessions


async def replace_program_secret(
    session: AsyncSession, account_id: UUID, actor: Actor, *, at: datetime
) -> tuple[Account, str]:
    """A new secret, which is shown once.

    The sessions of the old one end with the commit, so that it gives no more access tokens. Those that were had with it
    are of no use in a service from the moment when it knows that: within moments, and after about 8 seconds at most.

    Raises:
        ProgramNotFound: no program has this ID.
    """
    ledger = await lock_ledger(session)
    account = await find_program(session, account_id, lock=True)
    secret = new_secret()
    account.replace_secret(secret)
    ended = await end_sessions(session, account_id, at=at)
    await ledger.record("program.secret-replaced", Author.of(actor, "staff"), ended, about=account_id)
    await session.flush()
    session.add(AccountSession.stand(account_id, at=at))
    return account, secret
