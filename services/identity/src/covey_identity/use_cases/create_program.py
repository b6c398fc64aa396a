"""Staff let a program sign on."""

from datetime import datetime

from covey_chassis.access import Actor
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.audit import Author, Entry, audit
from covey_identity.domain.account import Account
from covey_identity.domain.bearer_secret import new_secret
from covey_identity.domain.session import AccountSession
from covey_identity.queries_accounts import free_user_id


async def create_program(session: AsyncSession, name: str, actor: Actor, *, at: datetime) -> tuple[Account, str]:
    """An account for a program, with no rights yet, and its secret, which is shown once."""
    secret = new_secret()
    account = Account.program(await free_user_id(session), name, secret, at=at)
    session.add(account)
    await session.flush()
    session.add(AccountSession.stand(account.id, at=at))
    await audit(session, Entry(act="program.created", author=Author.of(actor, "staff"), subjects=[account.id]))
    return account, secret
