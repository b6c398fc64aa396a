"""Whether what somebody typed is what their second factor shows.

An attempt is counted before it is looked at, by account: there are a million digits only, of which three are good at a
time. A recovery code takes their place.
"""

import re

from covey_chassis.errors import FieldError, Invalid
from covey_chassis.outbox import emit_rows
from covey_chassis.service import Context
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.attempts import begin_attempt, clear_attempts, subject_of
from covey_identity.audit import Author, Entry, audit
from covey_identity.domain import crockford
from covey_identity.domain.account import Account
from covey_identity.domain.bearer_secret import digest
from covey_identity.domain.mail import Purpose, mail
from covey_identity.domain.second_factor import RECOVERY_LENGTH, FactorSecret, SecondFactor
from covey_identity.queries_accounts import use_recovery_code

PURPOSE = "second-factor"
_DIGITS = re.compile(r"\d{6}", re.ASCII)


class FactorCodeWrong(Invalid):
    """This is not what your app shows now, and no recovery code of yours: a code is good once."""


async def check_factor(
    context: Context, session: AsyncSession, account: Account, factor: SecondFactor, typed: str
) -> None:
    """Let what was typed pass, once. The account must be locked. Of a recovery code its holder is told by email.

    Raises:
        TooManyAttempts: there were too many.
        FactorCodeWrong: it is not good.
    """
    subject = subject_of(str(account.id))
    await begin_attempt(context, PURPOSE, subject)
    at = context.clock.now()
    digits = "".join(typed.split())
    if _DIGITS.fullmatch(digits):
        good = factor.accepts(digits, context.keyring.open(factor.sealed_secret, FactorSecret), at=at)
    elif code := crockford.as_typed(typed, RECOVERY_LENGTH):
        good = await use_recovery_code(session, account.id, digest(code), at=at)
        await audit(
            session,
            Entry(act="recovery-code.used", author=Author("recovery code", account.id), subject_id=account.id),
        )
        told = mail(Purpose.RECOVERY_CODE_USED, account.addressee(), context.keyring.seal)
        await emit_rows(session, [(told, None)])
    else:
        good = False
    if not good:
        raise FactorCodeWrong(FieldError("/code", "is not good, or not any more"))
    await clear_attempts(session, PURPOSE, subject)
