"""A book of small groups as a carrier would hand it over, made from a seed; and a file in which nothing is right."""

import csv
import io
import random
from collections.abc import Sequence
from datetime import date, timedelta

Row = dict[str, str]

COLUMNS = (
    "group_number",
    "legal_name",
    "ein",
    "market_region",
    "street",
    "city",
    "county",
    "state",
    "zip",
    "effective_date",
    "renewal_date",
    "contract_signer_name",
    "contract_signer_email",
    "billing_contact_name",
    "billing_contact_email",
    "firm_number",
    "firm_name",
    "firm_contact_name",
    "firm_contact_email",
    "acquired_date",
    "billing_units",
    "plans",
)

PLACES = (
    ("Los Angeles", "Los Angeles", "90012"),
    ("San Diego", "San Diego", "92101"),
    ("Fresno", "Fresno", "93721"),
    ("Oakland", "Alameda", "94612"),
    ("Sacramento", "Sacramento", "95814"),
    ("Santa Rosa", "Sonoma", "95401-4321"),
    ("Bakersfield", "Kern", "93301"),
    ("Eureka", "Humboldt", "95501"),
)
FIRST = ("Harbor", "Juniper", "Redwood", "Mission", "Poppy", "Sierra", "Granite", "Orchard", "Lantern", "Meadow")
SECOND = ("Bakery", "Machine Works", "Dental Group", "Landscaping", "Print Shop", "Brewing", "Carpentry", "Studio")
ODD_NAMES = (
    'The "Quoted" Company, Inc.',
    "O'Brien & Daughters, LLC",
    "Café Ñandú",
    "=SUM Of Its Parts",
    "Very " * 20 + "Long Name Corporation",
    "شركة الميناء",
    "Two\nLines Limited",
)
PEOPLE = ("Avery Stone", "Riley Chen", "Jordan Reyes", "Noor Haddad", "Sam O'Neil", "Mia Nguyễn")
FIRMS = 12
LEAD_DAYS = 75


def make_book(groups: int, *, days: int, today: date, seed: int) -> list[Row]:
    """Groups whose renewals become available all over the season of so many days, a few at once at its beginning."""
    dice = random.Random(seed)  # noqa: S311 - the same book for the same seed
    return [_group(number, dice, today, days) for number in range(1, groups + 1)]


def _group(number: int, dice: random.Random, today: date, days: int) -> Row:
    city, county, zip_code = dice.choice(PLACES)
    name = f"{dice.choice(FIRST)} {dice.choice(SECOND)} {number}"
    if number % 40 == 0:
        name = f"{ODD_NAMES[number // 40 % len(ODD_NAMES)]} {number}"
    coming = today + timedelta(days=dice.randint(LEAD_DAYS - 10, LEAD_DAYS + days + 10))
    row = dict.fromkeys(COLUMNS, "") | {
        "group_number": f"G{number:05d}",
        "legal_name": name.replace("\n", " "),
        "ein": f"{10 + number % 80:02d}-{number:07d}",
        "market_region": "California",
        "street": f"{number} Main Street",
        "city": city,
        "county": county,
        "state": "CA",
        "zip": zip_code,
        "effective_date": _years_before(coming, 4).isoformat(),
        "renewal_date": _years_before(coming, dice.choice((0, 0, 0, 1, 2))).isoformat(),
        "contract_signer_name": dice.choice(PEOPLE),
        "contract_signer_email": f"signer{number}@group{number}.example",
        "billing_contact_name": dice.choice(PEOPLE),
        "billing_contact_email": f"billing{number}@group{number}.example",
        "billing_units": "ALL=Everyone" if number % 3 else "HQ=Head office|YARD=Yard",
        "plans": f"{coming.year - 1}:SILVER-70-HMO|{coming.year - 1}:GOLD-80-PPO",
    }
    if number % 5:
        firm = number % FIRMS
        row |= {
            "firm_number": f"F{firm:03d}",
            "firm_name": f"{FIRST[firm % len(FIRST)]} Benefits",
            "firm_contact_name": dice.choice(PEOPLE),
            "firm_contact_email": f"desk@firm{firm}.example",
            "acquired_date": (today - timedelta(days=dice.randint(1, 900))).isoformat(),
        }
    return row


def _years_before(day: date, years: int) -> date:
    if day.month == 2 and day.day == 29:
        day -= timedelta(days=1)
    return day.replace(year=day.year - years)


def make_bad_rows(good: Row) -> list[tuple[Row, str]]:
    """Rows that must be refused, each with the column that is wrong in it."""

    def spoilt(number: int, column: str, value: str) -> tuple[Row, str]:
        return good | {"group_number": f"BAD{number:02d}", column: value}, column

    return [
        spoilt(1, "ein", "123456789"),
        spoilt(2, "zip", "9001"),
        spoilt(3, "state", "ZZ"),
        spoilt(4, "county", "Atlantis"),
        spoilt(5, "legal_name", ""),
        spoilt(6, "effective_date", "2026-02-30"),
        spoilt(7, "renewal_date", "soon"),
        spoilt(8, "contract_signer_email", "nobody at home"),
        spoilt(9, "billing_contact_email", ""),
        spoilt(10, "market_region", "Narnia"),
        spoilt(11, "billing_units", ""),
        spoilt(12, "plans", "2027"),
    ]


def as_csv(rows: Sequence[Row]) -> bytes:
    """The file as a spreadsheet program would write it: UTF-8 with a byte order mark, CRLF."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    return ("\ufeff" + out.getvalue()).encode()
