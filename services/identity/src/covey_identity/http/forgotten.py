"""What somebody has forgotten who wants to sign on (R-04). No answer tells whether an address has an account."""

from typing import Annotated

from covey_chassis.access import public
from covey_chassis.http import Ctx, IdempotencyKey, Session, refuses, service_router
from pydantic import BaseModel, Field

from covey_identity.domain.mailed_token import MailedTokenNotGood
from covey_identity.domain.person_fields import Email, Language
from covey_identity.http.shared import Body, Secret, Told
from covey_identity.passwords import PasswordNotGood, TooBusy
from covey_identity.use_cases.ask_for_new_password import ask_for_new_password
from covey_identity.use_cases.reset_password import reset_password
from covey_identity.use_cases.send_user_id import send_user_id

router = service_router(prefix="/v1/forgotten", tags=["forgotten"])


class Forgotten(Body):
    """Where to write to. Whoever has an account is written to in its language."""

    email: Email
    language: Language = "en"


class MailOnItsWay(BaseModel):
    """An email is on its way, unless there have been too many to this address. It tells whether there is an account."""


class ResetOnItsWay(MailOnItsWay):
    """An email is on its way, unless there have been too many to this address. It tells whether there is an account."""

    valid_minutes: Annotated[int, Field(description="For how long the token in the email can be used.")]


class NewPassword(Body):
    """What the email said, and the password that shall be used from now on."""

    token: Secret
    password: Annotated[Secret, Field(description="8 to 128 characters; no common one, and none with your name in it.")]


class PasswordReset(BaseModel):
    """What to sign on with."""

    user_id: str


@router.post(
    "/user-id",
    status_code=202,
    dependencies=[public("whoever has forgotten their user ID cannot sign on")],
    summary="Have your user ID mailed to you",
)
async def ask_for_user_id(said: Forgotten, session: Session, ctx: Ctx, key: IdempotencyKey) -> MailOnItsWay:
    """To any address that you have proven."""
    await send_user_id(ctx, session, said.email, said.language)
    return MailOnItsWay()


@router.post(
    "/password",
    status_code=202,
    dependencies=[public("whoever has forgotten their password cannot sign on")],
    summary="Ask to choose a new password",
)
async def ask_to_reset(said: Forgotten, session: Session, ctx: Ctx, told: Told, key: IdempotencyKey) -> ResetOnItsWay:
    """To any address that you have proven. Until the token is used the old password is good, too."""
    minutes = told.password_reset_minutes
    await ask_for_new_password(ctx, session, said.email, said.language, minutes=minutes)
    return ResetOnItsWay(valid_minutes=minutes)


@router.post(
    "/password/reset",
    dependencies=[public("the token in the email says who it is")],
    responses=refuses(MailedTokenNotGood, PasswordNotGood, TooBusy),
    summary="Choose a new password",
)
async def choose_password(said: NewPassword, session: Session, ctx: Ctx, told: Told) -> PasswordReset:
    """All of your sessions end, and you are told by email. You are not signed on by this: do that with the new password.

    The token is good once. A password that is refused leaves it good.
    """
    account = await reset_password(ctx, told, session, said.token.get_secret_value(), said.password.get_secret_value())
    return PasswordReset(user_id=account.user_id)
