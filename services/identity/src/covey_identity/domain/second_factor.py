"""A second factor: an app that shows another six digits every half a minute, and recovery codes for when it is lost.

The digits are RFC 6238's with what every app knows: SHA-1, 30 seconds, six digits.
"""

import hmac
from datetime import datetime
from typing import ClassVar, Self
from uuid import UUID

import pyotp
from covey_chassis.db import Base
from covey_chassis.errors import Refusal
from covey_contracts import SealedBody
from sqlalchemy import BigInteger, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from covey_identity.domain import crockford
from covey_identity.domain.bearer_secret import digest
from covey_identity.domain.mail import Seal

STEP_S = 30
DRIFT_STEPS = 1
"""An app's clock may be behind or ahead by so many steps (RFC 6238, 5.2)."""
RECOVERY_CODES = 10
RECOVERY_LENGTH = 24
"""120 random bits each: so many need no slow hash (OWASP ASVS 5.0, 6.5.2)."""


class SecondFactorOn(Refusal):
    """A second factor is set up already: turn it off first."""


class SecondFactorOff(Refusal):
    """No second factor is set up."""


class FactorSecret(SealedBody):
    """What an app and identity share, as identity keeps it. Whose it is stands in it: it is of use in no other row."""

    sealed_for: ClassVar[str] = "identity"

    account_id: UUID
    secret: str


class SecondFactor(Base, kw_only=True):
    """An account's app. It is asked for from the moment on when its holder has shown that it works."""

    __tablename__ = "second_factor"

    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"), primary_key=True)
    sealed_secret: Mapped[str] = mapped_column(repr=False)
    begun_at: Mapped[datetime]
    on_since: Mapped[datetime | None] = mapped_column(default=None)
    last_step: Mapped[int | None] = mapped_column(BigInteger, default=None)

    @classmethod
    def begin(cls, account_id: UUID, *, at: datetime, seal: Seal) -> tuple[Self, str]:
        """A new one that is not on yet, and its secret, which is shown once."""
        secret = pyotp.random_base32()
        sealed = seal(FactorSecret(account_id=account_id, secret=secret))
        return cls(account_id=account_id, sealed_secret=sealed, begun_at=at), secret

    def accepts(self, digits: str, secret: FactorSecret, *, at: datetime) -> bool:
        """Whether the app shows these digits now. Digits are good once, and those before them are not any more."""
        if secret.account_id != self.account_id:
            return False
        app, now = pyotp.TOTP(secret.secret, interval=STEP_S), int(at.timestamp()) // STEP_S
        for step in range(now - DRIFT_STEPS, now + DRIFT_STEPS + 1):
            is_later = self.last_step is None or step > self.last_step
            if is_later and hmac.compare_digest(app.generate_otp(step).encode(), digits.encode()):
                self.last_step = step
                return True
        return False


class RecoveryCode(Base, kw_only=True):
    """One of the codes that take the app's place, each once."""

    __tablename__ = "recovery_code"

    code_sha256: Mapped[bytes] = mapped_column(primary_key=True, repr=False)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"))
    used_at: Mapped[datetime | None] = mapped_column(default=None)

    @classmethod
    def draw_all(cls, account_id: UUID) -> tuple[list[Self], list[str]]:
        """A set of them, and how they are shown, which is once."""
        codes = [crockford.draw(RECOVERY_LENGTH) for _ in range(RECOVERY_CODES)]
        return [cls(code_sha256=digest(each), account_id=account_id) for each in codes], list(
            map(crockford.shown, codes)
        )


def provisioning_uri(secret: str, *, user_id: str, brand: str) -> str:
    """What an app reads from a QR code."""
    return pyotp.TOTP(secret, interval=STEP_S).provisioning_uri(name=user_id, issuer_name=brand)
