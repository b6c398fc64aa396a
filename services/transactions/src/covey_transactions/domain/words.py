"""The rules of what the carrier writes: each gives the text as it is kept, or refuses it in a sentence.

Sentences never hold the text: they end up in problem documents and in answers to programs.
"""

import re
import unicodedata
from datetime import date
from typing import Annotated, LiteralString

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

_SPACES = re.compile(r"\s+")
_IS_READ = re.compile("[!-~]+(?: [!-~]+)*")
"""Most lines are as they shall be: ASCII that can be seen, with single spaces within. A stored draft has hundreds."""
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_BREAKS = re.compile("\r\n|[\r\x85\u2028\u2029]")


def _refused(rule: LiteralString, sentence: LiteralString, **facts: int) -> PydanticCustomError:
    return PydanticCustomError(rule, sentence, facts)


def _checked(text: str, longest: int) -> str:
    if any(unicodedata.category(character) in ("Cc", "Cs") and character != "\n" for character in text):
        raise _refused("controls", "must not have control characters")
    if not any(character.isprintable() and character != " " for character in text):
        raise _refused("blank", "must not be blank")
    if len(text) > longest:
        raise _refused("length", "must have {longest} characters at most", longest=longest)
    return text


def _read_line(text: str, longest: int) -> str:
    if len(text) <= longest and _IS_READ.fullmatch(text):
        return text
    return _checked(_SPACES.sub(" ", unicodedata.normalize("NFC", text)).strip(), longest)


def _one_line(longest: int) -> AfterValidator:
    """Text of at most so many characters: composed (NFC), trimmed, any white space counting as one space."""
    return AfterValidator(lambda text: _read_line(text, longest))


def _entry(longest: int) -> AfterValidator:
    """The same, but for what may still be missing: it can be blank."""
    return AfterValidator(lambda text: _read_line(text, longest) if text.strip() else "")


def _lines(longest: int) -> AfterValidator:
    """Text in lines, of at most so many characters: composed (NFC), trimmed, every kind of line break being the same."""
    return AfterValidator(
        lambda value: _checked(_BREAKS.sub("\n", unicodedata.normalize("NFC", value)).strip(), longest)
    )


def _written_day(value: object) -> object:
    """Not what else can be read as a day: a count of seconds, or a point in time."""
    if type(value) is date or (isinstance(value, str) and _DAY.fullmatch(value)):
        return value
    raise _refused("day", "must be a day such as 2026-03-31")


def _phone(text: str) -> str:
    if not any(character.isdecimal() for character in text):
        raise _refused("phone", "must be a phone number such as (555) 010-0100")
    return text


def _email(text: str) -> str:
    try:
        return validate_email(text.strip(), check_deliverability=False).normalized
    except EmailNotValidError as error:
        raise _refused("email", "must be an email address such as name@example.org") from error


Instructions = Annotated[str, _lines(5000)]
Reason = Annotated[str, _lines(2000)]
RequiredItem = Annotated[str, _one_line(200)]
Name = Annotated[str, _one_line(100)]
SearchName = Annotated[str, _one_line(60)]
SoughtText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Day = Annotated[date, BeforeValidator(_written_day), Field(ge=date(2000, 1, 1), le=date(2199, 12, 31))]
Entry = Annotated[str, _entry(100)]
Phone = Annotated[str, _one_line(50), AfterValidator(_phone)]
Email = Annotated[str, AfterValidator(_email), Field(max_length=320)]
