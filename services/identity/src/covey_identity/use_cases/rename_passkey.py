"""Somebody calls a passkey of theirs by another name."""

from uuid import UUID

from covey_chassis.access import Actor
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.audit import Author, Entry, audit
from covey_identity.domain.passkey import Passkey
from covey_identity.queries_accounts import load_account, load_passkey


async def rename_passkey(session: AsyncSession, actor: Actor, passkey_id: UUID, name: str) -> Passkey:
    """Only its holder reads it.

    Raises:
        PasskeyNotFound: they have no passkey with this ID.
    """
    account = await load_account(session, actor.account_id)
    passkey = await load_passkey(session, account.id, passkey_id)
    passkey.name = name
    author, details = Author.of(actor, "own account"), {"passkey_id": str(passkey.id)}
    await audit(session, Entry(act="passkey.renamed", author=author, subjects=[account.id], details=details))
    return passkey
