"""Passkeys of one's own, and signing on with one (R-04).

What goes to the browser and comes from it is WebAuthn's own JSON (level 3, 5.1.8): the portal hands it on, either way.
"""

from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from covey_chassis.access import AccountLocked, By, public, signed_on
from covey_chassis.http import Ctx, IdempotencyKey, Session, refuses, service_router
from pydantic import BaseModel, ConfigDict, Field

from covey_identity import queries_accounts as queries
from covey_identity.confirming import SHOWING_PASSWORD, PasswordShown, renews
from covey_identity.domain.passkey import (
    Passkey,
    PasskeyAlreadyRegistered,
    PasskeyCopied,
    PasskeyNotFound,
    PasskeyNotGood,
    PasskeyRefused,
    TooManyPasskeys,
)
from covey_identity.domain.person_fields import PasskeyName
from covey_identity.http.own_account import OF_SHOWING_IT
from covey_identity.http.second_factor import ShownPassword
from covey_identity.http.sessions import SignedOn
from covey_identity.http.shared import Body, Told
from covey_identity.passkeys import Offered, PasskeysNotOffered, relying_party
from covey_identity.use_cases.add_passkey import add_passkey
from covey_identity.use_cases.begin_passkey import begin_passkey
from covey_identity.use_cases.remove_passkey import remove_passkey
from covey_identity.use_cases.rename_passkey import rename_passkey
from covey_identity.use_cases.sign_on_by_passkey import sign_on_by_passkey

own = service_router(prefix="/v1/account/passkeys", tags=["passkeys"])
sign_on = service_router(prefix="/v1/sessions/passkey", tags=["sessions"])


def _base64url(longest: int) -> Any:
    return Field(max_length=longest, pattern="^[A-Za-z0-9_-]+$", description="base64url, without padding.")


class _OfBrowser(BaseModel):
    """What a browser says. More in it is passed over: it is not the portal that writes it."""

    model_config = ConfigDict(extra="ignore")

    def as_said(self) -> dict[str, Any]:
        return self.model_dump(by_alias=True)


class MadeResponse(_OfBrowser):
    """What an authenticator has made."""

    client_data: Annotated[str, _base64url(8_192)] = Field(alias="clientDataJSON")
    attestation_object: Annotated[str, _base64url(65_536)] = Field(alias="attestationObject")
    transports: Annotated[list[str], Field(max_length=20)] = []


class MadeCredential(_OfBrowser):
    """`PublicKeyCredential.toJSON()` of what `navigator.credentials.create()` gave."""

    id: Annotated[str, _base64url(1_364)]
    raw_id: Annotated[str, _base64url(1_364)] = Field(alias="rawId")
    type: Literal["public-key"]
    response: MadeResponse


class ShownResponse(_OfBrowser):
    """What an authenticator has signed."""

    client_data: Annotated[str, _base64url(8_192)] = Field(alias="clientDataJSON")
    authenticator_data: Annotated[str, _base64url(8_192)] = Field(alias="authenticatorData")
    signature: Annotated[str, _base64url(8_192)]
    user_handle: Annotated[str, _base64url(86)] = Field(alias="userHandle")


class ShownCredential(_OfBrowser):
    """`PublicKeyCredential.toJSON()` of what `navigator.credentials.get()` gave."""

    id: Annotated[str, _base64url(1_364)]
    raw_id: Annotated[str, _base64url(1_364)] = Field(alias="rawId")
    type: Literal["public-key"]
    response: ShownResponse


class ToCreate(BaseModel):
    """What your browser makes a passkey of."""

    options: Annotated[
        dict[str, Any],
        Field(
            description="For `PublicKeyCredential.parseCreationOptionsFromJSON()`, and with that as `publicKey` for "
            "`navigator.credentials.create()`."
        ),
    ]
    expires_at: datetime


class ToShow(BaseModel):
    """What your browser asks for a passkey by."""

    options: Annotated[
        dict[str, Any],
        Field(
            description="For `PublicKeyCredential.parseRequestOptionsFromJSON()`, and with that as `publicKey` for "
            "`navigator.credentials.get()`."
        ),
    ]
    expires_at: datetime


class PasskeyView(BaseModel):
    """One of your passkeys."""

    passkey_id: UUID
    name: str
    created_at: datetime
    last_used_at: Annotated[datetime | None, Field(description="When it last signed on; null when it never has.")]
    is_synced: Annotated[bool, Field(description="It is kept somewhere else, too, as it said last.")]

    @classmethod
    def of(cls, passkey: Passkey) -> Self:
        return cls(
            passkey_id=passkey.id,
            name=passkey.name,
            created_at=passkey.created_at,
            last_used_at=passkey.last_used_at,
            is_synced=passkey.backed_up,
        )


class PasskeyList(BaseModel):
    """Your passkeys."""

    is_offered: Annotated[bool, Field(description="You can add one, and sign on with those that you have.")]
    items: list[PasskeyView]


class NewPasskey(Body):
    """A passkey that your authenticator has made, and what you call it."""

    name: PasskeyName
    credential: MadeCredential


class AnotherName(Body):
    """What you call it from now on."""

    name: PasskeyName


class SignOnByPasskey(Body):
    """What your authenticator has signed."""

    credential: ShownCredential


@own.get("", dependencies=[signed_on()], summary="Your passkeys, the oldest first")
async def list_passkeys(by: By, session: Session, told: Told) -> PasskeyList:
    items = [PasskeyView.of(each) for each in await queries.passkeys_of(session, by.account_id)]
    return PasskeyList(is_offered=relying_party(told) is not None, items=items)


@own.post(
    "/options",
    dependencies=[SHOWING_PASSWORD],
    responses=renews(200) | refuses(PasskeysNotOffered, TooManyPasskeys, *OF_SHOWING_IT),
    summary="Begin to add a passkey",
)
async def begin_own_passkey(
    said: ShownPassword, shown: PasswordShown, party: Offered, by: By, session: Session, ctx: Ctx
) -> ToCreate:
    """It is good for five minutes, in this session, until your password changes."""
    asked = await begin_passkey(ctx, party, session, by, shown)
    return ToCreate(options=asked.options, expires_at=asked.expires_at)


@own.post(
    "",
    status_code=201,
    dependencies=[signed_on()],
    responses=refuses(PasskeysNotOffered, PasskeyNotGood, PasskeyAlreadyRegistered, TooManyPasskeys),
    summary="Add a passkey that your browser has made",
)
async def add_own_passkey(
    new: NewPasskey, party: Offered, by: By, session: Session, ctx: Ctx, key: IdempotencyKey
) -> PasskeyView:
    """You can sign on with it from now on, and are told so by email."""
    return PasskeyView.of(await add_passkey(ctx, party, session, by, new.name, new.credential.as_said()))


@own.put(
    "/{passkey_id}/name",
    dependencies=[signed_on()],
    responses=refuses(PasskeyNotFound),
    summary="Call a passkey by another name",
)
async def rename_own_passkey(
    passkey_id: UUID, said: AnotherName, by: By, session: Session, key: IdempotencyKey
) -> PasskeyView:
    return PasskeyView.of(await rename_passkey(session, by, passkey_id, said.name))


@own.post(
    "/{passkey_id}/removal",
    status_code=204,
    dependencies=[SHOWING_PASSWORD],
    responses=renews(204) | refuses(PasskeyNotFound, *OF_SHOWING_IT),
    summary="Remove a passkey",
)
async def remove_own_passkey(
    passkey_id: UUID, said: ShownPassword, shown: PasswordShown, by: By, session: Session, ctx: Ctx
) -> None:
    """All of your other sessions end, and you are told by email. It goes from here, not from your device."""
    await remove_passkey(ctx, session, by, passkey_id, shown)


@sign_on.post(
    "/options",
    dependencies=[public("whoever signs on is not signed on yet")],
    responses=refuses(PasskeysNotOffered),
    summary="Begin to sign on with a passkey",
)
async def begin_session_by_passkey(party: Offered, ctx: Ctx) -> ToShow:
    """It is good for five minutes, and for everybody: it names no account."""
    asked = party.ask_to_show(at=ctx.clock.now())
    return ToShow(options=asked.options, expires_at=asked.expires_at)


@sign_on.post(
    "",
    status_code=201,
    dependencies=[public("the passkey says who it is")],
    responses=refuses(PasskeysNotOffered, PasskeyRefused, PasskeyCopied, AccountLocked),
    summary="Sign on with a passkey",
)
async def start_session_by_passkey(
    said: SignOnByPasskey, party: Offered, session: Session, ctx: Ctx, told: Told
) -> SignedOn:
    """No second factor is asked for: a passkey that its holder has unlocked is two."""
    return SignedOn.of(*await sign_on_by_passkey(ctx, told, party, session, said.credential.as_said()))
