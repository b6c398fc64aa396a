"""A person signs on with a passkey."""

from collections.abc import Mapping
from typing import Any

from covey_chassis.access import AccountLocked
from covey_chassis.service import Context
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.audit import Author, Entry, audit, refusals_audited
from covey_identity.domain.bearer_secret import new_secret
from covey_identity.domain.passkey import Passkey, PasskeyRefused
from covey_identity.domain.session import AccountSession
from covey_identity.passkeys import RelyingParty
from covey_identity.queries_accounts import load_account, passkey_shown, use_challenge
from covey_identity.settings import Settings


async def sign_on_by_passkey(
    context: Context, settings: Settings, party: RelyingParty, session: AsyncSession, credential: Mapping[str, Any]
) -> tuple[AccountSession, str]:
    """A new session, and its token, which is shown once. No second factor is asked for: a passkey is two.

    What is refused looks the same to whoever has no passkey's private key. Nothing is counted: no signature is guessed.

    Raises:
        PasskeyRefused: nobody has it, its holder's key has not signed this challenge for the portal, or it was used.
        AccountLocked: it is good, but the account is locked.
        PasskeyCopied: it has counted fewer signatures than before.
    """
    at = context.clock.now()
    async with refusals_audited(context, "sign-on.passkey", session=session) as about:
        shown = party.shown(credential, at=at)
        found = await passkey_shown(session, shown.credential_id, shown.user_handle)
        if found is None:
            raise PasskeyRefused
        about.account_id = found.account_id
        used = party.used(credential, shown.signed, found.public_key)

        account = await load_account(session, found.account_id)
        passkey = await session.get(Passkey, found.id, populate_existing=True)
        if passkey is None:
            raise PasskeyRefused  # removed while it was verified
        if account.locked_at is not None:
            raise AccountLocked
        passkey.use(used.sign_count, backup_eligible=used.backup_eligible, backed_up=used.backed_up, at=at)
        if not await use_challenge(session, shown.signed.challenge, expires_at=shown.signed.expires_at):
            raise PasskeyRefused
        token = new_secret()
        started = AccountSession.start(account.id, token, at=at, hours=settings.session_hours)
        session.add(started)
        author, details = Author("passkey", account.id, started.id), {"passkey_id": str(passkey.id)}
        await audit(session, Entry(act="sign-on", author=author, subjects=[account.id], details=details))
        return started, token
