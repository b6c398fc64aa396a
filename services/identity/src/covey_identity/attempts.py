"""Attempts at a secret that could be guessed: counted by whose secret it is, with growing pauses after some failures.

An attempt is counted before the secret is looked at, in a transaction of its own: so many at once cannot outrun the count,
and a request that is refused cannot take it back. The pauses are the same whether or not there is such a name. All is in
the database, so that it holds for all instances, and across restarts.
"""

import hashlib
import math

from covey_chassis.errors import Refusal
from covey_chassis.service import Context
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.domain.person_fields import address_key

FREE = 5
"""So many failures have no consequence."""
PAUSE_MAX_S = 300
MOST = 100
"""So many failures in a row, and there are no more attempts until all are forgotten, or cleared by a mailed reset
(NIST SP 800-63B: no more than a hundred)."""
FORGOTTEN_HOURS = 24
"""Failures are forgotten when there was no attempt for so long."""


class TooManyAttempts(Refusal):
    """There were too many attempts: wait before you try again."""

    status = 429

    def __init__(self, *, wait_s: int) -> None:
        super().__init__(wait_s=wait_s)
        self.headers = {"Retry-After": str(wait_s)}  # type: ignore[misc]  # this one's own: it differs each time


def subject_of(name: str) -> bytes:
    """Whose secret it is, as it is stored: not by name."""
    return hashlib.sha256(name.encode()).digest()


async def begin_attempt(context: Context, purpose: str, subject: bytes, *, most: int | None = MOST) -> None:
    """Count an attempt as failed, until ``clear_attempts`` says otherwise. Call it before looking at the secret.

    After ``most`` in a row there are none for a day; None: however many there were. It takes a connection of its own, of
    the workers': requests that each hold one of theirs must not wait for another.

    Raises:
        TooManyAttempts: there were too many; this one does not count.
    """
    async with context.workers.transaction() as session:
        parameters = {"purpose": purpose, "subject": subject}
        counted = await session.scalar(
            _COUNT, parameters | {"free": FREE, "most": most, "pause_max_s": PAUSE_MAX_S, "hours": FORGOTTEN_HOURS}
        )
        # A statement of its own: it may have been counted by somebody else while this one waited.
        wait_s = 0 if counted else float(await session.scalar(_WAIT, parameters) or 0)
    if not counted:
        raise TooManyAttempts(wait_s=max(1, math.ceil(wait_s)))


async def clear_attempts(session: AsyncSession, purpose: str, subject: bytes) -> None:
    """The secret was right: forget the failures, if the transaction commits."""
    await session.execute(
        text("DELETE FROM attempt WHERE purpose = :purpose AND subject = :subject"),
        {"purpose": purpose, "subject": subject},
    )


async def may_write_to(context: Context, purpose: str, email: str) -> bool:
    """Count a mail that a stranger lets us send to this address; False in one of its pauses, when none may be sent.

    Anybody can ask for mail to any address, so an address is written to only so often, or a stranger could fill a mailbox.
    Each purpose has pauses of its own: whoever asks for one kind of mail keeps no other from its reader. They are the same
    whether or not the address has an account, and no answer tells of them. However often a stranger asks, they are short:
    a new password by mail is the way out for whom a stranger's wrong ones keep from signing on.
    """
    try:
        await begin_attempt(context, purpose, subject_of(address_key(email)), most=None)
    except TooManyAttempts:
        return False
    return True


_COUNT = text(
    """
    INSERT INTO attempt AS known (purpose, subject, failures, next_at, last_at)
    VALUES (:purpose, :subject, 1, clock_timestamp(), clock_timestamp())
    ON CONFLICT (purpose, subject) DO UPDATE
       SET failures = CASE WHEN known.last_at > clock_timestamp() - make_interval(hours => :hours)
                           THEN known.failures + 1 ELSE 1 END,
           next_at = clock_timestamp() + CASE
               WHEN known.last_at > clock_timestamp() - make_interval(hours => :hours)
                AND known.failures + 1 >= CAST(:most AS int)
               THEN make_interval(hours => :hours)
               WHEN known.last_at > clock_timestamp() - make_interval(hours => :hours) AND known.failures + 1 >= :free
               THEN make_interval(secs => least(:pause_max_s, 2 ^ least(known.failures + 1 - :free, 30)))
               ELSE interval '0' END,
           last_at = clock_timestamp()
     WHERE known.next_at <= clock_timestamp()
    RETURNING failures
    """
)
_WAIT = text(
    """
    SELECT extract(epoch FROM next_at - clock_timestamp()) FROM attempt WHERE purpose = :purpose AND subject = :subject
    """
)
