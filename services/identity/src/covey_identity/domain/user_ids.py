"""User IDs: a letter and five digits, such as d45634."""

import secrets

LETTERS = "abcdefghjkmnpqrstuvwxyz"
"""Without those that are taken for a digit."""


def draw_user_id() -> str:
    """One at random. It may be somebody's already."""
    return f"{secrets.choice(LETTERS)}{secrets.randbelow(100_000):05d}"


def as_stored(typed: str) -> str:
    """A user ID, as somebody has typed it, in the form in which it is stored."""
    return typed.strip().casefold()
