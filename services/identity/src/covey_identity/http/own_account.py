"""One's own account (R-13): name, language, password, and the addresses that one has proven.

Whoever changes what they sign on with, or could get in by, shows their password once more.
"""

from typing import Annotated, Literal, Self
from uuid import UUID

from covey_chassis.access import By, signed_on
from covey_chassis.http import (
    Ctx,
    IdempotencyKey,
    Session,
    StaleVersion,
    Version,
    refuses,
    says,
    service_router,
    set_etag,
)
from fastapi import Response
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity import queries_accounts as queries
from covey_identity.attempts import TooManyAttempts
from covey_identity.confirming import SHOWING_PASSWORD, PasswordReplaced, PasswordShown, renews, replace_before
from covey_identity.domain import person_fields as fields
from covey_identity.domain.account import (
    Account,
    AccountKind,
    AccountNotFound,
    AddressAlreadyYours,
    AddressNotFound,
    MainAddressStays,
    NotAPerson,
    PersonalData,
)
from covey_identity.domain.mailed_token import MailedTokenNotGood
from covey_identity.http.shared import Body, Secret, Told
from covey_identity.passwords import PasswordNotGood, PasswordWrong, TooBusy
from covey_identity.use_cases.add_address import add_address
from covey_identity.use_cases.change_account import change_account
from covey_identity.use_cases.change_password import change_password
from covey_identity.use_cases.choose_address import choose_address
from covey_identity.use_cases.drop_address import drop_address
from covey_identity.use_cases.prove_address import prove_address

router = service_router(prefix="/v1/account", tags=["account"])

OF_SHOWING_IT = (PasswordWrong, TooManyAttempts, TooBusy)


class AccountInformation(BaseModel):
    """What is known of you. A program has a name instead of a person's."""

    account_id: UUID
    user_id: str
    kind: AccountKind
    first_name: str
    middle_initial: str
    last_name: str
    company: str
    program_name: str | None
    addresses: Annotated[list[str], Field(description="Those that you have proven; you are written to at the first.")]
    proven_by_codes: Annotated[
        list[str],
        Field(
            description="Those of them that an access code alone has proven: by them nobody gets a forgotten user ID or "
            "a new password until you have chosen them as your main address."
        ),
    ]
    market_region: Annotated[str, Field(description="Empty for the carrier's own staff.")]
    language: str

    @classmethod
    async def of(cls, session: AsyncSession, account: Account) -> Self:
        await session.flush()
        return cls(
            account_id=account.id,
            user_id=account.user_id,
            kind=account.kind,
            first_name=account.first_name,
            middle_initial=account.middle_initial,
            last_name=account.last_name,
            company=account.company,
            program_name=account.program_name,
            addresses=await queries.addresses_of(session, account.id),
            proven_by_codes=[each.email for each in account.addresses if not each.recovers],
            market_region=account.market_region,
            language=account.language,
        )


class AccountChanges(Body):
    """What is different about you; what is left out, or null, stays as it is."""

    first_name: fields.PersonName | None = None
    middle_initial: Annotated[fields.MiddleInitial | Literal[""] | None, Field(description="Empty takes it away.")] = (
        None
    )
    last_name: fields.PersonName | None = None
    company: fields.Company | None = None
    market_region: fields.MarketRegion | None = None
    language: fields.Language | None = None


class PasswordChange(Body):
    """The password that you sign on with, and the one that you will sign on with."""

    password: Secret
    new_password: Annotated[
        Secret, Field(description="8 to 128 characters; no common one, and none with your name in it.")
    ]


class AnAddress(Body):
    """An email address, and your password."""

    email: fields.Email
    password: Secret


class AddressToken(Body):
    """What the email to the new address said."""

    token: Secret


class ProofOnItsWay(BaseModel):
    """An email is on its way to the address, unless there have been too many to it, or it is somebody else's."""

    valid_hours: Annotated[int, Field(description="For how long the token in the email can be used.")]


@router.get(
    "",
    dependencies=[signed_on()],
    responses=says(200, "ETag") | refuses(AccountNotFound),
    summary="Your account",
)
async def read_own_account(by: By, session: Session, response: Response) -> AccountInformation:
    found = await session.get(Account, by.account_id)
    if found is None:
        raise AccountNotFound(id=by.account_id)
    await set_etag(response, session, found)
    return await AccountInformation.of(session, found)


@router.patch(
    "",
    dependencies=[signed_on()],
    responses=says(200, "ETag") | refuses(AccountNotFound, NotAPerson, StaleVersion),
    summary="Say what is different about you",
)
async def change_own_account(
    changes: AccountChanges,
    version: Version,
    by: By,
    session: Session,
    ctx: Ctx,
    key: IdempotencyKey,
    response: Response,
) -> AccountInformation:
    """Your user ID stays. Your password and your addresses are changed by routes of their own."""
    to = PersonalData(**changes.model_dump())
    account = await change_account(session, by, version, to, seal=ctx.keyring.seal)
    await set_etag(response, session, account)
    return await AccountInformation.of(session, account)


@router.put(
    "/password",
    status_code=204,
    dependencies=[signed_on(before=replace_before)],
    responses=renews(204) | refuses(PasswordNotGood, *OF_SHOWING_IT),
    summary="Change your password",
)
async def change_own_password(
    change: PasswordChange, new: PasswordReplaced, by: By, session: Session, ctx: Ctx
) -> None:
    """All of your other sessions end, and you are told by email."""
    await change_password(ctx, session, by, new)


@router.post(
    "/addresses",
    status_code=202,
    dependencies=[SHOWING_PASSWORD],
    responses=renews(202) | refuses(AddressAlreadyYours, *OF_SHOWING_IT),
    summary="Ask to be written to at another address",
)
async def ask_for_address(
    said: AnAddress, shown: PasswordShown, by: By, session: Session, ctx: Ctx, told: Told
) -> ProofOnItsWay:
    """It gets a token by email. Whether it is somebody else's the answer does not tell."""
    await add_address(ctx, session, by, said.email, shown, hours=told.registration_hours)
    return ProofOnItsWay(valid_hours=told.registration_hours)


@router.post(
    "/addresses/verification",
    dependencies=[signed_on()],
    responses=refuses(MailedTokenNotGood),
    summary="Prove another address",
)
async def verify_new_address(said: AddressToken, by: By, session: Session, ctx: Ctx) -> AccountInformation:
    """You are written to at it from now on. The former one stays yours until you take it out."""
    account = await prove_address(ctx, session, by, said.token.get_secret_value())
    return await AccountInformation.of(session, account)


@router.put(
    "/addresses/main",
    dependencies=[SHOWING_PASSWORD],
    responses=renews(200) | refuses(AddressNotFound, *OF_SHOWING_IT),
    summary="Be written to at another of your addresses",
)
async def choose_main_address(
    said: AnAddress, shown: PasswordShown, by: By, session: Session, ctx: Ctx
) -> AccountInformation:
    """You are told so at the former one."""
    account = await choose_address(session, by, said.email, shown, seal=ctx.keyring.seal)
    return await AccountInformation.of(session, account)


@router.post(
    "/addresses/removal",
    dependencies=[SHOWING_PASSWORD],
    responses=renews(200) | refuses(AddressNotFound, MainAddressStays, *OF_SHOWING_IT),
    summary="Take out one of your addresses",
)
async def remove_address(
    said: AnAddress, shown: PasswordShown, by: By, session: Session, ctx: Ctx
) -> AccountInformation:
    """Such as that of a former employer: whoever reads its mail could choose a new password for you.

    What was given to you by it stays yours.
    """
    account = await drop_address(session, by, said.email, shown, seal=ctx.keyring.seal)
    return await AccountInformation.of(session, account)
