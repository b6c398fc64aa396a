"""A token that was mailed to an address: whoever reads its mail shows it, once, and not for long."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self
from uuid import UUID

from covey_chassis.db import Base, by_value
from covey_chassis.errors import Refusal
from covey_contracts.identity import MailRequested
from sqlalchemy.orm import Mapped, mapped_column

from covey_identity.domain.account import Account
from covey_identity.domain.bearer_secret import digest, new_secret
from covey_identity.domain.mail import Addressee, Purpose, Seal, mail
from covey_identity.domain.person_fields import address_key


class MailedTokenNotGood(Refusal):
    """What the email said is no longer good: ask for another email."""

    status = 422


class TokenUse(StrEnum):
    """What a token lets whoever shows it do."""

    RESET_PASSWORD = "reset-password"  # noqa: S105 - a use
    ADD_ADDRESS = "add-address"


class MailedToken(Base, kw_only=True):
    """What is kept of a token until it is shown.

    One is kept just the same when it comes to nothing, because nobody has the address, or somebody else has: then nobody
    is ever sent it. So neither an answer nor its time tells who has an account.
    """

    __tablename__ = "mailed_token"

    token_sha256: Mapped[bytes] = mapped_column(primary_key=True, repr=False)
    use: Mapped[TokenUse] = mapped_column(by_value(TokenUse))
    email_key: Mapped[str] = mapped_column(repr=False)
    email: Mapped[str] = mapped_column(repr=False)
    account_id: Mapped[UUID | None]
    expires_at: Mapped[datetime]

    @classmethod
    def reset_password(cls, to: Addressee, *, at: datetime, minutes: int, seal: Seal) -> tuple[Self, MailRequested]:
        """Whoever reads the mail of this address may choose a new password for its account, if it has one."""
        token = new_secret()
        kept = cls._keep(token, TokenUse.RESET_PASSWORD, to.email, to.account_id, at + timedelta(minutes=minutes))
        if to.account_id is None:
            return kept, mail(Purpose.NO_ACCOUNT, to, seal)
        return kept, mail(Purpose.RESET_PASSWORD, to, seal, token=token, expires_at=kept.expires_at)

    @classmethod
    def add_address(
        cls, account: Account, email: str, owner: Addressee | None, *, at: datetime, hours: int, seal: Seal
    ) -> tuple[Self, MailRequested]:
        """Whoever reads the mail of this address may show that it is the account holder's, unless it is somebody's."""
        token = new_secret()
        kept = cls._keep(token, TokenUse.ADD_ADDRESS, email, account.id, at + timedelta(hours=hours))
        if owner is not None:
            return kept, mail(Purpose.ALREADY_REGISTERED, owner, seal)
        to = account.addressee(email)
        return kept, mail(Purpose.VERIFY_NEW_ADDRESS, to, seal, token=token, expires_at=kept.expires_at)

    @classmethod
    def _keep(cls, token: str, use: TokenUse, email: str, account_id: UUID | None, expires_at: datetime) -> Self:
        return cls(
            token_sha256=digest(token),
            use=use,
            email_key=address_key(email),
            email=email,
            account_id=account_id,
            expires_at=expires_at,
        )

    def is_good(self, *, at: datetime) -> bool:
        """Whether it can still be shown."""
        return at < self.expires_at
