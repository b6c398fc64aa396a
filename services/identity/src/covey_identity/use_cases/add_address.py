"""Somebody wants to be written to at another address."""

from covey_chassis.access import Actor
from covey_chassis.outbox import emit_rows
from covey_chassis.service import Context
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.attempts import may_write_to
from covey_identity.audit import Author, Entry, audit
from covey_identity.confirming import Confirmed, check_confirmed
from covey_identity.domain.account import AddressAlreadyYours
from covey_identity.domain.mailed_token import MailedToken
from covey_identity.queries_accounts import holder_of_address

PURPOSE = "new-address"


async def add_address(
    context: Context, session: AsyncSession, actor: Actor, email: str, confirmed: Confirmed, *, hours: int
) -> None:
    """Write to the address: a token to prove it with or, if it is somebody else's, to them. Nothing here tells which.

    Raises:
        PasswordWrong: it was changed while it was confirmed.
        AddressAlreadyYours: it is one of their own.
    """
    may_write = await may_write_to(context, PURPOSE, email)  # another connection: before anything is locked
    account = await check_confirmed(session, actor, confirmed)
    await audit(session, Entry(act="address.asked-for", author=Author.of(actor, "own account"), subjects=[account.id]))
    owner = await holder_of_address(session, email)
    if owner is not None and owner.account_id == account.id:
        raise AddressAlreadyYours
    if not may_write:
        return
    token, mail = MailedToken.add_address(
        account, email, owner, at=context.clock.now(), hours=hours, seal=context.keyring.seal
    )
    session.add(token)
    await emit_rows(session, [(mail, None)])
