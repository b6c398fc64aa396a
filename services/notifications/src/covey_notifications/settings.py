"""What notifications alone needs to know: the mail server, and the sender that messages name."""

from enum import StrEnum
from typing import Annotated, Self

from covey_chassis.settings import ServiceSettings
from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from covey_notifications.mailbox import usable_mailbox

OTHER_CONNECTIONS = 4
"""Database connections of the worker role that are left to consumers and the rest while every lane is sending."""

LANES_MAX = 8


class SmtpTls(StrEnum):
    """How the way to the mail server is encrypted."""

    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


class Settings(ServiceSettings):
    """Settings of notifications."""

    smtp_host: str
    smtp_port: int = 587
    smtp_username: str | None = None
    smtp_password: SecretStr | None = None
    smtp_tls: Annotated[SmtpTls, Field(description="`none` sends in the clear: say it only inside one machine.")] = (
        SmtpTls.STARTTLS
    )
    smtp_timeout_s: Annotated[
        float,
        Field(
            description="For one message, connecting included. A database transaction is open meanwhile, which must end"
            " within 15 seconds of silence.",
            gt=0,
            le=12,
        ),
    ] = 10
    mail_from: Annotated[
        str,
        AfterValidator(usable_mailbox),
        Field(description="The sender, such as `Covey <no-reply@carrier.example>`."),
    ]
    portal_url: Annotated[
        str | None,
        Field(
            pattern="^https?://[^/]+$",
            description="Where people go on: messages lead there. Without it they lead nowhere.",
        ),
    ] = None
    mail_concurrency: Annotated[
        int, Field(description="How many messages one process sends at the same time.", ge=1, le=LANES_MAX)
    ] = 4

    @field_validator("smtp_username", "smtp_password", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None

    @model_validator(mode="after")
    def _no_password_in_the_clear(self) -> Self:
        if (self.smtp_username is None) != (self.smtp_password is None):
            raise ValueError("smtp_username and smtp_password go together")
        if self.smtp_username is not None and self.smtp_tls is SmtpTls.NONE:
            raise ValueError("a password is not sent in the clear: set smtp_tls to starttls or tls")
        return self

    @model_validator(mode="after")
    def _connections_are_left(self) -> Self:
        if self.mail_concurrency + OTHER_CONNECTIONS > self.database_pool_size:
            raise ValueError(
                f"mail_concurrency {self.mail_concurrency} needs database_pool_size"
                f" {self.mail_concurrency + OTHER_CONNECTIONS}: each message holds a connection while it is sent"
            )
        return self
