"""A passkey: a key pair in somebody's device, or in a keeper of passkeys that syncs it, whose public half is here.

Whoever signs with it has unlocked it (a finger, a face, a PIN): that is possession and knowledge or inherence, so it stands
for password and second factor together (NIST SP 800-63B, multi-factor cryptographic authentication).
"""

import secrets
from datetime import datetime
from uuid import UUID

from covey_chassis.db import Base
from covey_chassis.errors import NotFound, Refusal
from covey_chassis.ids import new_id
from sqlalchemy import ARRAY, BigInteger, ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

PASSKEYS_MAX = 10
"""So many a person has at a time."""
HANDLE_BYTES = 64
"""What authenticators know an account by: random, so that whoever finds a device learns nothing (WebAuthn, 14.6.1)."""


class PasskeyNotFound(NotFound):
    """You have no passkey with this ID."""


class PasskeyNotGood(Refusal):
    """This passkey cannot be added: begin anew, and show your password once more."""

    status = 422


class PasskeyAlreadyRegistered(Refusal):
    """This passkey is registered already."""


class TooManyPasskeys(Refusal):
    """You have as many passkeys as you can have: remove one first."""


class PasskeyRefused(Refusal):
    """This passkey is not good here: begin anew, or sign on with your password."""

    status = 401


class PasskeyCopied(Refusal):
    """There seems to be a copy of this passkey: sign on with your password, and remove it."""

    status = 401


def new_handle() -> bytes:
    """What an account will be known by to authenticators."""
    return secrets.token_bytes(HANDLE_BYTES)


class Passkey(Base, kw_only=True):
    """What is kept of one: nothing of it is secret. Whoever changes it has locked the account.

    ``sign_count`` is what its authenticator counts, and 0 for good with those that do not. ``backup_eligible`` says that it
    can be on several devices, ``backed_up`` that it is, as far as was said last. ``transports`` are hints for browsers.
    """

    __tablename__ = "passkey"

    id: Mapped[UUID] = mapped_column(primary_key=True, default_factory=new_id)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"))
    name: Mapped[str] = mapped_column(repr=False)
    credential_id: Mapped[bytes] = mapped_column(repr=False)
    public_key: Mapped[bytes] = mapped_column(repr=False)
    sign_count: Mapped[int] = mapped_column(BigInteger)
    transports: Mapped[list[str]] = mapped_column(ARRAY(Text))
    backup_eligible: Mapped[bool]
    backed_up: Mapped[bool]
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None] = mapped_column(init=False, default=None)

    def use(self, sign_count: int, *, backup_eligible: bool, backed_up: bool, at: datetime) -> None:
        """Somebody has signed with it.

        Raises:
            PasskeyCopied: it has counted fewer signatures than before (WebAuthn, 6.1.1).
            PasskeyRefused: it says now that it can be on several devices, or that it cannot: that is for good.
        """
        if (sign_count or self.sign_count) and sign_count <= self.sign_count:
            raise PasskeyCopied
        if backup_eligible != self.backup_eligible:
            raise PasskeyRefused
        self.sign_count = sign_count
        self.backed_up = backed_up
        self.last_used_at = at
