"""Somebody says that an address is theirs no longer."""

from covey_chassis.access import Actor
from covey_chassis.outbox import emit, emit_rows
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.audit import Author, Entry, audit
from covey_identity.confirming import Confirmed, check_confirmed
from covey_identity.domain.account import Account
from covey_identity.domain.mail import Addressee, Purpose, Seal, mail
from covey_identity.domain.mailed_token import TokenUse
from covey_identity.queries_accounts import forget_mailed_tokens


async def drop_address(session: AsyncSession, actor: Actor, email: str, confirmed: Confirmed, *, seal: Seal) -> Account:
    """Whoever reads its mail can do nothing with the account any more: no token that was sent to it is good.

    What was given to them by this address stays theirs. The address is told that it was taken out.

    Raises:
        PasswordWrong: it was changed while it was confirmed.
        AddressNotFound: it is not theirs.
        MainAddressStays: they are written to at it.
    """
    account = await check_confirmed(session, actor, confirmed)
    dropped = account.proven_address(email).email
    emit(session, account, account.drop_address(email, seal=seal))
    await audit(session, Entry(act="address.dropped", author=Author.of(actor, "own account"), subjects=[account.id]))
    await forget_mailed_tokens(session, account.id, TokenUse.RESET_PASSWORD, email=dropped)
    # Whoever reads that mailbox may be a stranger by now: nothing of the account is told there.
    told = mail(Purpose.ADDRESS_REMOVED, Addressee(dropped, account.language), seal)
    await emit_rows(session, [(told, None)])
    return account
