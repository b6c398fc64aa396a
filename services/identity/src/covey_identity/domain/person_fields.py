"""The rules of single fields of a person: each gives the value as it is kept, or refuses it in a sentence.

Sentences never hold the value: they end up in problem documents.
"""

import contextlib
import re
import unicodedata
from typing import Annotated, Literal, LiteralString

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

_SPACES = re.compile(r"\s+")
_LIKE_AN_ADDRESS = re.compile(r"[/\\:@<>]|\.\w\w|www\.", re.IGNORECASE)


def _refused(rule: LiteralString, sentence: LiteralString, **facts: int) -> PydanticCustomError:
    return PydanticCustomError(rule, sentence, facts)


def _one_line(longest: int) -> AfterValidator:
    """Text of at most so many characters: composed (NFC), trimmed, any white space counting as one space."""

    def read(value: str) -> str:
        text = _SPACES.sub(" ", unicodedata.normalize("NFC", value)).strip()
        if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
            raise _refused("controls", "must not have control characters")
        if not any(character.isprintable() and character != " " for character in text):
            raise _refused("blank", "must not be blank")
        if len(text) > longest:
            raise _refused("length", "must have {longest} characters at most", longest=longest)
        return text

    return AfterValidator(read)


def _name(text: str) -> str:
    # Anybody can let us write to any address, with the name that they typed on top: it must not carry a message.
    if _LIKE_AN_ADDRESS.search(text):
        raise _refused("name", "must be a name, without a web or email address")
    return text


def _initial(text: str) -> str:
    if len(text) != 1 or not text.isalpha():
        raise _refused("initial", "must be one letter")
    return text.upper()


def _email(text: str) -> str:
    try:
        return validate_email(text.strip(), check_deliverability=False).normalized
    except EmailNotValidError as error:
        raise _refused("email", "must be an email address such as name@example.org") from error


def address_key(email: str) -> str:
    """An address in the form in which two of them are compared: upper and lower case are the same."""
    with contextlib.suppress(PydanticCustomError):  # whatever it is then, it is nobody's
        email = _email(email)
    return unicodedata.normalize("NFC", email.strip().casefold())


PersonName = Annotated[str, _one_line(60), AfterValidator(_name)]
MiddleInitial = Annotated[str, _one_line(4), AfterValidator(_initial)]
Company = Annotated[str, _one_line(200), Field(description="The brokerage or the company.")]
MarketRegion = Annotated[str, _one_line(50), Field(description="Where the carrier sells, such as California.")]
TermsVersion = Annotated[str, _one_line(50), Field(description="Which version of the terms was shown.")]
PasskeyName = Annotated[str, _one_line(60), Field(description="Such as Work laptop.")]
ProgramName = Annotated[str, _one_line(100)]
Email = Annotated[str, AfterValidator(_email), Field(max_length=320)]
Language = Literal["en", "es"]
