"""Registering (R-03): ask for an account, prove the address, choose a password."""

from typing import Annotated
from uuid import UUID

from covey_chassis.access import public
from covey_chassis.http import Ctx, IdempotencyKey, Session, refuses, service_router
from pydantic import BaseModel, Field

from covey_identity.domain.registration import NewRegistration, VerificationNotGood
from covey_identity.http.shared import Body, Secret, Told
from covey_identity.passwords import PasswordNotGood, TooBusy
from covey_identity.use_cases.register import register
from covey_identity.use_cases.verify_registration import verify_registration

router = service_router(prefix="/v1/registrations", tags=["registration"])


class RegistrationTaken(BaseModel):
    """An email is on its way, unless there have been too many to this address.

    Whether the address had an account already is told there and nowhere else.
    """

    valid_hours: Annotated[int, Field(description="For how long the token in the email can be used.")]


class Verification(Body):
    """What the email said, and the password that shall be used from now on."""

    token: Secret
    password: Annotated[Secret, Field(description="8 to 128 characters; no common one, and none with your name in it.")]


class Verified(BaseModel):
    """The new account, and what to sign on with."""

    account_id: UUID
    user_id: str


@router.post(
    "", status_code=202, dependencies=[public("whoever registers has no account yet")], summary="Ask for an account"
)
async def ask_for_account(
    new: NewRegistration, session: Session, ctx: Ctx, told: Told, key: IdempotencyKey
) -> RegistrationTaken:
    """The answer is always the same. Several registrations may wait for one address: each email's token is good.

    After some registrations for an address there are growing pauses in which no email is sent to it, whether or not it
    has an account; the answer does not tell.
    """
    await register(ctx, session, new, hours=told.registration_hours)
    return RegistrationTaken(valid_hours=told.registration_hours)


@router.post(
    "/verification",
    status_code=201,
    dependencies=[public("the token in the email says who it is")],
    responses=refuses(VerificationNotGood, PasswordNotGood, TooBusy),
    summary="Prove the address, and choose a password",
)
async def verify_address(said: Verification, session: Session, ctx: Ctx, told: Told) -> Verified:
    """The token is good once. A password that is refused leaves it good.

    The account is made of what was asked for with this token; other tokens for the address are of no use any more.
    """
    made = await verify_registration(
        ctx, told, session, said.token.get_secret_value(), said.password.get_secret_value()
    )
    return Verified(account_id=made.id, user_id=made.user_id)
