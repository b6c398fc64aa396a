"""An account: a person who signs on, or a program that does."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Self, TypeVar
from uuid import UUID

from covey_chassis.access.facts import Fact, FactKind
from covey_chassis.db import Aggregate, Base, by_value
from covey_chassis.errors import NotFound, Refusal
from covey_chassis.ids import new_id
from covey_contracts.identity import AccountChanged, AccountRegistered, AccountState, Person
from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from covey_identity.domain.bearer_secret import digest
from covey_identity.domain.mail import Addressee, Seal
from covey_identity.domain.person_fields import address_key
from covey_identity.domain.registration import Registration

State = TypeVar("State", bound=AccountState)


class AccountNotFound(NotFound):
    """No account has this ID."""


class ProgramNotFound(NotFound):
    """No program has this ID."""


class ProgramHasNoAddress(Refusal):
    """A program cannot have an email address: do this as a person."""


class OwnAccount(Refusal):
    """It is your own account: ask another member of the staff, or do it where people manage their own."""


class NotAPerson(Refusal):
    """This account is a program's: nothing of a person is kept in it."""


class AddressNotFound(NotFound):
    """You have not proven this address to be yours."""


class AddressAlreadyYours(Refusal):
    """You have proven this address to be yours already."""


class MainAddressStays(Refusal):
    """You are written to at this address: choose another one for that first."""


class AccountKind(StrEnum):
    """Who signs on with it: a person by a password, a program by its secret."""

    PERSON = "person"
    PROGRAM = "program"


class AccountAddress(Base, kw_only=True):
    """An email address that the account's holder has proven to be theirs. No two accounts share one."""

    __tablename__ = "account_address"

    email_key: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"), init=False)
    email: Mapped[str]
    verified_at: Mapped[datetime]
    is_primary: Mapped[bool]
    recovers: Mapped[bool]
    """Whoever reads its mail may get a forgotten user ID and a new password: its holder has shown their password for it.

    An access code proves nothing of the account: whoever gave the code may read that mailbox, too.
    """


@dataclass(frozen=True, kw_only=True)
class PersonalData:
    """What a person may change of their own account; None leaves it as it is."""

    first_name: str | None = None
    middle_initial: str | None = None
    last_name: str | None = None
    company: str | None = None
    market_region: str | None = None
    language: str | None = None


class Account(Aggregate, Base, kw_only=True):
    """Who can sign on. What they may do is not here: that is told by the facts of access.

    The user ID is an attribute; the ID is Covey's own. A program has a name instead of a person's data.
    """

    __tablename__ = "account"

    id: Mapped[UUID] = mapped_column(primary_key=True, default_factory=new_id)
    user_id: Mapped[str]
    kind: Mapped[AccountKind] = mapped_column(by_value(AccountKind))
    first_name: Mapped[str] = mapped_column(default="", repr=False)
    middle_initial: Mapped[str] = mapped_column(default="", repr=False)
    last_name: Mapped[str] = mapped_column(default="", repr=False)
    company: Mapped[str] = mapped_column(default="", repr=False)
    market_region: Mapped[str] = mapped_column(default="")
    language: Mapped[str] = mapped_column(default="en")
    program_name: Mapped[str | None] = mapped_column(default=None)
    terms_version: Mapped[str | None] = mapped_column(default=None)
    terms_accepted_at: Mapped[datetime | None] = mapped_column(default=None)
    password_hash: Mapped[str | None] = mapped_column(default=None, repr=False)
    secret_sha256: Mapped[bytes | None] = mapped_column(default=None, repr=False)
    passkey_handle: Mapped[bytes | None] = mapped_column(init=False, default=None, repr=False)
    locked_at: Mapped[datetime | None] = mapped_column(init=False, default=None)
    created_at: Mapped[datetime]
    addresses: Mapped[list[AccountAddress]] = relationship(
        init=False, repr=False, cascade="all, delete-orphan", lazy="selectin", order_by=AccountAddress.verified_at
    )

    # --- how accounts begin ---

    @classmethod
    def register(
        cls, registration: Registration, user_id: str, password_hash: str, *, at: datetime, seal: Seal
    ) -> tuple[Self, AccountRegistered]:
        """Whoever registered has proven their address, and chosen a password."""
        account = cls(
            user_id=user_id,
            kind=AccountKind.PERSON,
            first_name=registration.first_name,
            middle_initial=registration.middle_initial,
            last_name=registration.last_name,
            company=registration.company,
            market_region=registration.market_region,
            language=registration.language,
            terms_version=registration.terms_version,
            terms_accepted_at=registration.terms_accepted_at,
            password_hash=password_hash,
            created_at=at,
        )
        account.keep_address(registration.email, at=at)
        return account, account._state(AccountRegistered, seal)

    @classmethod
    def employ(
        cls,
        user_id: str,
        password_hash: str,
        *,
        first_name: str,
        last_name: str,
        email: str,
        at: datetime,
        seal: Seal,
    ) -> tuple[Self, AccountRegistered]:
        """A member of the carrier's staff, whose address an operator vouches for."""
        account = cls(
            user_id=user_id,
            kind=AccountKind.PERSON,
            first_name=first_name,
            last_name=last_name,
            password_hash=password_hash,
            created_at=at,
        )
        account.keep_address(email, at=at)
        return account, account._state(AccountRegistered, seal)

    @classmethod
    def program(cls, user_id: str, name: str, secret: str, *, at: datetime) -> Self:
        """A program. Nobody is told of it: there is nobody to write to."""
        return cls(
            user_id=user_id, kind=AccountKind.PROGRAM, program_name=name, secret_sha256=digest(secret), created_at=at
        )

    # --- what happens to them ---

    def add_address(self, email: str, *, at: datetime, seal: Seal) -> AccountChanged:
        """An access code has proven that this address is theirs too. They are written to at their first one, as before.

        Raises:
            ProgramHasNoAddress: the holder is a program.
        """
        if self.kind is AccountKind.PROGRAM:
            raise ProgramHasNoAddress
        self.keep_address(email, at=at, recovers=False)
        return self._state(AccountChanged, seal)

    def keep_address(self, email: str, *, at: datetime, recovers: bool = True) -> None:
        """The holder has proven it; nobody is told. The first is the main one."""
        key = address_key(email)
        if all(address.email_key != key for address in self.addresses):
            self.addresses.append(
                AccountAddress(
                    email_key=key, email=email, verified_at=at, is_primary=not self.addresses, recovers=recovers
                )
            )

    def drop_address(self, email: str, *, seal: Seal) -> AccountChanged:
        """The address is the holder's no longer: nobody who reads its mail can do anything with the account.

        Raises:
            AddressNotFound: it is not theirs.
            MainAddressStays: they are written to at it.
        """
        dropped = self.proven_address(email)
        if dropped.is_primary:
            raise MainAddressStays
        self.addresses.remove(dropped)
        return self._state(AccountChanged, seal)

    def change(self, to: PersonalData, *, seal: Seal) -> AccountChanged | None:
        """The holder says what is different. Nothing happens if nothing is.

        Raises:
            NotAPerson: the holder is a program.
        """
        if self.kind is not AccountKind.PERSON:
            raise NotAPerson
        different = {name: value for name, value in vars(to).items() if value not in (None, getattr(self, name))}
        for name, value in different.items():
            setattr(self, name, value)
        return self._state(AccountChanged, seal) if different else None

    def replace_secret(self, secret: str) -> None:
        """From now on the program is known by this secret alone."""
        self.secret_sha256 = digest(secret)

    def lock(self, *, at: datetime) -> Fact | None:
        """Nobody can sign on or do anything with it from now on. Nothing happens if it is locked already."""
        if self.locked_at is not None:
            return None
        self.locked_at = at
        return self._lock_fact()

    def unlock(self) -> Fact | None:
        """It can be signed on with again. Nothing happens if it is not locked."""
        if self.locked_at is None:
            return None
        self.locked_at = None
        return self._lock_fact()

    # --- what can be said of them ---

    @property
    def main_address(self) -> AccountAddress:
        """The address that its holder is written to; a program has none."""
        return next(address for address in self.addresses if address.is_primary)

    @property
    def address(self) -> str:
        """The main address, as it is written."""
        return self.main_address.email

    def proven_address(self, email: str) -> AccountAddress:
        """One of the holder's addresses, however it is typed.

        Raises:
            AddressNotFound: it is not theirs.
        """
        key = address_key(email)
        for address in self.addresses:
            if address.email_key == key:
                return address
        raise AddressNotFound

    def addressee(self, email: str | None = None) -> Addressee:
        """The holder, as they are written to: at their main address, or at this one."""
        return Addressee(
            email=email or self.address,
            language=self.language,
            first_name=self.first_name,
            last_name=self.last_name,
            user_id=self.user_id,
            account_id=self.id,
        )

    @property
    def own_words(self) -> tuple[str, ...]:
        """What a password must not contain, because others know it."""
        return (
            self.user_id,
            self.first_name,
            self.last_name,
            *(each.email.rpartition("@")[0] for each in self.addresses),
        )

    def state(self, *, seal: Seal) -> AccountChanged:
        """What the world is told of the account as it is now."""
        return self._state(AccountChanged, seal)

    def _lock_fact(self) -> Fact:
        return Fact(kind=FactKind.ACCOUNT, id=self.id, account_id=self.id, active=self.locked_at is None)

    def _state(self, kind: type[State], seal: Seal) -> State:
        """The account's public state; who holds it is sealed."""
        person = Person(
            first_name=self.first_name,
            last_name=self.last_name,
            address=self.address,
            language=self.language,
            user_id=self.user_id,
        )
        return kind(account_id=self.id, market_region=self.market_region, sealed=seal(person))
