"""Whether what somebody typed is what their second factor shows.

An attempt is counted before it is looked at, by account: there are a million digits only, of which three are good at a
time. A recovery code takes their place. Counting takes another connection, so it is done before the request locks anything.
"""

import re
from uuid import UUID

from covey_chassis.access import signed_on
from covey_chassis.access.requiring import token_of
from covey_chassis.errors import FieldError, Invalid
from covey_chassis.service import Context
from covey_chassis.transaction import context_of
from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.attempts import begin_attempt, clear_attempts, subject_of
from covey_identity.audit import Author, Entry, audit
from covey_identity.confirming import confirm_before
from covey_identity.domain import crockford
from covey_identity.domain.account import Account
from covey_identity.domain.bearer_secret import digest
from covey_identity.domain.mail import Purpose
from covey_identity.domain.second_factor import RECOVERY_LENGTH, FactorSecret, SecondFactor
from covey_identity.mailing import tell_holder
from covey_identity.queries_accounts import use_recovery_code

PURPOSE = "second-factor"
_DIGITS = re.compile(r"\d{6}", re.ASCII)


class FactorCodeWrong(Invalid):
    """This is not what your app shows now, and no recovery code of yours: a code is good once."""


async def count_attempt(context: Context, account_id: UUID) -> None:
    """Count an attempt at an account's second factor as failed, until it turns out to be good.

    Raises:
        TooManyAttempts: there were too many.
    """
    await begin_attempt(context, PURPOSE, subject_of(str(account_id)))


async def check_factor(
    context: Context, session: AsyncSession, account: Account, factor: SecondFactor, typed: str
) -> None:
    """Let what was typed pass, once. The attempt is counted, and the account locked.

    Of a recovery code its holder is told by email.

    Raises:
        FactorCodeWrong: it is not good.
    """
    at, digits = context.clock.now(), "".join(typed.split())
    code = crockford.as_typed(typed, RECOVERY_LENGTH)
    if _DIGITS.fullmatch(digits):
        secret = context.keyring.open(factor.sealed_secret, FactorSecret)
        if not factor.accepts(digits, secret, at=at):
            raise _wrong()
    elif code is not None and await use_recovery_code(session, account.id, digest(code), at=at):
        author = Author("recovery code", account.id)
        await audit(session, Entry(act="recovery-code.used", author=author, subjects=[account.id]))
        await tell_holder(session, account, Purpose.RECOVERY_CODE_USED, seal=context.keyring.seal)
    else:
        raise _wrong()
    await clear_attempts(session, PURPOSE, subject_of(str(account.id)))


def _wrong() -> FactorCodeWrong:
    return FactorCodeWrong(FieldError("/code", "is not good, or not any more"))


# --- before a request's transaction begins ---


async def _count_before(request: Request) -> None:
    body = await request.json()
    if isinstance(body, dict) and isinstance(body.get("code"), str):
        await count_attempt(context_of(request), token_of(request).account_id)


async def _show_both_before(request: Request) -> None:
    await confirm_before(request)
    await _count_before(request)


SHOWING_CODE = signed_on(before=_count_before)
"""Anybody who is signed on, and shows what their app shows: the body's ``code``."""

SHOWING_BOTH = signed_on(before=_show_both_before)
"""Anybody who is signed on, and shows their password and their second factor."""
