"""Access codes in this process: drawn and hashed, and found again by what somebody typed.

Both are slow on purpose, so both are done before a request's transaction begins, with neither lock nor connection held.
"""

from typing import Annotated, cast
from uuid import UUID

from covey_chassis.access.requiring import token_of
from covey_chassis.service import Context
from covey_chassis.transaction import context_of
from fastapi import Depends, Request

from covey_identity import queries
from covey_identity.attempts import begin_attempt, subject_of
from covey_identity.domain.access_code import as_typed, bucket, draw
from covey_identity.passwords import passwords_of
from covey_identity.settings import settings_of
from covey_identity.use_cases.issue_code import Drawn

PURPOSE = "access-code"
"""Of the attempts that are counted: by the account that enters codes."""
DRAWN = "covey.identity.drawn"
FOUND = "covey.identity.found"
"""Keys in the ASGI scope."""


async def draw_before(request: Request) -> None:
    """Have a new code ready, with its hash."""
    context = context_of(request)
    settings = settings_of(context)
    code = draw()
    hashed = await passwords_of(settings).hash(code)
    request.scope[DRAWN] = Drawn(code, hashed, bucket(code, settings.code_secret.get_secret_value()))


async def find_before(request: Request) -> None:
    """Count an attempt, and find the code that was typed, whatever became of it.

    What cannot be a code, and what is none, take the time of one hash, too.

    Raises:
        TooManyAttempts: there were too many.
    """
    context = context_of(request)
    body = await request.json()
    typed = body.get("code") if isinstance(body, dict) else None
    if isinstance(typed, str):
        await begin_attempt(context, PURPOSE, subject_of(str(token_of(request).account_id)))
        request.scope[FOUND] = await _find(context, typed)


async def _find(context: Context, typed: str) -> UUID | None:
    settings = settings_of(context)
    passwords = passwords_of(settings)
    code = as_typed(typed)
    found: list[tuple[UUID, str]] = []
    if code is not None:
        async with context.workers.transaction() as session:
            found = await queries.codes_in(session, bucket(code, settings.code_secret.get_secret_value()))
    for code_id, stored in found:
        if code is not None and await passwords.verify(stored, code):
            return code_id
    if not found:
        await passwords.verify(None, code or typed[:64])
    return None


async def _drawn(request: Request) -> Drawn:
    return cast("Drawn", request.scope[DRAWN])


async def _found(request: Request) -> UUID | None:
    return cast("UUID | None", request.scope.get(FOUND))


NewCode = Annotated[Drawn, Depends(_drawn)]
"""The code of a route that is declared with ``before=draw_before``."""

FoundCode = Annotated[UUID | None, Depends(_found)]
"""The ID of the code that was typed; None when there never was such a code. ``before=find_before`` finds it."""
