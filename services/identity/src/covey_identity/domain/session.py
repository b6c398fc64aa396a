"""A session: somebody has signed on, and has not signed off yet."""

from datetime import datetime, timedelta
from typing import Self
from uuid import UUID

from covey_chassis.access.facts import Fact, FactKind
from covey_chassis.db import Base
from covey_chassis.errors import NotFound, Refusal
from covey_chassis.ids import new_id
from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from covey_identity.domain.bearer_secret import digest


class SessionNotFound(NotFound):
    """You have no session with this ID."""


class ChallengeNotGood(Refusal):
    """You have shown your password too long ago, or it was changed: sign on again."""

    status = 401


CHALLENGE_MINUTES = 5


class SignOnChallenge(Base, kw_only=True):
    """Somebody has shown their password, and has yet to show their second factor."""

    __tablename__ = "sign_on_challenge"

    token_sha256: Mapped[bytes] = mapped_column(primary_key=True, repr=False)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"))
    expires_at: Mapped[datetime]

    @classmethod
    def begin(cls, account_id: UUID, token: str, *, at: datetime) -> Self:
        """The password was right."""
        return cls(
            token_sha256=digest(token), account_id=account_id, expires_at=at + timedelta(minutes=CHALLENGE_MINUTES)
        )


class AccountSession(Base, kw_only=True):
    """One session. A person's ends by itself when it is not used, and at the latest after some hours.

    A program has a standing one, without a token: it shows its secret each time.
    """

    __tablename__ = "account_session"

    id: Mapped[UUID] = mapped_column(primary_key=True, default_factory=new_id)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"))
    token_sha256: Mapped[bytes | None] = mapped_column(default=None, repr=False)
    started_at: Mapped[datetime]
    used_at: Mapped[datetime]
    expires_at: Mapped[datetime | None] = mapped_column(default=None)
    ended_at: Mapped[datetime | None] = mapped_column(init=False, default=None)

    @classmethod
    def start(cls, account_id: UUID, token: str, *, at: datetime, hours: int) -> Self:
        """A person signs on."""
        return cls(
            account_id=account_id,
            token_sha256=digest(token),
            started_at=at,
            used_at=at,
            expires_at=at + timedelta(hours=hours),
        )

    def renew(self, token: str) -> None:
        """It goes on by another token: whoever has the former one has nothing any more."""
        self.token_sha256 = digest(token)

    @classmethod
    def stand(cls, account_id: UUID, *, at: datetime) -> Self:
        """A program can sign on from now on."""
        return cls(account_id=account_id, started_at=at, used_at=at)

    def end(self, *, at: datetime) -> Fact | None:
        """It is over, everywhere. Nothing happens if it is already."""
        if self.ended_at is not None:
            return None
        self.ended_at = at
        return Fact(kind=FactKind.SESSION, id=self.id, account_id=self.account_id, active=False)
