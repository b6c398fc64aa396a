"""What must happen, worked out apart from the services: which renewal becomes available on which day.

A renewal becomes available 75 days before the group's next anniversary, once; a date that moves takes an upcoming renewal
along, and leaves one that is available as it is.
"""

from dataclasses import dataclass, field
from datetime import date, timedelta

from covey_local.demo.book import LEAD_DAYS, Row


@dataclass
class GroupForecast:
    """One group's renewal in this season."""

    row: Row
    effective: date
    available_on: date | None = None
    due: date = field(init=False)

    def __post_init__(self) -> None:
        self.due = self.effective - timedelta(days=LEAD_DAYS)

    @property
    def recipients(self) -> set[str]:
        """Who is told."""
        broker = {self.row["firm_contact_email"]} if self.row["firm_contact_email"] else set()
        return {self.row["contract_signer_email"]} | broker

    def move(self, effective: date) -> None:
        """The carrier changes the group's renewal date."""
        self.effective = effective
        self.due = effective - timedelta(days=LEAD_DAYS)


class Forecast:
    """All groups of the book, by number."""

    def __init__(self, rows: list[Row], today: date) -> None:
        self.groups = {
            row["group_number"]: GroupForecast(row, next_anniversary(date.fromisoformat(row["renewal_date"]), today))
            for row in rows
        }

    def becoming_available(self, today: date) -> list[GroupForecast]:
        """Those that become available today; they are marked so."""
        found = [
            group
            for group in self.groups.values()
            if group.available_on is None and group.due <= today < group.effective
        ]
        for group in found:
            group.available_on = today
        return found


def next_anniversary(anchor: date, after: date) -> date:
    """The first anniversary of ``anchor`` after a day; of 29 February it is 28 February in common years."""
    return next(day for year in range(anchor.year, after.year + 2) if (day := anniversary(anchor, year)) > after)


def anniversary(anchor: date, year: int) -> date:
    """The anniversary in that year."""
    try:
        return anchor.replace(year=year)
    except ValueError:
        return anchor.replace(year=year, day=28)
