"""Secrets that people type: Crockford's base32, in groups of four.

Typed in any case, with or without dashes and spaces; what looks alike is taken for what it looks like.
"""

import secrets

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""No I, L, O, U: each character is five bits."""

_LOOKS_LIKE = str.maketrans({"O": "0", "I": "1", "L": "1"})


def draw(length: int) -> str:
    """A new secret of so many characters, all of them random."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def shown(secret: str) -> str:
    """As a person reads and types it: ``7F3K-9QWD-2MXR-V0TA``."""
    return "-".join(secret[start : start + 4] for start in range(0, len(secret), 4))


def as_typed(text: str, length: int) -> str | None:
    """The secret that somebody typed; None when it cannot be one of this length."""
    secret = "".join(text.split()).replace("-", "").upper().translate(_LOOKS_LIKE)
    return secret if len(secret) == length and set(secret) <= set(ALPHABET) else None
