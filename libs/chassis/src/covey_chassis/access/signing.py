"""Commands that a program signs, so that whoever carries them need not be trusted.

A command is a compact JWS (RFC 7515). Its header has ``alg`` (``Ed25519``, or ``EdDSA``, as it was called before), ``typ``
(``covey-command+jwt``: no other signature of the same key is mistaken for one), ``jwk`` (the public key), and nothing else.
Its claims are ``iss`` (the program's account), ``aud`` (the service that it is for), ``jti`` (a UUID of this command) and
``iat`` (whole seconds), beside what the command says.

A good signature says only that the key's holder has said it. Whether the key is the account's, and what the account may do,
is asked when the command is done (``checking.check_signed``). It may come more than once: its service does it once by
account, key and command ID. Not without the key: anybody can sign with one of their own in another's name.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from joserfc.util import urlsafe_b64decode, urlsafe_b64encode
from pydantic import BaseModel, Field

from covey_chassis.errors import Refusal
from covey_chassis.reading import parse_json

TYPE = "covey-command+jwt"
ALGORITHMS = ("Ed25519", "EdDSA")
LENGTH_MAX = 32_768
"""Characters of a signed command."""
SECONDS_MAX = 253_402_300_799
"""The last second of the year 9999."""


_PRIME = 2**255 - 19
_EIGHTH = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
WEAK = frozenset({0, 1, _EIGHTH, _PRIME - _EIGHTH, _PRIME - 1, _PRIME, _PRIME + 1})
"""The y coordinates of the points of small order: for such a key anybody can sign, and OpenSSL finds it good."""


class KeyNotGood(Refusal):
    """This is not an Ed25519 public key as a JWK (RFC 8037), or a weak one."""

    status = 422


class PrivateKeyShown(Refusal):
    """This is a private key, which nobody else may know: make a new pair, and register its public half alone."""

    status = 422


class SignatureNotGood(Refusal):
    """The command is not signed as it must be."""

    status = 403


@dataclass(frozen=True)
class Signed:
    """A command whose signature is good. Whether the key is one of the account's is not known yet."""

    account_id: UUID
    key_id: UUID
    command_id: UUID
    issued_at: datetime
    claims: Mapping[str, object]


class _Header(BaseModel, extra="forbid"):
    alg: str
    typ: Annotated[str, Field(pattern=f"^{TYPE.replace('+', '[+]')}$")]
    jwk: dict[str, Any]


class _Claims(BaseModel):
    iss: UUID
    aud: str
    jti: UUID
    iat: Annotated[int, Field(strict=True, ge=0, le=SECONDS_MAX)]


def read_signed(encoded: str, *, audience: str) -> Signed:
    """The command, if its signature is good and it is for this audience. How old it is, is not judged.

    Raises:
        SignatureNotGood: it is not signed as it must be, or is for somebody else.
    """
    if len(encoded) > LENGTH_MAX:
        raise SignatureNotGood
    try:
        header = _Header.model_validate(parse_json(urlsafe_b64decode(encoded.partition(".")[0].encode())))
        key = public_key(header.jwk)
        claims = parse_json(jws.deserialize_compact(encoded, key, algorithms=ALGORITHMS).payload)
        said = _Claims.model_validate(claims)
    except (JoseError, Refusal, ValueError) as error:
        raise SignatureNotGood from error
    if said.aud != audience or not isinstance(claims, dict):
        raise SignatureNotGood
    return Signed(said.iss, key_id(key), said.jti, datetime.fromtimestamp(said.iat, UTC), claims)


# --- keys ---


def public_key(jwk: Mapping[str, Any]) -> OKPKey:
    """The key, without anything else that the JWK says of it.

    Raises:
        PrivateKeyShown: its private part is there, too.
        KeyNotGood: it is no Ed25519 public key, or anybody could sign for it.
    """
    if "d" in jwk:
        raise PrivateKeyShown
    match jwk:
        case {"kty": "OKP", "crv": "Ed25519", "x": str(x)}:
            try:
                key = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": x})
            except (JoseError, ValueError) as error:
                raise KeyNotGood from error
            if int.from_bytes(_raw(key), "little") % 2**255 not in WEAK:
                return key
    raise KeyNotGood


def public_jwk(key: OKPKey) -> dict[str, str]:
    """The public half of a key as a JWK."""
    return {"crv": "Ed25519", "kty": "OKP", "x": urlsafe_b64encode(_raw(key)).decode()}


def _raw(key: OKPKey) -> bytes:
    assert isinstance(key.public_key, Ed25519PublicKey)
    return key.public_key.public_bytes_raw()


def key_id(key: OKPKey) -> UUID:
    """By what a key is known: a UUID (version 8) made of its thumbprint (RFC 7638, SHA-256)."""
    thumbprint = hashlib.sha256(json.dumps(public_jwk(key), separators=(",", ":")).encode()).digest()
    made = bytearray(thumbprint[:16])
    made[6] = made[6] & 0x0F | 0x80
    made[8] = made[8] & 0x3F | 0x80
    return UUID(bytes=bytes(made))
