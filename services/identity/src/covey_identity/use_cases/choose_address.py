"""Somebody says at which of their addresses they are written to."""

from covey_chassis.access import Actor
from covey_chassis.outbox import emit, emit_rows
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.audit import Author, Entry, audit
from covey_identity.confirming import Confirmed, check_confirmed
from covey_identity.domain.account import Account
from covey_identity.domain.mail import Purpose, Seal, mail


async def choose_address(
    session: AsyncSession, actor: Actor, email: str, confirmed: Confirmed, *, seal: Seal
) -> Account:
    """Make it the main one; they are told at the former one.

    Raises:
        PasswordWrong: it was changed while it was confirmed.
        AddressNotFound: they have not proven it.
    """
    account = await check_confirmed(session, actor, confirmed)
    await write_to(session, account, email, seal=seal)
    await audit(session, Entry(act="address.chosen", author=Author.of(actor, "own account"), subjects=[account.id]))
    return account


async def write_to(session: AsyncSession, account: Account, email: str, *, seal: Seal) -> None:
    """The same, of an account that is locked. Nothing happens if it is the main address already.

    Whoever calls it has asked for the password: from now on the address recovers the account.
    """
    former, chosen = account.main_address, account.proven_address(email)
    if chosen is former:
        return
    former.is_primary = False
    await session.flush()  # before the other: an account has one at any moment, and the database sees to it
    chosen.is_primary = chosen.recovers = True
    emit(session, account, account.state(seal=seal))
    await emit_rows(session, [(mail(Purpose.ADDRESS_CHANGED, account.addressee(former.email), seal), None)])
