"""Keys of programs, and commands that they sign."""

import json
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.jwk import OKPKey
from joserfc.util import urlsafe_b64encode

from covey_chassis.access.signing import ALGORITHMS, TYPE, public_jwk
from covey_chassis.clock import Clock
from covey_chassis.ids import new_id


def new_key() -> OKPKey:
    """A fresh pair."""
    return OKPKey.generate_key("Ed25519")


def sign(
    key: OKPKey, account_id: UUID, *, audience: str, header: dict[str, object] | None = None, **claims: object
) -> str:
    """A command of this account as a program would send it. What is given stands instead of what is usual, good or bad."""
    usual = {"iss": str(account_id), "aud": audience, "jti": str(new_id()), "iat": int(Clock.now().timestamp())}
    said = {"alg": ALGORITHMS[0], "typ": TYPE, "jwk": public_jwk(key)} | (header or {})
    signing = b".".join(urlsafe_b64encode(json.dumps(part).encode()) for part in (said, usual | claims))
    assert isinstance(key.private_key, Ed25519PrivateKey)
    return b".".join([signing, urlsafe_b64encode(key.private_key.sign(signing))]).decode()
