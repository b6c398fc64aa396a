"""A key of a program: with its private half, which only the program has, it signs commands."""

from datetime import datetime
from typing import Self
from uuid import UUID

from covey_chassis.access.facts import Fact, FactKind
from covey_chassis.access.signing import key_id, public_jwk
from covey_chassis.db import Base
from covey_chassis.errors import NotFound, Refusal
from joserfc.jwk import OKPKey
from sqlalchemy import ForeignKey
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

KEYS_MAX = 5
"""So many keys a program has at a time: one that signs, the next one, and some to spare."""


class ProgramKeyNotFound(NotFound):
    """The program has no key with this ID."""


class KeyAlreadyRegistered(Refusal):
    """This key is registered already: each program has keys of its own."""


class KeyWasRemoved(Refusal):
    """This key was removed, and is never good again: make a new one."""


class TooManyKeys(Refusal):
    """The program has as many keys as it can have: remove one first."""


class ProgramKey(Base, kw_only=True):
    """The public half of a key. One that was removed stays, so that it is never registered again."""

    __tablename__ = "program_key"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"))
    public_jwk: Mapped[dict[str, str]] = mapped_column(JSONB)
    added_at: Mapped[datetime]
    removed_at: Mapped[datetime | None] = mapped_column(init=False, default=None)

    @classmethod
    def register(cls, account_id: UUID, key: OKPKey, *, at: datetime) -> Self:
        """From now on what is signed with it is said by this account."""
        return cls(id=key_id(key), account_id=account_id, public_jwk=public_jwk(key), added_at=at)

    def remove(self, *, at: datetime) -> Fact:
        """From now on nobody says anything with it."""
        self.removed_at = at
        return self.fact()

    def fact(self) -> Fact:
        return Fact(kind=FactKind.KEY, id=self.id, account_id=self.account_id, active=self.removed_at is None)
