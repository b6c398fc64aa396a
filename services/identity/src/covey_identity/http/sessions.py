"""Signing on and off, and access tokens (R-04)."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from covey_chassis.access import AccountLocked, By, SignOnNeeded, public, signed_on
from covey_chassis.access.tokens import TOKEN_S
from covey_chassis.http import After, Ctx, Limit, Page, Session, page_of, refuses, service_router
from fastapi import Depends, Query, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from covey_identity import queries_accounts as queries
from covey_identity.attempts import TooManyAttempts
from covey_identity.audit import refusals_audited
from covey_identity.domain.session import AccountSession, ChallengeNotGood, SessionNotFound, SignOnChallenge
from covey_identity.http.shared import Body, FactorCode, Secret, Told
from covey_identity.passwords import TooBusy
from covey_identity.queries_history import origins_of
from covey_identity.second_factors import FactorCodeWrong
from covey_identity.signing import signing_of
from covey_identity.use_cases.end_session import end_session
from covey_identity.use_cases.finish_sign_on import finish_sign_on
from covey_identity.use_cases.issue_client_token import ClientRefused, issue_client_token
from covey_identity.use_cases.issue_token import issue_token
from covey_identity.use_cases.sign_on import SignOnRefused, sign_on

sessions = service_router(prefix="/v1/sessions", tags=["sessions"])
tokens = service_router(tags=["tokens"])

_session_bearer = HTTPBearer(auto_error=False, scheme_name="SessionToken", description="A session's token.")
SessionToken = Annotated[HTTPAuthorizationCredentials | None, Depends(_session_bearer)]


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

    @classmethod
    def of(cls, started: AccountSession, token: str) -> Self:
        assert started.expires_at is not None  # only a program's has no end
        return cls(
            session_id=started.id,
            session_token=token,
            account_id=started.account_id,
            expires_at=started.expires_at,
        )


class HalfSignedOn(BaseModel):
    """The password is right. A second factor is asked for, too."""

    challenge: Annotated[str, Field(description="To be sent with the second factor.")]
    expires_at: datetime


class SecondStep(Body):
    """The challenge, and what the app shows, or a recovery code."""

    challenge: Secret
    code: FactorCode


class SessionView(BaseModel):
    """One of your own sessions."""

    session_id: UUID
    started_at: datetime
    used_at: Annotated[datetime, Field(description="When it last asked for an access token.")]
    expires_at: Annotated[datetime | None, Field(description="Null for the standing session of a program.")]
    origin: Annotated[str | None, Field(description="The address that it was begun from, if that is known.")]
    is_current: Annotated[bool, Field(description="This request belongs to it.")]


@sessions.post(
    "",
    status_code=201,
    response_model=SignedOn,
    dependencies=[public("whoever signs on is not signed on yet")],
    responses=refuses(SignOnRefused, AccountLocked, TooManyAttempts, TooBusy)
    | {202: {"model": HalfSignedOn, "description": "The password is right; a second factor is asked for, too."}},
    summary="Sign on",
)
async def start_session(who: SignOn, session: Session, ctx: Ctx, told: Told) -> SignedOn | JSONResponse:
    """After some failures for a user ID there are growing pauses, whether or not there is such a user ID."""
    begun, token = await sign_on(ctx, told, session, who.user_id, who.password.get_secret_value())
    if isinstance(begun, SignOnChallenge):
        half = HalfSignedOn(challenge=token, expires_at=begun.expires_at)
        return JSONResponse(half.model_dump(mode="json"), 202)
    return SignedOn.of(begun, token)


@sessions.post(
    "/second-factor",
    status_code=201,
    dependencies=[public("the challenge says who it is")],
    responses=refuses(ChallengeNotGood, FactorCodeWrong, TooManyAttempts),
    summary="Sign on: the second factor",
)
async def finish_session(step: SecondStep, session: Session, ctx: Ctx, told: Told) -> SignedOn:
    """The challenge is good for five minutes, until it is met. After some failures there are growing pauses."""
    challenge, code = step.challenge.get_secret_value(), step.code.get_secret_value()
    return SignedOn.of(*await finish_sign_on(ctx, told, session, challenge, code))


@sessions.get("", dependencies=[signed_on()], summary="Your sessions, the latest first")
async def list_own_sessions(
    by: By, session: Session, ctx: Ctx, told: Told, limit: Limit, after: After
) -> Page[SessionView]:
    """Those that are not over yet."""
    query = queries.sessions_of(by.account_id, at=ctx.clock.now(), idle_minutes=told.session_idle_minutes)
    found, following = await page_of(session, query, by=[AccountSession.id], limit=limit, after=after, descending=True)
    origins = await origins_of(session, by.account_id, [each.id for each in found if each.expires_at])
    items = [
        SessionView(
            session_id=each.id,
            origin=origins.get(each.id),
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


class AccessToken(BaseModel):
    """A token that every service takes. It says who is signed on, never what they may do."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - a kind of token
    expires_in: Annotated[int, Field(description="Seconds.")] = TOKEN_S


class SessionsAccessToken(AccessToken):
    """One for a session, and when that is over."""

    idle_ends_at: Annotated[datetime, Field(description="When the session is over unless it is used again.")]
    expires_at: Annotated[datetime, Field(description="When it is over however much it is used.")]


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
async def issue_access_token(
    bearer: SessionToken,
    session: Session,
    ctx: Ctx,
    told: Told,
    in_background: Annotated[
        bool, Query(description="For what goes on without anybody doing something: the session does not count as used.")
    ] = False,
) -> SessionsAccessToken:
    """A session that asks for none for some minutes is over."""
    if bearer is None:
        raise SignOnNeeded
    issued = await issue_token(
        session,
        bearer.credentials,
        at=ctx.clock.now(),
        idle_minutes=told.session_idle_minutes,
        key=signing_of(told).key,
        in_background=in_background,
    )
    return SessionsAccessToken(
        access_token=issued.token, idle_ends_at=issued.idle_ends_at, expires_at=issued.expires_at
    )


@tokens.post(
    "/v1/client-tokens",
    dependencies=[public("the program's secret says who it is")],
    responses=refuses(ClientRefused, AccountLocked),
    summary="An access token for a program",
)
async def issue_program_token(who: ClientCredentials, session: Session, ctx: Ctx, told: Told) -> AccessToken:
    async with refusals_audited(ctx, "program.signed-on", session=session):
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
