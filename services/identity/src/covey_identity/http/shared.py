"""What the routes of accounts share: how a body is read, secrets in one, and identity's own settings.

Where an answer holds a secret, or a request a password, the command takes no Idempotency-Key: what is kept for that would
outlive what the secret is good for, and a fast hash of a password would be kept beside it.
"""

from typing import Annotated

from covey_chassis.http import Ctx
from fastapi import Depends
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from covey_identity.passwords import SECRET_MAX
from covey_identity.settings import Settings, settings_of

Secret = Annotated[SecretStr, Field(min_length=1, max_length=SECRET_MAX)]

FactorCode = Annotated[
    SecretStr, Field(min_length=1, max_length=100, description="Six digits of your app, or a recovery code.")
]


async def _settings(ctx: Ctx) -> Settings:
    return settings_of(ctx)


Told = Annotated[Settings, Depends(_settings)]
"""Identity's own settings."""


class Body(BaseModel):
    """What a request says. A field that is not known is refused: it may be a misspelt one."""

    model_config = ConfigDict(extra="forbid")
