"""Somebody asks for an account, and has yet to prove that the address is theirs."""

from datetime import datetime, timedelta
from typing import Annotated, Literal, Self

from covey_chassis.db import Base
from covey_chassis.errors import Refusal
from covey_contracts.identity import MailRequested
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Mapped, mapped_column

from covey_identity.domain import person_fields as fields
from covey_identity.domain.bearer_secret import digest, new_secret
from covey_identity.domain.mail import Addressee, Purpose, Seal, mail


class VerificationNotGood(Refusal):
    """This verification is no longer good: register again, or sign on if you have an account."""

    status = 422


class NewRegistration(BaseModel):
    """Who asks for an account."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    market_region: fields.MarketRegion
    first_name: fields.PersonName
    middle_initial: fields.MiddleInitial | None = None
    last_name: fields.PersonName
    company: fields.Company
    email: fields.Email
    language: fields.Language = "en"
    terms_version: fields.TermsVersion
    terms_accepted: Annotated[Literal[True], Field(description="The terms must be accepted.")]


class Registration(Base, kw_only=True):
    """What somebody asked for, until they prove the address.

    Several may wait for one address, each with a token of its own: whoever asks for somebody else's address cannot take
    theirs away. The one whose token is shown makes the account, and with that all of the address are forgotten.
    One is kept just the same when the address has an account: but then nobody is ever sent its token.
    """

    __tablename__ = "registration"

    token_sha256: Mapped[bytes] = mapped_column(primary_key=True, repr=False)
    email_key: Mapped[str] = mapped_column(repr=False)
    email: Mapped[str] = mapped_column(repr=False)
    first_name: Mapped[str] = mapped_column(repr=False)
    middle_initial: Mapped[str] = mapped_column(repr=False)
    last_name: Mapped[str] = mapped_column(repr=False)
    company: Mapped[str] = mapped_column(repr=False)
    market_region: Mapped[str]
    language: Mapped[str]
    terms_version: Mapped[str]
    terms_accepted_at: Mapped[datetime]
    expires_at: Mapped[datetime]

    @classmethod
    def ask(
        cls, new: NewRegistration, holder: Addressee | None, *, at: datetime, hours: int, seal: Seal
    ) -> tuple[Self, MailRequested]:
        """Somebody asks: the address gets a token to prove it with, or, if it has an account, the account's user ID.

        Whichever it is, the work is the same, so that its time does not tell.
        """
        token = new_secret()
        registration = cls(
            token_sha256=digest(token),
            email_key=fields.address_key(new.email),
            email=new.email,
            first_name=new.first_name,
            middle_initial=new.middle_initial or "",
            last_name=new.last_name,
            company=new.company,
            market_region=new.market_region,
            language=new.language,
            terms_version=new.terms_version,
            terms_accepted_at=at,
            expires_at=at + timedelta(hours=hours),
        )
        if holder is not None:
            return registration, mail(Purpose.ALREADY_REGISTERED, holder, seal)
        to = Addressee(new.email, new.language, new.first_name, new.last_name)
        return registration, mail(Purpose.VERIFY_ADDRESS, to, seal, token=token, expires_at=registration.expires_at)

    def is_good(self, *, at: datetime) -> bool:
        """Whether it can still be verified."""
        return at < self.expires_at

    @property
    def own_words(self) -> tuple[str, ...]:
        """What a password must not contain, because others know it."""
        return self.first_name, self.last_name, self.email.rpartition("@")[0]
