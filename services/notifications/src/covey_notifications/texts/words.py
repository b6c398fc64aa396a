"""The words of each language that are put into texts: dates, times, and what a right lets somebody do."""

import textwrap
from collections.abc import Iterable
from datetime import date, datetime

from covey_chassis.access import Right
from covey_chassis.access.rights import with_implied

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
        ("AM", "PM"),
    ),
    "es": (
        "{day} de {month} de {year}",
        (
            "enero",
            "febrero",
            "marzo",
            "abril",
            "mayo",
            "junio",
            "julio",
            "agosto",
            "septiembre",
            "octubre",
            "noviembre",
            "diciembre",
        ),
        ("a. m.", "p. m."),
    ),
}
"""How a date is written out in each language, its months, and the halves of a day."""

AREAS = {
    "en": {
        "members": "Members",
        "billing": "Billing",
        "renewals": "Renewals",
        "documents": "Documents",
        "group": "Group",
        "access": "Users",
    },
    "es": {
        "members": "Miembros",
        "billing": "Facturación",
        "renewals": "Renovaciones",
        "documents": "Documentos",
        "group": "Grupo",
        "access": "Usuarios",
    },
}
VERBS = {
    "en": {
        "view": "view",
        "update": "update",
        "enroll": "enroll",
        "terminate": "terminate",
        "pay": "pay",
        "change": "change",
        "sign": "sign",
        "manage": "manage",
    },
    "es": {
        "view": "ver",
        "update": "modificar",
        "enroll": "inscribir",
        "terminate": "dar de baja",
        "pay": "pagar",
        "change": "cambiar",
        "sign": "firmar",
        "manage": "administrar",
    },
}
"""What a right is called: its name's first part is an area, its second a verb."""


def written_out(day: date, language: str) -> str:
    """The date in words."""
    form, months, _ = DATES[language]
    return form.format(month=months[day.month - 1], day=day.day, year=day.year)


def to_the_minute(moment: datetime, language: str) -> str:
    """Date and time in words, with the zone that the moment is in."""
    half = DATES[language][2][moment.hour >= 12]
    hour = moment.hour % 12 or 12
    return f"{written_out(moment, language)}, {hour}:{moment.minute:02} {half} {moment.tzname()}"


def in_short(rights: Iterable[str], language: str) -> str:
    """What the rights let somebody do: ``Members: view, update; Billing: view``. Unknown ones are passed over."""
    held = with_implied(right for right in Right if right in set(rights))
    verbs: dict[str, list[str]] = {}
    for right in Right:
        if right in held:
            area, _, verb = right.partition(".")
            verbs.setdefault(AREAS[language][area], []).append(VERBS[language][verb])
    return "; ".join(f"{area}: {', '.join(found)}" for area, found in verbs.items()) or "–"


def in_fours(code: str) -> str:
    """The code as a person reads and types it: ``7F3K-9QWD-2MXR-V0TA``."""
    letters = "".join(each for each in code if each.isalnum())
    return "-".join(letters[start : start + 4] for start in range(0, len(letters), 4))


def in_a_column(lines: Iterable[str]) -> str:
    """The lines as plain text that is not too wide to read. Words, and what looks like an address, stay whole."""
    return "\n".join(textwrap.fill(line, 68, break_long_words=False, break_on_hyphens=False) for line in lines)
