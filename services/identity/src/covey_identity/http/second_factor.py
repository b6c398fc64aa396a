"""A second factor of one's own (R-04): an app that shows six digits, and recovery codes.

Answers hold secrets, and requests passwords: the commands take no Idempotency-Key.
"""

from datetime import datetime
from typing import Annotated

from covey_chassis.access import By, signed_on
from covey_chassis.http import Ctx, Session, refuses, service_router
from pydantic import BaseModel, Field

from covey_identity import queries_accounts as queries
from covey_identity.attempts import TooManyAttempts
from covey_identity.confirming import SHOWING_PASSWORD, AnotherToken, PasswordShown, renews
from covey_identity.domain.second_factor import SecondFactorOff, SecondFactorOn, provisioning_uri
from covey_identity.http.own_account import OF_SHOWING_IT
from covey_identity.http.shared import Body, FactorCode, Secret, Told
from covey_identity.second_factors import SHOWING_BOTH, SHOWING_CODE, FactorCodeWrong
from covey_identity.use_cases.begin_second_factor import begin_second_factor
from covey_identity.use_cases.renew_recovery_codes import renew_recovery_codes
from covey_identity.use_cases.turn_off_second_factor import turn_off_second_factor
from covey_identity.use_cases.turn_on_second_factor import turn_on_second_factor

router = service_router(prefix="/v1/account/second-factor", tags=["second factor"])

OF_SHOWING_BOTH = (SecondFactorOff, FactorCodeWrong, *OF_SHOWING_IT)


class FactorView(BaseModel):
    """Whether you are asked for a second factor where you sign on."""

    on_since: Annotated[datetime | None, Field(description="Null when you are not.")]
    recovery_codes_left: int


class ShownPassword(Body):
    """Your password."""

    password: Secret


class ShownCode(Body):
    """What your app shows."""

    code: FactorCode


class ShownBoth(ShownPassword, ShownCode):
    """Your password, and what your app shows, or a recovery code."""


class NewFactor(BaseModel):
    """What your app needs. It is shown this once."""

    secret: Annotated[str, Field(description="To be typed into the app (base32).")]
    uri: Annotated[str, Field(description="The same for a QR code (`otpauth:`).")]


class RecoveryCodes(BaseModel):
    """Codes that take your app's place, each once: print them, and keep them where your app is not."""

    recovery_codes: list[str]


@router.get("", dependencies=[signed_on()], summary="Whether you have a second factor")
async def read_second_factor(by: By, session: Session) -> FactorView:
    factor = await queries.factor_of(session, by.account_id)
    on_since = factor.on_since if factor else None
    return FactorView(on_since=on_since, recovery_codes_left=await queries.recovery_codes_left(session, by.account_id))


@router.post(
    "",
    status_code=201,
    dependencies=[SHOWING_PASSWORD],
    responses=renews(201) | refuses(SecondFactorOn, *OF_SHOWING_IT),
    summary="Set up a second factor",
)
async def begin(said: ShownPassword, shown: PasswordShown, by: By, session: Session, ctx: Ctx, told: Told) -> NewFactor:
    """It is not asked for before you turn it on. Another one that was begun before is of no use any more."""
    account, secret = await begin_second_factor(ctx, session, by, shown)
    return NewFactor(secret=secret, uri=provisioning_uri(secret, user_id=account.user_id, brand=told.brand))


@router.post(
    "/on",
    dependencies=[SHOWING_CODE],
    responses=renews(200) | refuses(SecondFactorOff, SecondFactorOn, FactorCodeWrong, TooManyAttempts),
    summary="Turn it on: show that your app works",
)
async def turn_on(said: ShownCode, by: By, session: Session, ctx: Ctx, token: AnotherToken) -> RecoveryCodes:
    """All of your other sessions end, and you are told by email."""
    codes = await turn_on_second_factor(ctx, session, by, said.code.get_secret_value(), session_token=token)
    return RecoveryCodes(recovery_codes=codes)


@router.post(
    "/off",
    status_code=204,
    dependencies=[SHOWING_BOTH],
    responses=renews(204) | refuses(*OF_SHOWING_BOTH),
    summary="Turn it off",
)
async def turn_off(said: ShownBoth, shown: PasswordShown, by: By, session: Session, ctx: Ctx) -> None:
    """All of your other sessions end, and you are told by email."""
    await turn_off_second_factor(ctx, session, by, shown, said.code.get_secret_value())


@router.post(
    "/recovery-codes",
    dependencies=[SHOWING_BOTH],
    responses=renews(200) | refuses(*OF_SHOWING_BOTH),
    summary="Get other recovery codes",
)
async def renew(said: ShownBoth, shown: PasswordShown, by: By, session: Session, ctx: Ctx) -> RecoveryCodes:
    """Those that you had are of no use any more, and you are told by email."""
    codes = await renew_recovery_codes(ctx, session, by, shown, said.code.get_secret_value())
    return RecoveryCodes(recovery_codes=codes)
