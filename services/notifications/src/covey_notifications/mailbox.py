"""Names and addresses as they may stand in an email's headers, whatever was typed into them."""

import re
import unicodedata
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.utils import getaddresses

NAME_MAX = 100
"""Characters of a name in a header. Longer ones are cut: the text has the whole name."""

_LOCAL_PART = re.compile(r"[^\s@<>()\[\],;:\\\"\x00-\x1f\x7f]{1,64}")
_DOMAIN = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*", re.IGNORECASE)
_BIDI_CONTROLS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")

UNUSABLE = "not one address that mail can be sent to"


class UnusableAddress(ValueError):
    """Mail cannot be sent to this."""


def one_line(text: str) -> str:
    """The text without line breaks, control characters and what would turn the direction of the text around it."""
    without_turns = _BIDI_CONTROLS.sub("", text)
    visible = "".join(" " if unicodedata.category(each) in ("Cc", "Zl", "Zp", "Cs") else each for each in without_turns)
    return " ".join(visible.split())


def lines(text: str) -> list[str]:
    """The text's lines, each as one line; between two paragraphs is one empty line, and none around the whole."""
    paragraphs = re.split(r"\n{2,}", "\n".join(one_line(each) for each in text.splitlines()).strip("\n"))
    return "\n\n".join(paragraphs).split("\n")


def in_header(text: str, longest: int = NAME_MAX) -> str:
    """The text as part of a header.

    ``=?`` is taken apart: Python decodes what looks like an encoded word, line breaks in it included, and would write
    them into the message as headers of their own.
    """
    line = one_line(text)
    if len(line) > longest:
        line = line[: longest - 1].rstrip() + "…"
    return line.replace("=?", "= ?")


def address(name: str, email: str) -> Address:
    """The mailbox for a header and the envelope. The domain is in its ASCII form.

    Raises:
        UnusableAddress: ``email`` is not one address.
    """
    local_part, _, domain = email.strip().rpartition("@")
    try:
        domain = domain.encode("idna").decode()
    except UnicodeError:
        raise UnusableAddress(UNUSABLE) from None
    if (
        not _LOCAL_PART.fullmatch(local_part)
        or "=?" in local_part
        or not _DOMAIN.fullmatch(domain)
        or len(domain) > 253
    ):
        raise UnusableAddress(UNUSABLE)
    try:
        return Address(display_name=in_header(name), username=local_part, domain=domain)
    except (ValueError, HeaderParseError):
        raise UnusableAddress(UNUSABLE) from None


def usable_mailbox(mailbox: str) -> str:
    """The mailbox itself, if mail can be sent by it: ``Covey <no-reply@carrier.example>``, or an address alone.

    Raises:
        UnusableAddress: it is not one mailbox.
    """
    if not parsed(mailbox).addr_spec.isascii():
        raise UnusableAddress("not every mail server takes a sender outside ASCII")
    return mailbox


def parsed(mailbox: str) -> Address:
    """The mailbox's name and address.

    Raises:
        UnusableAddress: it is not one mailbox.
    """
    found = getaddresses([mailbox])
    if len(found) != 1 or one_line(mailbox) != mailbox:
        raise UnusableAddress(UNUSABLE)
    return address(*found[0])
