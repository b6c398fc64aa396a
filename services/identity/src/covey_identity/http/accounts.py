"""Accounts over HTTP: registering, signing on and off, access tokens, programs, staff.

Where an answer holds a secret, or a request a password, the command takes no Idempotency-Key: what is kept for that would
outlive what the secret is good for, and a fast hash of a password would be kept beside it.
"""

from datetime import datetime
from typing import Annotated, Any, Literal, Self, cast
from uuid import UUID

from covey_chassis.access import (
    AccountLocked,
    By,
    SignOnNeeded,
    StaffRight,
    public,
    signed_on,
    staff,
)
from covey_chassis.access.tokens import TOKEN_S
from covey_chassis.http import (
    After,
    Ctx,
    IdempotencyKey,
    Limit,
    Page,
    Session,
    page_of,
    refuses,
    service_router,
)
from covey_chassis.operations import Operator, only_operators
from fastapi import Depends, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from covey_identity import queries_accounts as queries
from covey_identity.attempts import TooManyAttempts
from covey_identity.domain import person_fields as fields
from covey_identity.domain.account import Account, AccountKind, AccountNotFound, ProgramNotFound
from covey_identity.domain.registration import NewRegistration, VerificationNotGood
from covey_identity.domain.session import AccountSession, SessionNotFound
from covey_identity.passwords import PasswordNotGood, TooBusy
from covey_identity.settings import Settings
from covey_identity.signing import signing_of
from covey_identity.use_cases.create_program import create_program
from covey_identity.use_cases.create_staff import NewStaff, create_staff
from covey_identity.use_cases.end_session import end_session
from covey_identity.use_cases.give_staff_rights import give_staff_rights
from covey_identity.use_cases.issue_client_token import ClientRefused, issue_client_token
from covey_identity.use_cases.issue_token import issue_token
from covey_identity.use_cases.lock_account import lock_account
from covey_identity.use_cases.register import register
from covey_identity.use_cases.remove_staff import NotStaff, remove_staff
from covey_identity.use_cases.replace_program_secret import replace_program_secret
from covey_identity.use_cases.sign_on import SignOnRefused, sign_on
from covey_identity.use_cases.unlock_account import unlock_account
from covey_identity.use_cases.verify_registration import verify_registration

registrations = service_router(prefix="/v1/registrations", tags=["registration"])
sessions = service_router(prefix="/v1/sessions", tags=["sessions"])
tokens = service_router(tags=["tokens"])
account = service_router(prefix="/v1/account", tags=["account"])
accounts = service_router(prefix="/v1/accounts", tags=["accounts"])
programs = service_router(prefix="/v1/programs", tags=["programs"])
members_of_staff = service_router(
    prefix="/internal/staff",
    tags=["staff"],
    role="workers",
    guard=only_operators,
    dependencies=[Depends(HTTPBearer(auto_error=False, description="The operator's token."))],
)
routers = [registrations, sessions, tokens, account, accounts, programs, members_of_staff]

Secret = Annotated[SecretStr, Field(min_length=1, max_length=1024)]

_session_bearer = HTTPBearer(auto_error=False, scheme_name="SessionToken", description="A session's token.")
SessionToken = Annotated[HTTPAuthorizationCredentials | None, Depends(_session_bearer)]


async def _settings(ctx: Ctx) -> Settings:
    return cast("Settings", ctx.settings)


Told = Annotated[Settings, Depends(_settings)]
"""Identity's own settings."""


class Body(BaseModel):
    """What a request says. A field that is not known is refused: it may be a misspelt one."""

    model_config = ConfigDict(extra="forbid")


# --- registering ---


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


@registrations.post(
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


@registrations.post(
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


# --- sessions ---


class SignOn(Body):
    """Who signs on."""

    user_id: Annotated[str, Field(min_length=1, max_length=100, examples=["d45634"])]
    password: Secret


class SignedOn(BaseModel):
    """The new session. Its token is shown this once."""

    session_id: UUID
    session_token: str
    account_id: UUID
    expires_at: datetime


class SessionView(BaseModel):
    """One of your own sessions."""

    session_id: UUID
    started_at: datetime
    used_at: Annotated[datetime, Field(description="When it last asked for an access token.")]
    expires_at: Annotated[datetime | None, Field(description="Null for the standing session of a program.")]
    is_current: Annotated[bool, Field(description="This request belongs to it.")]


@sessions.post(
    "",
    status_code=201,
    dependencies=[public("whoever signs on is not signed on yet")],
    responses=refuses(SignOnRefused, AccountLocked, TooManyAttempts, TooBusy),
    summary="Sign on",
)
async def start_session(who: SignOn, session: Session, ctx: Ctx, told: Told) -> SignedOn:
    """After some failures for a user ID there are growing pauses, whether or not there is such a user ID."""
    started, token = await sign_on(ctx, told, session, who.user_id, who.password.get_secret_value())
    assert started.expires_at is not None  # only a program's has no end
    return SignedOn(
        session_id=started.id,
        session_token=token,
        account_id=started.account_id,
        expires_at=started.expires_at,
    )


@sessions.get("", dependencies=[signed_on()], summary="Your sessions, the latest first")
async def list_own_sessions(
    by: By, session: Session, ctx: Ctx, told: Told, limit: Limit, after: After
) -> Page[SessionView]:
    """Those that are not over yet."""
    query = queries.sessions_of(by.account_id, at=ctx.clock.now(), idle_minutes=told.session_idle_minutes)
    found, following = await page_of(session, query, by=[AccountSession.id], limit=limit, after=after, descending=True)
    items = [
        SessionView(
            session_id=each.id,
            started_at=each.started_at,
            used_at=each.used_at,
            expires_at=each.expires_at,
            is_current=each.id == by.session_id,
        )
        for each in found
    ]
    return Page(items=items, next=following)


@sessions.delete(
    "/{session_id}",
    status_code=204,
    dependencies=[signed_on()],
    responses=refuses(SessionNotFound),
    summary="Sign off, here or elsewhere",
)
async def end_own_session(session_id: UUID | Literal["current"], by: By, session: Session, ctx: Ctx) -> None:
    """One of your own sessions by its ID; `current` is the one that this request belongs to."""
    ending = by.session_id if session_id == "current" else session_id
    assert ending is not None  # whoever asks over HTTP does so in a session
    await end_session(session, ending, by, at=ctx.clock.now())


# --- access tokens ---


class AccessToken(BaseModel):
    """A token that every service takes. It says who is signed on, never what they may do."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - a kind of token
    expires_in: Annotated[int, Field(description="Seconds.")] = TOKEN_S


class ClientCredentials(Body):
    """Which program signs on."""

    client_id: Annotated[str, Field(min_length=1, max_length=100, examples=["p20417"])]
    client_secret: Secret


class Jwks(BaseModel):
    """A JSON Web Key Set (RFC 7517)."""

    keys: list[dict[str, Any]]


@tokens.post(
    "/v1/tokens",
    dependencies=[public("the session's token says who it is")],
    responses=refuses(SignOnNeeded),
    summary="Turn a session's token into an access token",
)
async def issue_access_token(bearer: SessionToken, session: Session, ctx: Ctx, told: Told) -> AccessToken:
    """A session that asks for none for some minutes is over."""
    if bearer is None:
        raise SignOnNeeded
    token = await issue_token(
        session,
        bearer.credentials,
        at=ctx.clock.now(),
        idle_minutes=told.session_idle_minutes,
        key=signing_of(told).key,
    )
    return AccessToken(access_token=token)


@tokens.post(
    "/v1/client-tokens",
    dependencies=[public("the program's secret says who it is")],
    responses=refuses(ClientRefused, AccountLocked),
    summary="An access token for a program",
)
async def issue_program_token(who: ClientCredentials, session: Session, ctx: Ctx, told: Told) -> AccessToken:
    token = await issue_client_token(
        session,
        who.client_id,
        who.client_secret.get_secret_value(),
        at=ctx.clock.now(),
        key=signing_of(told).key,
    )
    return AccessToken(access_token=token)


@tokens.get(
    "/.well-known/jwks.json",
    dependencies=[public("they are public keys")],
    summary="The keys that access tokens are verified with",
)
async def read_token_keys(told: Told, response: Response) -> Jwks:
    response.headers["Cache-Control"] = "public, max-age=300"
    return Jwks.model_validate(signing_of(told).public)


# --- accounts ---


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
    market_region: Annotated[str, Field(description="Empty for the carrier's own staff.")]
    language: str


class AccountStatus(BaseModel):
    """Whether an account can be used."""

    account_id: UUID
    user_id: str
    locked_at: Annotated[datetime | None, Field(description="Null when it is not locked.")]

    @classmethod
    def of(cls, found: Account) -> Self:
        return cls(account_id=found.id, user_id=found.user_id, locked_at=found.locked_at)


@account.get("", dependencies=[signed_on()], responses=refuses(AccountNotFound), summary="Your account")
async def read_own_account(by: By, session: Session) -> AccountInformation:
    found = await session.get(Account, by.account_id)
    if found is None:
        raise AccountNotFound(id=by.account_id)
    return AccountInformation(
        account_id=found.id,
        user_id=found.user_id,
        kind=found.kind,
        first_name=found.first_name,
        middle_initial=found.middle_initial,
        last_name=found.last_name,
        company=found.company,
        program_name=found.program_name,
        addresses=await queries.addresses_of(session, found.id),
        market_region=found.market_region,
        language=found.language,
    )


@accounts.post(
    "/{account_id}/lock",
    dependencies=[staff(StaffRight.ACCESS_APPROVE)],
    responses=refuses(AccountNotFound),
    summary="Lock an account",
)
async def lock(account_id: UUID, by: By, session: Session, ctx: Ctx, key: IdempotencyKey) -> AccountStatus:
    """All of its sessions end, and nobody does anything with it until it is unlocked."""
    return AccountStatus.of(await lock_account(session, account_id, by, at=ctx.clock.now()))


@accounts.post(
    "/{account_id}/unlock",
    dependencies=[staff(StaffRight.ACCESS_APPROVE)],
    responses=refuses(AccountNotFound),
    summary="Unlock an account",
)
async def unlock(account_id: UUID, by: By, session: Session, key: IdempotencyKey) -> AccountStatus:
    """It can be signed on with again."""
    return AccountStatus.of(await unlock_account(session, account_id, by))


# --- programs ---


class NewProgram(Body):
    """What the program is called."""

    name: fields.ProgramName


class ProgramSecret(BaseModel):
    """What the program signs on with. The secret is shown this once."""

    account_id: UUID
    client_id: str
    client_secret: str


@programs.post("", status_code=201, dependencies=[staff(StaffRight.OPERATIONS)], summary="Let a program sign on")
async def make_program(new: NewProgram, session: Session, ctx: Ctx) -> ProgramSecret:
    """It has no rights by that: it is given grants, as a person is."""
    made, secret = await create_program(session, new.name, at=ctx.clock.now())
    return ProgramSecret(account_id=made.id, client_id=made.user_id, client_secret=secret)


@programs.post(
    "/{account_id}/secret",
    dependencies=[staff(StaffRight.OPERATIONS)],
    responses=refuses(ProgramNotFound),
    summary="Replace a program's secret",
)
async def replace_secret(account_id: UUID, by: By, session: Session, ctx: Ctx) -> ProgramSecret:
    """The old one is of no use from now on.

    The access tokens that were had with it are refused within moments, and about 8 seconds later at most: by then every
    service goes by it.
    """
    found, secret = await replace_program_secret(session, account_id, by, at=ctx.clock.now())
    return ProgramSecret(account_id=found.id, client_id=found.user_id, client_secret=secret)


# --- staff ---


class StaffBody(Body):
    """Who is a member of the carrier's staff, and what they may do in all groups."""

    first_name: fields.PersonName
    last_name: fields.PersonName
    email: fields.Email
    rights: Annotated[list[StaffRight], Field(min_length=1)]


class StaffRights(Body):
    """What somebody may do in all groups, and nothing else."""

    rights: Annotated[list[StaffRight], Field(min_length=1)]


class StaffMember(BaseModel):
    """A member of the carrier's staff. A program has a name instead of a person's, and no address."""

    account_id: UUID
    user_id: str
    first_name: str
    last_name: str
    program_name: str | None = None
    email: str | None = None
    rights: list[str]

    @classmethod
    def of(cls, found: Account, rights: list[str]) -> Self:
        return cls(
            account_id=found.id,
            user_id=found.user_id,
            first_name=found.first_name,
            last_name=found.last_name,
            program_name=found.program_name,
            email=None if found.kind is AccountKind.PROGRAM else found.address,
            rights=rights,
        )


class NewStaffMember(StaffMember):
    """Somebody who is a member of the staff now."""

    password: Annotated[str | None, Field(description="Shown this once; left out when there was an account.")] = None


@members_of_staff.post(
    "",
    status_code=201,
    response_model_exclude_none=True,
    responses=refuses(TooBusy)
    | {200: {"model": NewStaffMember, "description": "There was an account: its rights are these now."}},
    summary="Make somebody staff",
)
async def make_staff(
    body: StaffBody, session: Session, ctx: Ctx, told: Told, response: Response, operator: Operator = "operator"
) -> NewStaffMember:
    """Whoever has the address already gets these rights and no others, and is answered with 200, without a password."""
    new = NewStaff(first_name=body.first_name, last_name=body.last_name, email=body.email, rights=body.rights)
    found, password = await create_staff(ctx, told, session, new, operator=operator)
    if password is None:
        response.status_code = 200
    await session.flush()
    rights = await queries.staff_rights(session, [found.id])
    return NewStaffMember(**dict(StaffMember.of(found, rights[found.id])), password=password)


@members_of_staff.get("", summary="The carrier's staff")
async def list_staff(session: Session, limit: Limit, after: After) -> Page[StaffMember]:
    """Everybody who has a staff right, by user ID."""
    found, following = await page_of(session, queries.staff(), by=[Account.user_id], limit=limit, after=after)
    rights = await queries.staff_rights(session, [each.id for each in found])
    return Page(items=[StaffMember.of(each, rights[each.id]) for each in found], next=following)


@members_of_staff.put(
    "/{account_id}", responses=refuses(AccountNotFound), summary="Say what a member of the staff may do"
)
async def set_staff_rights(
    account_id: UUID, body: StaffRights, session: Session, operator: Operator = "operator"
) -> StaffMember:
    """Whoever has this account, a person or a program, has these rights from now on and no others."""
    found = await give_staff_rights(session, account_id, body.rights, operator=operator)
    rights = await queries.staff_rights(session, [found.id])
    return StaffMember.of(found, rights[found.id])


@members_of_staff.delete(
    "/{account_id}", status_code=204, responses=refuses(NotStaff), summary="Take all staff rights away"
)
async def take_staff_rights(account_id: UUID, session: Session, operator: Operator = "operator") -> None:
    """The account stays."""
    await remove_staff(session, account_id, operator=operator)
