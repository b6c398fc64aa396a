"""A session's token is turned into an access token."""

from datetime import datetime, timedelta

from covey_chassis.access import SignOnNeeded
from covey_chassis.access.tokens import issue
from joserfc.jwk import OKPKey
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.domain.bearer_secret import digest


async def issue_token(
    session: AsyncSession, session_token: str, *, at: datetime, idle_minutes: int, key: OKPKey
) -> str:
    """An access token for the session, which counts as used.

    Raises:
        SignOnNeeded: there is no such session, it has ended or was idle too long, or the account is locked.
    """
    used = await session.execute(
        _USE, {"digest": digest(session_token), "at": at, "idle_since": at - timedelta(minutes=idle_minutes)}
    )
    row = used.one_or_none()
    if row is None:
        raise SignOnNeeded
    return issue(key, row.account_id, row.id, now=int(at.timestamp()))


_USE = text(
    """
    UPDATE account_session AS used SET used_at = greatest(used_at, :at)
      FROM account
     WHERE used.token_sha256 = :digest AND used.ended_at IS NULL AND used.expires_at > :at
       AND used.used_at > :idle_since AND account.id = used.account_id AND account.locked_at IS NULL
    RETURNING used.id, used.account_id
    """
)
