"""Somebody wants to add a passkey."""

from covey_chassis.access import Actor
from covey_chassis.service import Context
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.audit import Author, Entry, audit, refusals_audited
from covey_identity.confirming import Confirmed, check_confirmed
from covey_identity.domain.passkey import PASSKEYS_MAX, TooManyPasskeys, new_handle
from covey_identity.passkeys import Asked, RelyingParty, adding_to
from covey_identity.queries_accounts import passkeys_of


async def begin_passkey(
    context: Context, party: RelyingParty, session: AsyncSession, actor: Actor, confirmed: Confirmed
) -> Asked:
    """What their browser makes one of. All of an account's are made under one handle, which is drawn the first time.

    Raises:
        PasswordWrong: it was changed while it was confirmed.
        TooManyPasskeys: they have enough.
    """
    author = Author.of(actor, "own account")
    async with refusals_audited(context, "passkey.begun", author, session=session):
        account = await check_confirmed(session, actor, confirmed)
        known = await passkeys_of(session, account.id)
        if len(known) >= PASSKEYS_MAX:
            raise TooManyPasskeys(passkeys=PASSKEYS_MAX)
        account.passkey_handle = handle = account.passkey_handle or new_handle()
        await audit(session, Entry(act="passkey.begun", author=author, subjects=[account.id]))
        return party.ask_to_create(account, handle, known, adding_to(account, actor), at=context.clock.now())
