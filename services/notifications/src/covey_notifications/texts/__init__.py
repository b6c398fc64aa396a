"""What messages say: a folder for each language and kind, with subject, plain text and HTML as Jinja templates.

A language is added by a folder beside ``en`` and its months here; the layout is shared.
"""

from dataclasses import dataclass
from datetime import date

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from covey_notifications.mailbox import in_header, one_line

DATES = {
    "en": (
        "{month} {day}, {year}",
        (
            "January",
            "February",
            "March",
            "April",
            "May",
            "June",
            "July",
            "August",
            "September",
            "October",
            "November",
            "December",
        ),
    ),
}
"""How a date is written out in each language, and its months."""


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
    form, months = DATES[language]

    def written_out(day: date) -> str:
        return form.format(month=months[day.month - 1], day=day.day, year=day.year)

    templates.filters["written_out"] = written_out
    templates.globals["language"] = language
    return templates


_TEMPLATES = {language: _templates(language) for language in DATES}


def render(kind: str, language: str, **values: str | int | date) -> Text:
    """The message in one language. Text among the values is put on one line; in HTML it is escaped."""
    templates = _TEMPLATES[language]
    clean = {name: one_line(value) if isinstance(value, str) else value for name, value in values.items()}
    named = {name: in_header(value) if isinstance(value, str) else value for name, value in values.items()}
    folder = f"{language}/{kind}"
    subject = templates.get_template(f"{folder}/subject.txt").render(named).strip()
    return Text(
        language=language,
        subject=subject,
        plain=templates.get_template(f"{folder}/body.txt").render(clean),
        html=templates.get_template(f"{folder}/body.html").render(clean, subject=subject),
    )
