"""Access codes in this process: drawn and hashed, and found again by what somebody typed."""

from uuid import UUID

from covey_chassis.service import Context
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity import queries
from covey_identity.domain.access_code import as_typed, bucket, draw
from covey_identity.passwords import passwords_of
from covey_identity.settings import Settings
from covey_identity.use_cases.issue_code import Drawn


async def draw_code(context: Context) -> Drawn:
    """A new code with its hash. Slow on purpose: before anything is locked."""
    settings = _settings(context)
    code = draw()
    return Drawn(code, await passwords_of(settings).hash(code), bucket(code, settings.code_secret.get_secret_value()))


async def find_code(context: Context, session: AsyncSession, typed: str) -> UUID | None:
    """The code that was typed, whatever became of it; None when there never was such a code.

    What cannot be a code, and what is none, take the time of one hash, too.
    """
    settings = _settings(context)
    code = as_typed(typed)
    found = await queries.codes_in(session, bucket(code, settings.code_secret.get_secret_value())) if code else []
    passwords = passwords_of(settings)
    for code_id, stored in found:
        if code is not None and await passwords.verify(stored, code):
            return code_id
    if not found:
        await passwords.verify(None, code or typed[:64])
    return None


def _settings(context: Context) -> Settings:
    assert isinstance(context.settings, Settings)
    return context.settings
