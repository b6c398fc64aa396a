"""Everything that pages say is there in every language; dates are written as its readers write them."""

import re
import tomllib
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from covey_portal import languages
from covey_portal.calling import Refused
from covey_portal.languages import LANGUAGES
from covey_portal.refusals import sentence_of

PACKAGE = Path(str(resources.files("covey_portal")))
PLACE = re.compile(r"%\((\w+)\)s")
JINJA = {"trim_blocks": "true", "lstrip_blocks": "true", "newstyle_gettext": "true"}


@pytest.fixture(scope="module")
def said() -> set[str | tuple[str, ...]]:
    """Every sentence of the templates and of the code."""
    found = extract_from_dir(
        PACKAGE,
        method_map=[("**.py", "python"), ("templates/**.html", "jinja2")],
        options_map={"templates/**.html": JINJA},
        keywords={"_": None, "gettext": None, "ngettext": (1, 2), "Counted": (1, 2), "N_": None},
    )
    return {tuple(each[2]) if isinstance(each[2], (tuple, list)) else each[2] for each in found}


def catalogue(language: str):
    with (PACKAGE / "languages" / f"{language}.po").open("rb") as file:
        return read_po(file, locale=language)


@pytest.mark.parametrize("language", [each for each in LANGUAGES if each != "en"])
def test_every_sentence_is_there_and_none_too_many(language, said):
    there = {
        tuple(each.id) if isinstance(each.id, (tuple, list)) else each.id for each in catalogue(language) if each.id
    }

    assert said - there == set()
    assert there - said == set()


@pytest.mark.parametrize("language", [each for each in LANGUAGES if each != "en"])
def test_every_sentence_is_translated_with_what_is_filled_in(language):
    for message in catalogue(language):
        if not message.id:
            continue
        ids = message.id if isinstance(message.id, (tuple, list)) else (message.id,)
        strings = message.string if isinstance(message.string, (tuple, list)) else (message.string,)
        assert not message.fuzzy, message.id
        assert all(strings), message.id
        wanted = {place for each in ids for place in PLACE.findall(each)}
        for string in strings:
            assert {*PLACE.findall(string)} <= wanted, message.id
        assert {place for each in strings for place in PLACE.findall(each)} == wanted, message.id


def test_plurals_are_those_of_the_number():
    spanish = languages.translations("es")

    one, two = (spanish.ngettext("%(num)s renewal", "%(num)s renewals", count) for count in (1, 2))

    assert one != two
    assert "%(num)s" in two


@pytest.mark.parametrize(
    ("wait_s", "english", "spanish"),
    [
        (1, "Wait 1 minute,", "Espere 1 minuto e"),
        (299, "Wait 5 minutes,", "Espere 5 minutos e"),
        (3_601, "Wait 2 hours,", "Espere 2 horas e"),
        (86_400, "Wait 24 hours,", "Espere 24 horas e"),
    ],
)
def test_whoever_tried_too_often_is_told_how_long_to_wait(wait_s, english, spanish):
    said = sentence_of(Refused(429, "too-many-attempts", "", wait_s=wait_s))

    assert english in languages.sentence(said, "en")
    assert spanish in languages.sentence(said, "es")


@pytest.mark.parametrize(
    ("language", "day", "moment", "month"),
    [
        ("en", "November 5, 2026", "November 4, 2026, 11:30\u202fPM PST", "November 2026"),
        ("es", "5 de noviembre de 2026", "4 de noviembre de 2026, 11:30\u202fp.m. PST", "noviembre de 2026"),
    ],
)
def test_dates_are_the_carriers_days_in_the_readers_words(language, day, moment, month):
    at = datetime(2026, 11, 5, 7, 30, tzinfo=UTC)

    assert languages.day("2026-11-05", language) == day
    assert _plain(languages.moment(at, language, ZoneInfo("America/Los_Angeles"))) == _plain(moment)
    assert languages.month("2026-11", language) == month


def _plain(text: str) -> str:
    return re.sub(r"\s", " ", text)


@pytest.mark.parametrize(
    ("cookie", "accepted", "language"),
    [
        ("es", "en-US,en;q=0.9", "es"),
        (None, "es-MX,es;q=0.9,en;q=0.8", "es"),
        (None, "fr-FR, es;q=0.5", "es"),
        (None, "fr-FR", "en"),
        ("xx", "", "en"),
        (None, ",;,;;q=", "en"),
    ],
)
def test_the_readers_own_choice_comes_first(cookie, accepted, language):
    assert languages.chosen(cookie, accepted) == language


def test_the_site_that_comes_with_the_portal_says_everything_in_every_language():
    def texts(value):
        if isinstance(value, dict) and "en" in value:
            yield value
        elif isinstance(value, dict | list):
            for each in value.values() if isinstance(value, dict) else value:
                yield from texts(each)

    found = list(texts(tomllib.loads((PACKAGE / "data" / "site.toml").read_text())))

    assert len(found) >= 6
    assert [text["en"] for text in found if text.keys() != {*LANGUAGES}] == []
