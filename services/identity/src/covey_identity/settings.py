"""What identity alone needs to be told."""

from typing import Annotated

from covey_chassis.service import Context
from covey_chassis.settings import ServiceSettings
from pydantic import Field, FilePath, HttpUrl, SecretStr, field_validator


class Settings(ServiceSettings):
    """Settings of identity. ``COVEY_TOKEN_KEYS`` names the public half of ``COVEY_SIGNING_KEYS``."""

    sealing_public_keys: FilePath
    sealing_private_keys: Annotated[FilePath, Field(description="Its own pair: it seals second factors with it.")]
    signing_keys: Annotated[FilePath, Field(description="Private JWKS: access tokens are signed with its last key.")]
    listener_credentials: Annotated[
        dict[str, Annotated[SecretStr, Field(min_length=16)]],
        Field(description='By which the services that listen for access are known: {"renewals": "..."}.'),
    ]

    @field_validator("listener_credentials")
    @classmethod
    def _each_its_own(cls, credentials: dict[str, SecretStr]) -> dict[str, SecretStr]:
        if len({each.get_secret_value() for each in credentials.values()}) < len(credentials):
            raise ValueError("two services have the same credential: each needs its own")
        return credentials

    code_secret: Annotated[
        SecretStr,
        Field(
            description="Finds an access code among all that are out. Changing it makes those unusable.", min_length=32
        ),
    ]
    brand: Annotated[
        str, Field(description="What apps for second factors, and browsers, show beside the user ID.", min_length=1)
    ] = "Covey"
    portal_url: Annotated[
        HttpUrl | None,
        Field(description="The portal's origin, such as https://portal.carrier.example: passkeys are bound to it."),
    ] = None

    @field_validator("portal_url")
    @classmethod
    def _an_origin(cls, url: HttpUrl | None) -> HttpUrl | None:
        if url is None:
            return None
        if url.path != "/" or url.query or url.fragment or url.username:
            raise ValueError("must be an origin, such as https://portal.carrier.example")
        if url.scheme != "https" and url.host not in ("localhost", "127.0.0.1", "[::1]"):
            raise ValueError("must begin with https: browsers keep passkeys from pages that came in clear")
        return url

    argon2_memory_kib: Annotated[int, Field(description="Memory of one password hash.", ge=8)] = 65_536
    argon2_passes: Annotated[int, Field(ge=1)] = 3
    argon2_lanes: Annotated[int, Field(ge=1)] = 4
    hashes_at_once: Annotated[int, Field(description="How many hashes one process computes at a time.", ge=1)] = 2
    registration_hours: Annotated[int, Field(description="How long a verification of an address may take.", ge=1)] = 24
    password_reset_minutes: Annotated[
        int, Field(description="How long a forgotten password can be replaced.", ge=1)
    ] = 60
    session_idle_minutes: Annotated[int, Field(ge=1)] = 15
    session_hours: Annotated[int, Field(description="How long a session lasts at most.", ge=1)] = 12


def settings_of(context: Context) -> Settings:
    """Identity's own settings, of the running service."""
    assert isinstance(context.settings, Settings)
    return context.settings
