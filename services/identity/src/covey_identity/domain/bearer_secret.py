"""Secrets that whoever has them is let in by: session tokens, tokens in emails, programs' secrets.

They have 256 random bits, so that a fast hash keeps them: nobody can try them all. Passwords are another matter.
"""

import hashlib
import secrets

SECRET_BYTES = 32


def new_secret() -> str:
    """A fresh secret, as it is shown once."""
    return secrets.token_urlsafe(SECRET_BYTES)


def digest(secret: str) -> bytes:
    """All that is stored of a secret."""
    return hashlib.sha256(secret.encode()).digest()
