"""What every service reads from its environment, ``COVEY_...``, or from files named so in ``COVEY_SECRETS_DIR``."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, FilePath, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class Role(StrEnum):
    """What one process of a service does. By default it does everything; a platform team may split it."""

    HTTP = "http"
    CONSUMERS = "consumers"
    RELAY = "relay"
    WORKERS = "workers"


class _Settings(BaseSettings):
    model_config = SettingsConfigDict(
        secrets_dir=os.environ.get("COVEY_SECRETS_DIR"),
        hide_input_in_errors=True,  # what is refused is printed where the service starts, and may hold a password
    )


class KafkaSettings(_Settings):
    """Where Kafka is and how to sign on to it. ``ca_file`` vouches for the broker; by default the system's CAs do."""

    model_config = SettingsConfigDict(env_prefix="COVEY_KAFKA_")

    bootstrap_servers: str
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ca_file: FilePath | None = None
    cert_file: FilePath | None = None
    key_file: Annotated[FilePath | None, Field(description="If the certificate's file does not hold the key.")] = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.security_protocol.startswith("SASL") and not (self.sasl_username and self.sasl_password):
            raise ValueError(f"security_protocol {self.security_protocol} needs sasl_username and sasl_password")
        if self.key_file and not self.cert_file:
            raise ValueError("key_file needs cert_file")
        return self

    def environment(self) -> dict[str, str]:
        """What gives a process these settings."""
        known = {name: value for name, value in self if value is not None}
        plain = {
            name: value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            for name, value in known.items()
        }
        return {f"COVEY_KAFKA_{name.upper()}": value for name, value in plain.items()}


class ProcessSettings(_Settings):
    """Settings of whatever answers HTTP. Secrets never show in a dump."""

    model_config = SettingsConfigDict(env_prefix="COVEY_", frozen=True)

    http_host: str = "127.0.0.1"
    http_port: int = 8000
    trusted_proxies: Annotated[
        str,
        Field(
            description="Addresses or networks, with commas between, whose word is taken for where a request came from."
        ),
    ] = ""
    zone: Annotated[ZoneInfo, Field(description="The carrier's time zone: it settles which day it is.")] = ZoneInfo(
        "America/Los_Angeles"
    )
    log_level: str = "INFO"

    @field_validator("zone", mode="before")
    @classmethod
    def _named_zone(cls, value: object) -> object:
        return ZoneInfo(value) if isinstance(value, str) else value


class ServiceSettings(ProcessSettings):
    """Settings that all services share."""

    database_url: Annotated[SecretStr, Field(description="Requests, and whatever acts for a person.")]
    worker_database_url: Annotated[SecretStr, Field(description="Consumers, sweeps and the relay.")]
    owner_database_url: Annotated[SecretStr | None, Field(description="Migrations only.")] = None
    database_pool_size: int = 10
    kafka: Annotated[KafkaSettings, Field(default_factory=lambda: KafkaSettings())]  # noqa: PLW0108 - mypy's plugin wants a function
    operator_token: Annotated[SecretStr, Field(description="Bearer token of the operator's routes.", min_length=16)]
    access_url: Annotated[
        str | None,
        Field(description="Where the service is that owns the facts of access. Without it rights can't be verified."),
    ] = None
    access_credential: Annotated[
        SecretStr | None, Field(description="By which that service knows this one.", min_length=16)
    ] = None
    token_keys: Annotated[
        FilePath | None,
        Field(description="JWKS: whose access tokens are good. Without it the keys are asked for at `access_url`."),
    ] = None
    roles: Annotated[frozenset[Role], NoDecode] = frozenset(Role)
    consumer_session_timeout_ms: Annotated[
        int,
        Field(
            ge=6_000,
            description="After so long without a sign of life a consumer's partitions go to others: also how long they"
            " wait when its process was killed.",
        ),
    ] = 30_000
    sealing_public_keys: Path | None = None
    sealing_private_keys: Path | None = None
    failpoints: Annotated[str, Field(description="Tests only: see covey_chassis.failpoints.")] = ""

    @model_validator(mode="after")
    def _access_complete(self) -> Self:
        if self.access_url is not None and self.access_credential is None:
            raise ValueError("access_url needs access_credential")
        return self

    @property
    def keys_url(self) -> str | None:
        """Where the keys of access tokens are asked for."""
        return None if self.access_url is None else f"{self.access_url.rstrip('/')}/.well-known/jwks.json"

    @field_validator("roles", mode="before")
    @classmethod
    def _split_roles(cls, value: object) -> object:
        return frozenset(part.strip() for part in value.split(",")) if isinstance(value, str) else value
