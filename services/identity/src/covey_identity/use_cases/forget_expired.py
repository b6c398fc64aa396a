"""What is of no use any more is forgotten: registrations and mailed tokens that came to nothing, old attempts, sessions
long over.
"""

from covey_chassis.service import Context
from sqlalchemy import text

from covey_identity.attempts import FORGOTTEN_HOURS

PAGE = 1000
SESSION_DAYS = 30
"""So long a session can still be told of after it is over."""

_FORGET = (
    """
    DELETE FROM registration WHERE token_sha256 IN (
        SELECT token_sha256 FROM registration WHERE expires_at < clock_timestamp()
         LIMIT :page FOR UPDATE SKIP LOCKED)
    """,
    """
    DELETE FROM mailed_token WHERE token_sha256 IN (
        SELECT token_sha256 FROM mailed_token WHERE expires_at < clock_timestamp()
         LIMIT :page FOR UPDATE SKIP LOCKED)
    """,
    """
    DELETE FROM sign_on_challenge WHERE token_sha256 IN (
        SELECT token_sha256 FROM sign_on_challenge WHERE expires_at < clock_timestamp()
         LIMIT :page FOR UPDATE SKIP LOCKED)
    """,
    """
    DELETE FROM passkey_challenge_used WHERE challenge_sha256 IN (
        SELECT challenge_sha256 FROM passkey_challenge_used
         WHERE expires_at < clock_timestamp() - make_interval(hours => :hours)
         LIMIT :page FOR UPDATE SKIP LOCKED)
    """,
    """
    DELETE FROM attempt WHERE (purpose, subject) IN (
        SELECT purpose, subject FROM attempt WHERE last_at < clock_timestamp() - make_interval(hours => :hours)
         LIMIT :page FOR UPDATE SKIP LOCKED)
    """,
    """
    DELETE FROM account_session WHERE id IN (
        SELECT id FROM account_session
         WHERE coalesce(ended_at, expires_at) < clock_timestamp() - make_interval(days => :days)
         LIMIT :page FOR UPDATE SKIP LOCKED)
    """,
)


async def forget_expired(context: Context) -> bool:
    """Forget a page of each; whether more may be due at once."""
    more = False
    for statement in _FORGET:
        named = {"page": PAGE, "hours": FORGOTTEN_HOURS, "days": SESSION_DAYS}
        async with context.workers.transaction() as session:
            given = {name: value for name, value in named.items() if f":{name}" in statement}
            forgotten = await session.execute(text(f"{statement} RETURNING 1"), given)
            more = len(forgotten.all()) == PAGE or more
    return more
