"""What messages say: a folder for each language and kind, with subject, plain text and HTML as Jinja templates.

A language is added by a folder beside ``en`` and its words in ``words.py``; the layout is shared.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from covey_notifications.mailbox import in_header, one_line
from covey_notifications.texts.words import DATES, in_a_column, in_fours, in_short, to_the_minute, written_out

DEFAULT_LANGUAGE = "en"

Value = str | int | date | datetime | Sequence[str] | None


@dataclass(frozen=True)
class Text:
    """One message as it reads."""

    language: str
    subject: str
    plain: str
    html: str


def _templates(language: str) -> Environment:
    templates = Environment(
        loader=PackageLoader("covey_notifications", "texts"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
    )
    templates.filters["written_out"] = partial(written_out, language=language)
    templates.filters["to_the_minute"] = partial(to_the_minute, language=language)
    templates.filters["in_short"] = partial(in_short, language=language)
    templates.filters["in_fours"] = in_fours
    templates.filters["in_a_column"] = in_a_column
    templates.globals["language"] = language
    return templates


_TEMPLATES = {language: _templates(language) for language in DATES}


def spoken(language: str) -> str:
    """The language that there are texts in for somebody who reads this one: ``es`` for ``es-MX``."""
    primary = language.partition("-")[0].lower()
    return primary if primary in _TEMPLATES else DEFAULT_LANGUAGE


def render(kind: str, language: str, *, link: str | None = None, **values: Value) -> Text:
    """The message in one language, and where it leads. Text among the values is put on one line; in HTML it is escaped."""
    templates = _TEMPLATES[language]
    values["link"] = link
    clean = {name: _cleaned(value, one_line) for name, value in values.items()}
    named = {name: _cleaned(value, in_header) for name, value in values.items()}
    folder = f"{language}/{kind}"
    subject = templates.get_template(f"{folder}/subject.txt").render(named).strip()
    return Text(
        language=language,
        subject=subject,
        plain=templates.get_template(f"{folder}/body.txt").render(clean),
        html=templates.get_template(f"{folder}/body.html").render(clean, subject=subject),
    )


def _cleaned(value: Value, clean: Callable[[str], str]) -> Value:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Sequence):
        return [clean(each) for each in value]
    return value
