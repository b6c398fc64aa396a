"""What a log must not hold, taken out just before it is written: by the names of fields, and by the look of values."""

import re
from collections.abc import Callable, Mapping
from typing import Any

HIDDEN = "[hidden]"
TEXT_MAX = 8000
"""Characters of one text; the patterns below stay fast on it."""
DEPTH_MAX = 12

_SECRET_NAME = re.compile(
    r"""
    passw | passphrase | secret | token | authori[sz]ation | cookie | credential | api_?key | private_?key | signature
    | sealed | plaintext | payload | ssn | social_?sec | tax_?id | \bein\b | e_?mail | phone | birth | \bdob\b
    | ^(body|code|access_?code|otp|pin|jwt|jwe|to|recipients?)$
    | ^(address(_?line)?s?|street|zip|(first|last|full|given|family)_?name)$
    """,
    re.IGNORECASE | re.VERBOSE,
)

_SECRET_VALUES: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    # What PostgreSQL, SQLAlchemy, asyncpg and pydantic quote of the values that they were given.
    (re.compile(r"\[parameters: .*", re.DOTALL), f"[parameters: {HIDDEN}]"),
    (re.compile(r"(?m)^(\s*DETAIL: ).*$"), rf"\1{HIDDEN}"),
    (re.compile(r"Key \([^)\n]*\)=\(.*?\) (?=already|is|conflicts)", re.DOTALL), f"Key {HIDDEN} "),
    (re.compile(r"Failing row contains \(.*", re.DOTALL), f"Failing row contains {HIDDEN}"),
    (re.compile(r"(invalid input for query argument \$\d+[^:\n]*: ).*", re.DOTALL), rf"\1{HIDDEN}"),
    (re.compile(r"(invalid input syntax for [^:\n]*: ).*"), rf"\1{HIDDEN}"),
    (re.compile(r"input_value=.*?(?=, input_type=)", re.DOTALL), f"input_value={HIDDEN}"),
    # What is a secret or personal wherever it stands.
    (re.compile(r"\beyJ[\w-]+(?:\.[\w-]*){1,4}"), HIDDEN),
    (re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{6,}", re.IGNORECASE), rf"\1 {HIDDEN}"),
    (re.compile(r"(://[^\s:/@]*):[^\s@/]*@"), rf"\1:{HIDDEN}@"),
    (
        re.compile(
            r"""(["']?\b\w*(?:passw|passphrase|secret|token|api_?key|ssn|access_?code)\w*["']?\s*[=:]\s*)"""
            r"""("[^"\n]*"|'[^'\n]*'|[^\s,;&)}\]]+)""",
            re.IGNORECASE,
        ),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}"), HIDDEN),
    (re.compile(r"(?<![\w-])\d{3}[- ]\d{2}[- ]\d{4}(?![\w-])"), HIDDEN),
)


_PLAIN = re.compile(r"(?!.*(?:eyJ|\d{3}-\d{2}-\d{4}))[\w./{}-]*")
"""Texts in which none of these can be, such as names, routes and IDs: most of what a log line holds."""


def redacted_text(text: str) -> str:
    """The text without what looks like a secret or like personal data."""
    if len(text) <= TEXT_MAX and _PLAIN.fullmatch(text):
        return text
    shown = text if len(text) <= TEXT_MAX else text[:TEXT_MAX] + " [cut]"
    for pattern, instead in _SECRET_VALUES:
        shown = pattern.sub(instead, shown)
    return shown


def redacted(value: object, depth: int = 0) -> Any:
    """A copy of the value that a log may hold. What is no plain value becomes its text first."""
    if depth > DEPTH_MAX:
        return "[deep]"
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return redacted_text(str(value))
        case bytes() | bytearray() | memoryview():
            return f"[{len(value)} bytes]"
        case Mapping():
            return {
                redacted_text(str(name)): HIDDEN if hides(str(name), each) else redacted(each, depth + 1)
                for name, each in value.items()
            }
        case list() | tuple() | set() | frozenset():
            return [redacted(each, depth + 1) for each in value]
        case BaseException():
            return redacted_text(f"{type(value).__name__}: {value}")
        case _:
            return redacted_text(_said(value))


def hides(name: str, value: object) -> bool:
    """Whether a field of this name is never shown. Yes, no and nothing tell no secret."""
    return value is not None and not isinstance(value, bool) and _SECRET_NAME.search(name.replace("-", "_")) is not None


def _said(value: object) -> str:
    try:
        return str(value)
    except Exception as error:  # a log line must not fail for what it tells of
        return f"<{type(value).__name__}: {type(error).__name__}>"
