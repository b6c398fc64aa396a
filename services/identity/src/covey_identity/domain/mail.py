"""Emails that concern somebody's own sign-on. What only their reader may see is sealed."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from covey_chassis.ids import new_id
from covey_contracts import SealedBody
from covey_contracts.identity import Letter, MailRequested

Seal = Callable[[SealedBody], str]
"""Makes of personal data what only its listener can open. No two seals of the same are alike."""


class Purpose(StrEnum):
    """What an email is for."""

    VERIFY_ADDRESS = "verify-address"
    ALREADY_REGISTERED = "already-registered"
    FORGOTTEN_USER_ID = "forgotten-user-id"
    RESET_PASSWORD = "reset-password"  # noqa: S105 - a purpose
    NO_ACCOUNT = "no-account"
    VERIFY_NEW_ADDRESS = "verify-new-address"
    PASSWORD_CHANGED = "password-changed"  # noqa: S105 - a purpose
    ADDRESS_CHANGED = "address-changed"
    SECOND_FACTOR_ON = "second-factor-on"
    SECOND_FACTOR_OFF = "second-factor-off"
    RECOVERY_CODE_USED = "recovery-code-used"
    RECOVERY_CODES_RENEWED = "recovery-codes-renewed"
    ADDRESS_REMOVED = "address-removed"
    ADDRESS_ADDED = "address-added"
    PASSKEY_ADDED = "passkey-added"
    PASSKEY_REMOVED = "passkey-removed"


@dataclass(frozen=True)
class Addressee:
    """Who is written to. Of somebody without an account no more need be known than the address."""

    email: str
    language: str
    first_name: str = ""
    last_name: str = ""
    user_id: str | None = None
    account_id: UUID | None = None


def mail(
    purpose: Purpose, to: Addressee, seal: Seal, *, token: str | None = None, expires_at: datetime | None = None
) -> MailRequested:
    """The event by which notifications is asked for an email: with a token, until when that is good."""
    letter = Letter(
        first_name=to.first_name,
        last_name=to.last_name,
        address=to.email,
        language=to.language,
        token=token,
        user_id=to.user_id,
    )
    return MailRequested(mail_id=new_id(), purpose=purpose, expires_at=expires_at, sealed=seal(letter))
