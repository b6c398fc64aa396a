"""What an authenticator is to sign: a challenge that tells by itself whether it is ours, what it is for, and until when.

Anybody may ask for one, so none is stored: whoever asks for a million fills no table. It is good once all the same, as
those that were signed are remembered for longer than they are good. All instances take it, and a restart does not matter.
"""

import hashlib
import hmac
import secrets
from datetime import UTC, datetime, timedelta

CHALLENGE_MINUTES = 5
NONCE_BYTES = 16
"""At least as many must be random (WebAuthn, 13.4.3)."""
_EXPIRY_BYTES = 8
_KEY_FOR = b"covey passkey challenge"


def new_challenge(secret: str, bound_to: str, *, at: datetime) -> tuple[bytes, datetime]:
    """A challenge, and until when it is good.

    Args:
        secret: what only this service knows.
        bound_to: what it is for, and whose: it is good for nothing else.
        at: now.
    """
    expires_at = (at + timedelta(minutes=CHALLENGE_MINUTES)).replace(microsecond=0)
    told = secrets.token_bytes(NONCE_BYTES) + int(expires_at.timestamp()).to_bytes(_EXPIRY_BYTES, "big")
    return told + _tag(secret, bound_to, told), expires_at


def good_until(challenge: bytes, secret: str, bound_to: str, *, at: datetime) -> datetime | None:
    """Until when this challenge is good; None if it is not, or not any more, or is for something else."""
    told, tag = challenge[: NONCE_BYTES + _EXPIRY_BYTES], challenge[NONCE_BYTES + _EXPIRY_BYTES :]
    if not hmac.compare_digest(tag, _tag(secret, bound_to, told)):
        return None
    expires_at = datetime.fromtimestamp(int.from_bytes(told[NONCE_BYTES:], "big"), UTC)
    return expires_at if at < expires_at else None


def _tag(secret: str, bound_to: str, told: bytes) -> bytes:
    key = hmac.digest(secret.encode(), _KEY_FOR, hashlib.sha256)
    return hmac.digest(key, told + bound_to.encode(), hashlib.sha256)
