"""Whoever changes what they sign on with shows their password once more (OWASP ASVS 5.0, 7.5.1).

A hash is slow on purpose, so it is verified before a request's transaction begins, with neither lock nor connection held;
once the account is locked, ``check_confirmed`` sees that the password is still that one. Failures count as failures to
sign on: whoever has found a session open guesses no faster than anybody else.

Whoever has shown it, or their second factor, goes on by another session token (ASVS 5.0, 7.2.4): the answer has it in the
header ``Covey-Session-Token``, and whoever had found the former one is left outside.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any, cast

from covey_chassis.access import Actor, SignOnNeeded, signed_on
from covey_chassis.access.requiring import token_of
from covey_chassis.errors import FieldError
from covey_chassis.transaction import context_of
from fastapi import Depends, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.attempts import begin_attempt, clear_attempts, subject_of
from covey_identity.audit import Author, refusals_audited
from covey_identity.domain.account import Account, AccountNotFound
from covey_identity.domain.bearer_secret import new_secret
from covey_identity.domain.session import AccountSession
from covey_identity.passwords import SECRET_MAX, PasswordWrong, check_password, passwords_of
from covey_identity.queries_accounts import load_account
from covey_identity.settings import settings_of
from covey_identity.use_cases.sign_on import PURPOSE

CONFIRMED = "covey.identity.confirmed"
NEW_PASSWORD = "covey.identity.new-password"  # noqa: S105 - keys in the ASGI scope
SESSION_TOKEN = "Covey-Session-Token"  # noqa: S105 - a header


@dataclass(frozen=True)
class Confirmed:
    """A password that was shown is the one of this hash; by this token the session goes on."""

    password_hash: str = field(repr=False)
    session_token: str = field(repr=False, default_factory=new_secret)


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
    await renew_session(session, actor, confirmed.session_token)
    return account


async def renew_session(session: AsyncSession, actor: Actor, token: str) -> None:
    """The actor has shown who they are once more: their session goes on by this token.

    Raises:
        SignOnNeeded: it is gone.
    """
    own = await session.get(AccountSession, actor.session_id)
    if own is None:
        raise SignOnNeeded
    own.renew(token)


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


async def _confirmed(request: Request, response: Response) -> Confirmed:
    confirmed = cast("Confirmed", request.scope.get(CONFIRMED))
    if confirmed is not None:  # or the route refuses the body
        response.headers[SESSION_TOKEN] = confirmed.session_token
    return confirmed


async def _new_password(request: Request, response: Response) -> NewPassword:
    new = cast("NewPassword", request.scope.get(NEW_PASSWORD))
    if new is not None:
        response.headers[SESSION_TOKEN] = new.confirmed.session_token
    return new


async def _another_token(response: Response) -> str:
    token = response.headers[SESSION_TOKEN] = new_secret()
    return token


def renews(status: int) -> dict[int | str, dict[str, Any]]:
    """The ``responses=`` of a route whose answer of this status has another session token."""
    said = {
        "description": "Your session's token from now on; the one before is good no more.",
        "schema": {"type": "string"},
        "example": "Vd2cJx0yR3mA6kqLwT9pZs8eHn1uBf4gOi7jXt5vCqE",
    }
    return {status: {"headers": {SESSION_TOKEN: said}}}


SHOWING_PASSWORD = signed_on(before=confirm_before)
"""Anybody who is signed on, and shows their password once more."""

PasswordShown = Annotated[Confirmed, Depends(_confirmed)]
"""Of a route that is declared with ``SHOWING_PASSWORD``, or with ``before=confirm_before``."""

AnotherToken = Annotated[str, Depends(_another_token)]
"""Of a route by which one shows something else than a password: for ``renew_session``."""

PasswordReplaced = Annotated[NewPassword, Depends(_new_password)]
"""Of a route that is declared with ``before=replace_before``."""
