"""The portal's languages: what is written in its templates in English, in the reader's words (GNU gettext, PO files).

A sentence that a template or a module has and a catalogue has not makes a test fail.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from gettext import NullTranslations
from importlib import resources
from io import BytesIO
from typing import Literal, get_args
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_datetime
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_currency, format_decimal
from babel.support import Translations

Language = Literal["en", "es"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
NAMES: Mapping[Language, str] = {"en": "English", "es": "Español"}
LOCALES: Mapping[Language, str] = {"en": "en_US", "es": "es_US"}


def N_(sentence: str) -> str:  # noqa: N802 - gettext's own name for it
    """Marks a sentence to be translated where it is shown."""
    return sentence


@cache
def translations(language: Language) -> NullTranslations:
    """What sentences are in this language. English is what they are written in."""
    if language == "en":
        return NullTranslations()
    with (resources.files("covey_portal") / "languages" / f"{language}.po").open("rb") as file:
        catalogue = read_po(file, locale=language)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled)


@dataclass(frozen=True)
class Counted:
    """A sentence with a number in it, marked to be translated where it is shown: for one, and for any other number."""

    one: str
    many: str
    num: int


Sentence = str | Counted


def sentence(text: Sentence, language: Language) -> str:
    """A sentence that comes from code, in the reader's words. What is data stays as it is: nothing is filled into it."""
    if isinstance(text, Counted):
        return translations(language).ngettext(text.one, text.many, text.num) % {"num": numeral(text.num, language)}
    return translations(language).gettext(text) if text else ""


def chosen(cookie: str | None, accepted: str) -> Language:
    """The reader's language: the one that they chose, else the first that their browser names and there is."""
    wishes = [cookie or "", *(part.partition(";")[0].strip()[:2].lower() for part in accepted.split(","))]
    return next((language for wish in wishes for language in LANGUAGES if language == wish), "en")


def day(value: str | date, language: Language) -> str:
    """A day, such as ``November 27, 2026``."""
    found = date.fromisoformat(value) if isinstance(value, str) else value
    return format_date(found, "long", locale=LOCALES[language])


def moment(value: str | datetime, language: Language, zone: ZoneInfo) -> str:
    """A point in time, by the carrier's clock: ``November 27, 2026, 10:42 AM PST``."""
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    pattern = "MMMM d, y, h:mm a z" if language == "en" else "d 'de' MMMM 'de' y, h:mm a z"
    return format_datetime(found, pattern, tzinfo=zone, locale=LOCALES[language])


def month(value: str, language: Language) -> str:
    """``2026-11`` as ``November 2026``."""
    pattern = "MMMM y" if language == "en" else "MMMM 'de' y"
    return format_date(date.fromisoformat(f"{value}-01"), pattern, locale=LOCALES[language])


def numeral(value: int, language: Language) -> str:
    """``10,000``."""
    return format_decimal(value, locale=LOCALES[language])


def dollars(value: str, language: Language) -> str:
    """An amount of money, such as ``$1,250.50``."""
    return format_currency(Decimal(value), "USD", locale=LOCALES[language])
