"""A session's token is turned into an access token."""

from datetime import datetime, timedelta
from typing import NamedTuple

from covey_chassis.access import SignOnNeeded
from covey_chassis.access.tokens import issue
from joserfc.jwk import OKPKey
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.domain.bearer_secret import digest


class Issued(NamedTuple):
    """An access token, and when its session is over unless it is used again."""

    token: str
    idle_ends_at: datetime
    expires_at: datetime


async def issue_token(
    session: AsyncSession, session_token: str, *, at: datetime, idle_minutes: int, key: OKPKey, in_background: bool
) -> Issued:
    """An access token for the session, which counts as used unless it is for something in the background.

    Raises:
        SignOnNeeded: there is no such session, it has ended or was idle too long, or the account is locked.
    """
    idle = timedelta(minutes=idle_minutes)
    named = {"digest": digest(session_token), "at": at, "idle_since": at - idle, "in_background": in_background}
    row = (await session.execute(_USE, named)).one_or_none()
    if row is None:
        raise SignOnNeeded
    token = issue(key, row.account_id, row.id, now=int(at.timestamp()))
    return Issued(token, min(row.used_at + idle, row.expires_at), row.expires_at)


_USE = text(
    """
    UPDATE account_session AS used
       SET used_at = CASE WHEN :in_background THEN used_at ELSE greatest(used_at, :at) END
      FROM account
     WHERE used.token_sha256 = :digest AND used.ended_at IS NULL AND used.expires_at > :at
       AND used.used_at > :idle_since AND account.id = used.account_id AND account.locked_at IS NULL
    RETURNING used.id, used.account_id, used.used_at, used.expires_at
    """
)
