"""A program signs on."""

import hmac
from datetime import datetime

from covey_chassis.access import AccountLocked
from covey_chassis.access.tokens import issue
from covey_chassis.errors import Refusal
from joserfc.jwk import OKPKey
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.audit import Author, Entry, audit
from covey_identity.domain.bearer_secret import digest
from covey_identity.domain.session import AccountSession
from covey_identity.queries_accounts import credentials_of, load_account, lock_sessions


class ClientRefused(Refusal):
    """The client ID or the secret is not right."""

    status = 401


async def issue_client_token(session: AsyncSession, client_id: str, secret: str, *, at: datetime, key: OKPKey) -> str:
    """An access token for the program's standing session; a new one stands where the last was ended.

    Until the secret has been compared only the columns for that are read: one statement, for whatever name.

    Raises:
        ClientRefused: there is no such program, or the secret is another one.
        AccountLocked: the secret is right, but the program is locked.
    """
    found = await credentials_of(session, client_id)
    if found is None or not _is(secret, found.secret_sha256):
        raise ClientRefused
    account = await load_account(session, found.account_id)
    if not _is(secret, account.secret_sha256):
        raise ClientRefused  # replaced meanwhile
    if account.locked_at is not None:
        raise AccountLocked
    standing = next(iter(await lock_sessions(session, account.id, at=at)), None)
    if standing is None:
        standing = AccountSession.stand(account.id, at=at)
        session.add(standing)
    standing.used_at = at
    author = Author("program's secret", account.id, standing.id)
    await audit(session, Entry(act="program.signed-on", author=author, subjects=[account.id]))
    return issue(key, account.id, standing.id, now=int(at.timestamp()))


def _is(secret: str, stored: bytes | None) -> bool:
    return hmac.compare_digest(stored or b"", digest(secret))
