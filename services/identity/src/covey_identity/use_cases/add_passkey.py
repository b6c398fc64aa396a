"""Somebody's authenticator has made a passkey."""

from collections.abc import Mapping
from typing import Any

from covey_chassis.access import Actor
from covey_chassis.service import Context
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.audit import Author, Entry, audit, refusals_audited
from covey_identity.domain.mail import Purpose
from covey_identity.domain.passkey import (
    PASSKEYS_MAX,
    Passkey,
    PasskeyAlreadyRegistered,
    PasskeyNotGood,
    TooManyPasskeys,
)
from covey_identity.mailing import tell_holder
from covey_identity.passkeys import RelyingParty, adding_to
from covey_identity.queries_accounts import hold_credential, load_account, passkeys_of, use_challenge


async def add_passkey(
    context: Context,
    party: RelyingParty,
    session: AsyncSession,
    actor: Actor,
    name: str,
    credential: Mapping[str, Any],
) -> Passkey:
    """From now on it signs on. Its holder is told.

    Raises:
        PasskeyNotGood: it is not what was asked for; or it was in another session, too long ago, with another password.
        PasskeyAlreadyRegistered: somebody has it.
        TooManyPasskeys: they have enough.
    """
    author, at = Author.of(actor, "own account"), context.clock.now()
    async with refusals_audited(context, "passkey.added", author, session=session):
        account = await load_account(session, actor.account_id)
        made = party.created(credential, adding_to(account, actor), at=at)
        if not await use_challenge(session, made.signed.challenge, expires_at=made.signed.expires_at):
            raise PasskeyNotGood
        if await hold_credential(session, made.credential_id):
            raise PasskeyAlreadyRegistered
        if len(await passkeys_of(session, account.id)) >= PASSKEYS_MAX:
            raise TooManyPasskeys(passkeys=PASSKEYS_MAX)
        passkey = Passkey(
            account_id=account.id,
            name=name,
            credential_id=made.credential_id,
            public_key=made.public_key,
            sign_count=made.sign_count,
            transports=made.transports,
            backup_eligible=made.backup_eligible,
            backed_up=made.backed_up,
            created_at=at,
        )
        session.add(passkey)
        details = {"passkey_id": str(passkey.id)}
        await audit(session, Entry(act="passkey.added", author=author, subjects=[account.id], details=details))
        await tell_holder(session, account, Purpose.PASSKEY_ADDED, seal=context.keyring.seal)
        return passkey
