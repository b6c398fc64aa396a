"""Access codes (R-02): what they look like, and the life of one."""

import hmac
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from covey_chassis.db import Aggregate, Base, by_value
from covey_chassis.errors import Refusal
from covey_chassis.ids import new_id
from covey_chassis.lifecycle import Lifecycle
from sqlalchemy.orm import Mapped, mapped_column

from covey_identity.domain import crockford

LENGTH = 16
"""Characters of Crockford's base32: 80 random bits."""
VALID_FOR = timedelta(hours=168)
BUCKET_BITS = 20


class CodeStatus(StrEnum):
    """Where a code stands. One that has expired is still issued: time alone tells."""

    ISSUED = "issued"
    REDEEMED = "redeemed"
    REPLACED = "replaced"
    VOIDED = "voided"


LIFECYCLE = Lifecycle[CodeStatus](
    redeem={CodeStatus.ISSUED: CodeStatus.REDEEMED},
    replace={CodeStatus.ISSUED: CodeStatus.REPLACED},
    void={CodeStatus.ISSUED: CodeStatus.VOIDED},
)


class CodeNotGood(Refusal):
    """This access code is not good. Check what you typed, or ask whoever sent it to you for a new one."""

    status = 422


class CodeExpired(Refusal):
    """This access code has expired: a code is good for 168 hours."""

    status = 422


class CodeUsed(Refusal):
    """This access code has been used already: a code is good once."""

    status = 422


class CodeReplaced(Refusal):
    """A newer access code has been sent to you: use that one."""

    status = 422


class AccessCode(Aggregate, Base, kw_only=True):
    """One code, of which only the hash is kept."""

    __tablename__ = "access_code"

    id: Mapped[UUID] = mapped_column(primary_key=True, default_factory=new_id)
    grant_id: Mapped[UUID]
    status: Mapped[CodeStatus] = mapped_column(
        by_value(CodeStatus),
        default=CodeStatus.ISSUED,
    )
    bucket: Mapped[int]
    hash: Mapped[str] = mapped_column(repr=False)
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(init=False)

    def __post_init__(self) -> None:
        self.expires_at = self.issued_at + VALID_FOR

    def has_expired(self, now: datetime) -> bool:
        """Good for 168 hours to the second: not any more when they are over."""
        return now >= self.expires_at

    def redeem(self, *, now: datetime) -> None:
        """Use it.

        Raises:
            CodeUsed, CodeReplaced, CodeExpired: which of them it is.
            CodeNotGood: its grant was removed.
        """
        match self.status:
            case CodeStatus.REDEEMED:
                raise CodeUsed
            case CodeStatus.REPLACED:
                raise CodeReplaced
            case CodeStatus.VOIDED:
                raise CodeNotGood
        if self.has_expired(now):
            raise CodeExpired
        self.status = LIFECYCLE.after("redeem", self.status)

    def replace(self) -> None:
        """A newer one takes its place."""
        self.status = LIFECYCLE.after("replace", self.status)

    def void(self) -> None:
        """What it would have given is not there any more."""
        self.status = LIFECYCLE.after("void", self.status)


def draw() -> str:
    """A new code."""
    return crockford.draw(LENGTH)


def as_typed(text: str) -> str | None:
    """The code that somebody typed; None when it cannot be one."""
    return crockford.as_typed(text, LENGTH)


def bucket(code: str, secret: str) -> int:
    """Which of a million drawers the code's hash is in: it can be looked up, and whoever has the drawer knows no code."""
    return int.from_bytes(hmac.digest(secret.encode(), code.encode(), "sha256")[:4]) >> (32 - BUCKET_BITS)
