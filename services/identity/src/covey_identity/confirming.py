"""Whoever changes what they sign on with shows their password once more (OWASP ASVS 5.0, 7.5.1).

A hash is slow on purpose, so it is verified before a request's transaction begins, with neither lock nor connection held;
once the account is locked, ``check_confirmed`` sees that the password is still that one. Failures count as failures to
sign on: whoever has found a session open guesses no faster than anybody else.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any, cast

from covey_chassis.access import Actor, signed_on
from covey_chassis.access.requiring import token_of
from covey_chassis.errors import FieldError
from covey_chassis.transaction import context_of
from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.attempts import begin_attempt, clear_attempts, subject_of
from covey_identity.audit import Author, refusals_audited
from covey_identity.domain.account import Account, AccountNotFound
from covey_identity.passwords import SECRET_MAX, PasswordWrong, check_password, passwords_of
from covey_identity.queries_accounts import load_account
from covey_identity.settings import settings_of
from covey_identity.use_cases.sign_on import PURPOSE

CONFIRMED = "covey.identity.confirmed"
NEW_PASSWORD = "covey.identity.new-password"  # noqa: S105 - keys in the ASGI scope


@dataclass(frozen=True)
class Confirmed:
    """A password that was shown is the one of this hash."""

    password_hash: str = field(repr=False)


@dataclass(frozen=True)
class NewPassword:
    """The hash of a new password, and what it takes the place of."""

    confirmed: Confirmed
    hashed: str = field(repr=False)


async def confirm_before(request: Request) -> None:
    """Verify the body's ``password``. A body without one is refused by the route itself, field by field.

    Raises:
        TooManyAttempts: there were too many, here or where one signs on.
        PasswordWrong: it is another one, or a program asks, which has none.
    """
    typed = _field(await request.json(), "password")
    if typed is not None:
        request.scope[CONFIRMED] = (await _confirm(request, typed))[0]


async def replace_before(request: Request) -> None:
    """Verify the body's ``password``, and hash its ``new_password``.

    Raises:
        TooManyAttempts, PasswordWrong: as ``confirm_before``.
        PasswordNotGood: the new one cannot be used.
    """
    body = await request.json()
    typed, new = _field(body, "password"), _field(body, "new_password")
    if typed is None or new is None:
        return
    confirmed, own_words = await _confirm(request, typed)
    check_password(new, own_words, pointer="/new_password")
    request.scope[NEW_PASSWORD] = NewPassword(confirmed, await passwords_of(settings_of(context_of(request))).hash(new))


async def check_confirmed(session: AsyncSession, actor: Actor, confirmed: Confirmed) -> Account:
    """The actor's account, locked, if the password that they have shown is still theirs.

    Raises:
        PasswordWrong: it was changed meanwhile.
    """
    account = await load_account(session, actor.account_id)
    if account.password_hash != confirmed.password_hash:
        raise _wrong()
    return account


async def _confirm(request: Request, typed: str) -> tuple[Confirmed, tuple[str, ...]]:
    """The password, once it is verified, and the holder's own words. All of it is done when the request begins to lock."""
    context, token = context_of(request), token_of(request)
    async with context.requests.transaction() as reading:
        account = await reading.get(Account, token.account_id)
        if account is None:
            raise AccountNotFound(id=token.account_id)
        user_id, stored, own_words = account.user_id, account.password_hash, account.own_words
    author = Author("own account", token.account_id, token.session_id)
    async with refusals_audited(context, "password.shown", author):
        await begin_attempt(context, PURPOSE, subject_of(user_id))
        if not await passwords_of(settings_of(context)).verify(stored, typed) or stored is None:
            raise _wrong()
    async with context.workers.transaction() as session:
        await clear_attempts(session, PURPOSE, subject_of(user_id))
    return Confirmed(stored), own_words


def _wrong() -> PasswordWrong:
    return PasswordWrong(FieldError("/password", "is not your password"))


def _field(body: Any, name: str) -> str | None:
    value = body.get(name) if isinstance(body, dict) else None
    return value if isinstance(value, str) and 0 < len(value) <= SECRET_MAX else None


async def _confirmed(request: Request) -> Confirmed:
    return cast("Confirmed", request.scope.get(CONFIRMED))


async def _new_password(request: Request) -> NewPassword:
    return cast("NewPassword", request.scope.get(NEW_PASSWORD))


SHOWING_PASSWORD = signed_on(before=confirm_before)
"""Anybody who is signed on, and shows their password once more."""

PasswordShown = Annotated[Confirmed, Depends(_confirmed)]
"""Of a route that is declared with ``SHOWING_PASSWORD``, or with ``before=confirm_before``."""

PasswordReplaced = Annotated[NewPassword, Depends(_new_password)]
"""Of a route that is declared with ``before=replace_before``."""
