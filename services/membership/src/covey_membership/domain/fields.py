"""The rules of single fields, each with its sentence: what a group's attributes must be like, whoever brings them.

A rule gives the value as it is kept, or refuses what is certainly wrong. Sentences never hold the value: they end up in
problem documents and in files of errors.
"""

import contextlib
import re
import unicodedata
from collections.abc import Mapping
from datetime import date
from importlib.resources import files
from typing import Annotated, LiteralString

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo
from pydantic_core import PydanticCustomError

FIRST_YEAR, LAST_YEAR = 1900, 2199
"""No group of today began before, and no plan year of today begins after."""

_BREAKS = re.compile("[\t\n\v\f\r\x85\u2028\u2029]+")
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_EIN = re.compile(r"\d{2}-\d{7}", re.ASCII)
_ZIP = re.compile(r"\d{5}(-\d{4})?", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_YEAR = re.compile(r"\d{4}", re.ASCII)


def _listed(name: str) -> Mapping[str, str]:
    """The lines of a data file, as they are written, by their form for comparing."""
    lines = (files("covey_membership") / "data" / name).read_text(encoding="utf-8").splitlines()
    return {line.casefold(): line for line in lines}


_STATES = _listed("states.txt")
_CALIFORNIA_COUNTIES = _listed("california_counties.txt")
_MARKET_REGIONS = _listed("market_regions.txt")


def _refused(rule: LiteralString, sentence: LiteralString, **facts: int) -> PydanticCustomError:
    return PydanticCustomError(rule, sentence, facts)


def _one_line(longest: int) -> AfterValidator:
    """Text of at most so many characters: composed (NFC), trimmed, a line break or a tab counting as a space."""

    def read(value: str) -> str:
        text = unicodedata.normalize("NFC", _BREAKS.sub(" ", value)).strip()
        if _CONTROLS.search(text):
            raise _refused("controls", "must not have control characters")
        if not any(character.isprintable() and character != " " for character in text):
            raise _refused("blank", "must not be blank")
        if len(text) > longest:
            raise _refused("length", "must have {longest} characters at most", longest=longest)
        return text

    return AfterValidator(read)


def _ein(text: str) -> str:
    if not _EIN.fullmatch(text):
        raise _refused("ein", "must be an EIN such as 12-3456789")
    return text


def _state(text: str) -> str:
    if text.casefold() not in _STATES:
        raise _refused("state", "must be the two-letter code of a state, such as CA")
    return _STATES[text.casefold()]


def _county(text: str, info: ValidationInfo) -> str:
    """California's counties are known by name; those of other states are taken as they are said."""
    if info.data.get("state") != "CA":
        return text
    name = text.casefold().removesuffix(" county")
    if name not in _CALIFORNIA_COUNTIES:
        raise _refused("county", "must be one of the 58 counties of California")
    return _CALIFORNIA_COUNTIES[name]


def _zip(text: str) -> str:
    if not _ZIP.fullmatch(text):
        raise _refused("zip", "must be a ZIP code such as 93721 or 93721-0042")
    return text


def _email(text: str) -> str:
    try:
        return validate_email(text, check_deliverability=False).normalized
    except EmailNotValidError as error:
        raise _refused("email", "must be an email address such as name@example.org") from error


def _market_region(text: str) -> str:
    if text.casefold() not in _MARKET_REGIONS:
        raise _refused("market_region", "must be a market region, such as California")
    return _MARKET_REGIONS[text.casefold()]


def _date(value: object) -> date:
    if type(value) is date:
        return value
    if isinstance(value, str) and _DATE.fullmatch(text := value.strip()):
        with contextlib.suppress(ValueError):
            day = date.fromisoformat(text)
            if FIRST_YEAR <= day.year <= LAST_YEAR:
                return day
    raise _refused("date", "must be a date between 1900 and 2199, written YYYY-MM-DD")


def _renewal_date(day: date, info: ValidationInfo) -> date:
    effective_date = info.data.get("effective_date")
    if effective_date is not None and day < effective_date:
        raise _refused("renewal_date", "must not be before the effective date")
    return day


def _plan_year(value: object) -> int:
    """A number, or its four digits: a file has nothing but text."""
    year = int(value) if isinstance(value, str) and _YEAR.fullmatch(value) else value
    if type(year) is not int or not FIRST_YEAR <= year <= LAST_YEAR:
        raise _refused("plan_year", "must be a year between 1900 and 2199")
    return year


GroupNumber = Annotated[str, _one_line(50), Field(description="The carrier's group ID: no two groups share one.")]
LegalName = Annotated[str, _one_line(200)]
Ein = Annotated[
    str, _one_line(50), AfterValidator(_ein), Field(description="Employer identification number, NN-NNNNNNN.")
]
MarketRegion = Annotated[
    str, _one_line(50), AfterValidator(_market_region), Field(description="One of the carrier's, in any case.")
]
Street = Annotated[str, _one_line(200)]
City = Annotated[str, _one_line(100)]
State = Annotated[str, _one_line(50), AfterValidator(_state), Field(description="Two-letter postal code.")]
County = Annotated[
    str, _one_line(100), AfterValidator(_county), Field(description="In California one of its 58 counties.")
]
Zip = Annotated[str, _one_line(50), AfterValidator(_zip), Field(description="Five digits, or ZIP+4.")]
PersonName = Annotated[str, _one_line(200)]
Email = Annotated[str, _one_line(254), AfterValidator(_email)]
FirmNumber = Annotated[str, _one_line(50)]
FirmName = Annotated[str, _one_line(200)]
BillingUnitCode = Annotated[str, _one_line(20)]
BillingUnitName = Annotated[str, _one_line(200)]
PlanYear = Annotated[
    int, BeforeValidator(_plan_year), Field(description="Named by the calendar year in which it begins.")
]
PlanId = Annotated[str, _one_line(50)]
Date = Annotated[date, BeforeValidator(_date)]
RenewalDate = Annotated[
    Date,
    AfterValidator(_renewal_date),
    Field(description="When a plan year of the group begins; not before the effective date."),
]
