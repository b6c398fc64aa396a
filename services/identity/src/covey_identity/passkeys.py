"""Passkeys are the portal's: browsers show one only to the address that it was made for (WebAuthn level 3).

The library (py_webauthn) takes apart what an authenticator said, and verifies it. What is read of it before that is
believed for as long only as it takes to find the key.
"""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

import structlog
import webauthn
from covey_chassis.access import Actor
from covey_chassis.errors import Refusal
from covey_chassis.http import Ctx
from covey_chassis.service import Context
from fastapi import Depends
from sqlalchemy.ext.asyncio import AsyncSession
from webauthn.helpers import base64url_to_bytes, options_to_json_dict, parse_client_data_json
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    CredentialDeviceType,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from covey_identity.audit import Author, Entry, audit
from covey_identity.domain.account import Account
from covey_identity.domain.mail import Purpose
from covey_identity.domain.passkey import Passkey, PasskeyNotGood, PasskeyRefused
from covey_identity.domain.passkey_challenge import CHALLENGE_MINUTES, good_until, new_challenge
from covey_identity.mailing import tell_holder
from covey_identity.queries_accounts import forget_passkeys
from covey_identity.settings import Settings, settings_of

log = structlog.get_logger(__name__)

SIGNING_ON = "sign-on"
"""What the challenges of those who sign on are bound to: nobody has said yet who they are."""
_TIMEOUT_MS = CHALLENGE_MINUTES * 60_000


class PasskeysNotOffered(Refusal):
    """Passkeys are not offered here: the portal has no address that they could be for."""


def adding_to(account: Account, actor: Actor) -> str:
    """What the challenge of a new passkey is bound to: account and session, and the password that was shown for it."""
    return f"add {account.id} {actor.session_id} {account.password_hash}"


@dataclass(frozen=True)
class Asked:
    """What a browser is to be given, as JSON, and until when it is of use."""

    options: dict[str, Any]
    expires_at: datetime


@dataclass(frozen=True)
class Signed:
    """A challenge that an authenticator has signed, and until when it is good."""

    challenge: bytes = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True)
class Created:
    """A passkey that an authenticator has made."""

    signed: Signed
    credential_id: bytes = field(repr=False)
    public_key: bytes = field(repr=False)
    sign_count: int
    transports: list[str]
    backup_eligible: bool
    backed_up: bool


@dataclass(frozen=True)
class Shown:
    """A passkey that somebody wants to sign on with. Nothing but the challenge has been verified."""

    signed: Signed
    credential_id: bytes = field(repr=False)
    user_handle: bytes = field(repr=False)


@dataclass(frozen=True)
class Used:
    """What an authenticator says of a passkey that it has signed with."""

    sign_count: int
    backup_eligible: bool
    backed_up: bool


@dataclass(frozen=True)
class RelyingParty:
    """Whom passkeys are for: the portal."""

    domain: str
    origin: str
    name: str
    secret: str = field(repr=False)

    # --- making one ---

    def ask_to_create(
        self, account: Account, handle: bytes, known: Sequence[Passkey], bound_to: str, *, at: datetime
    ) -> Asked:
        """Of one that names its account by itself, and that its holder unlocks; on no device that has one already."""
        challenge, expires_at = new_challenge(self.secret, bound_to, at=at)
        options = webauthn.generate_registration_options(
            rp_id=self.domain,
            rp_name=self.name,
            user_id=handle,
            user_name=account.user_id,
            user_display_name=f"{account.first_name} {account.last_name}",
            challenge=challenge,
            timeout=_TIMEOUT_MS,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
            ),
            exclude_credentials=[
                PublicKeyCredentialDescriptor(
                    id=each.credential_id, transports=[AuthenticatorTransport(name) for name in each.transports]
                )
                for each in known
            ],
        )
        return Asked(options_to_json_dict(options), expires_at)

    def created(self, credential: Mapping[str, Any], bound_to: str, *, at: datetime) -> Created:
        """What an authenticator has made of that.

        Who made the authenticator is not asked (no attestation): the holder has chosen it.

        Raises:
            PasskeyNotGood: it is not for this portal or this challenge, or nobody has unlocked it.
        """
        with _refusing(PasskeyNotGood):
            signed = self._signed(credential, bound_to, at=at)
            made = webauthn.verify_registration_response(
                credential=dict(credential),
                expected_challenge=signed.challenge,
                expected_rp_id=self.domain,
                expected_origin=self.origin,
                require_user_verification=True,
            )
            said = webauthn.helpers.parse_registration_credential_json(dict(credential)).response.transports
            return Created(
                signed=signed,
                credential_id=made.credential_id,
                public_key=made.credential_public_key,
                sign_count=made.sign_count,
                transports=sorted({each.value for each in said or ()}),
                backup_eligible=made.credential_device_type is CredentialDeviceType.MULTI_DEVICE,
                backed_up=made.credential_backed_up,
            )

    # --- signing on with one ---

    def ask_to_show(self, *, at: datetime) -> Asked:
        """Whichever the browser's user chooses: no account is named, so nothing is told of any."""
        challenge, expires_at = new_challenge(self.secret, SIGNING_ON, at=at)
        options = webauthn.generate_authentication_options(
            rp_id=self.domain,
            challenge=challenge,
            timeout=_TIMEOUT_MS,
            user_verification=UserVerificationRequirement.REQUIRED,
        )
        return Asked(options_to_json_dict(options), expires_at)

    def shown(self, credential: Mapping[str, Any], *, at: datetime) -> Shown:
        """Which passkey somebody says that they have.

        Raises:
            PasskeyRefused: that cannot be read, or the challenge is not good.
        """
        with _refusing(PasskeyRefused):
            return Shown(
                signed=self._signed(credential, SIGNING_ON, at=at),
                credential_id=base64url_to_bytes(credential["id"]),
                user_handle=base64url_to_bytes(credential["response"]["userHandle"]),
            )

    def used(self, credential: Mapping[str, Any], signed: Signed, public_key: bytes) -> Used:
        """What its authenticator says, if it is this key that has signed. Signatures are counted by ``Passkey.use``.

        Raises:
            PasskeyRefused: it is not, or it is not for this portal, or nobody has unlocked it.
        """
        with _refusing(PasskeyRefused):
            verified = webauthn.verify_authentication_response(
                credential=dict(credential),
                expected_challenge=signed.challenge,
                expected_rp_id=self.domain,
                expected_origin=self.origin,
                credential_public_key=public_key,
                credential_current_sign_count=0,
                require_user_verification=True,
            )
            return Used(
                sign_count=verified.new_sign_count,
                backup_eligible=verified.credential_device_type is CredentialDeviceType.MULTI_DEVICE,
                backed_up=verified.credential_backed_up,
            )

    def _signed(self, credential: Mapping[str, Any], bound_to: str, *, at: datetime) -> Signed:
        said = parse_client_data_json(base64url_to_bytes(credential["response"]["clientDataJSON"]))
        expires_at = good_until(said.challenge, self.secret, bound_to, at=at)
        if expires_at is None:
            raise ValueError("the challenge is not good")
        if said.cross_origin:
            raise ValueError("the portal was in a frame of somebody else's page")
        return Signed(said.challenge, expires_at)


@contextmanager
def _refusing(refusal: type[Refusal]) -> Iterator[None]:
    """Whatever the library stumbles over is what a stranger has sent: it is refused, and only the log says why.

    Such as another address than ``COVEY_PORTAL_URL`` says. No secret is in what the library says.
    """
    try:
        yield
    except Exception as error:
        log.info("passkey.not_good", why=f"{type(error).__name__}: {error}"[:200])
        raise refusal from error


def relying_party(settings: Settings) -> RelyingParty | None:
    """The portal; None if it has no address, or one without a domain: passkeys need one (WebAuthn, 5.1.2)."""
    if settings.portal_url is None or settings.portal_url.host is None:
        return None
    domain = settings.portal_url.host
    try:
        ipaddress.ip_address(domain.strip("[]"))
    except ValueError:
        origin = str(settings.portal_url).removesuffix("/")
        return RelyingParty(domain, origin, settings.brand, settings.code_secret.get_secret_value())
    return None


async def _offered(ctx: Ctx) -> RelyingParty:
    party = relying_party(settings_of(ctx))
    if party is None:
        raise PasskeysNotOffered
    return party


Offered = Annotated[RelyingParty, Depends(_offered)]
"""The portal, of a route that refuses if it has no address that passkeys could be for."""


async def take_passkeys(context: Context, session: AsyncSession, account: Account, author: Author) -> int:
    """Remove all that an account has: whoever recovers it in another way leaves none behind that may be a stranger's.

    The holder is told, if there were any; how many. The account must be locked.
    """
    taken = await forget_passkeys(session, account.id)
    if taken:
        entry = Entry(act="passkeys.taken", author=author, subjects=[account.id], details={"passkeys": taken})
        await audit(session, entry)
        await tell_holder(session, account, Purpose.PASSKEY_REMOVED, seal=context.keyring.seal)
    return taken
