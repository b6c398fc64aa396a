"""When a group's plan years begin, and what they are called.

The anchor is the group's renewal date: a day on which one of its plan years begins. The others begin on anniversaries.
"""

from datetime import date
from typing import NamedTuple


class Cycle(NamedTuple):
    """A plan year to renew for: its name, which never changes, and the day on which it is to begin."""

    plan_year: int
    effective_date: date


def anniversary(anchor: date, year: int) -> date:
    """The anchor's day in a year; in common years 28 February stands in for the 29th."""
    try:
        return anchor.replace(year=year)
    except ValueError:
        return date(year, 2, 28)


def next_anniversary(anchor: date, *, after: date) -> date:
    """The first anniversary strictly after a day; the anchor itself if it is still to come."""
    year = max(anchor.year, after.year)
    found = anniversary(anchor, year)
    return found if found > after else anniversary(anchor, year + 1)


def first_cycle(anchor: date, today: date) -> Cycle:
    """What a group that has just come into the book renews for."""
    effective_date = next_anniversary(anchor, after=today)
    return Cycle(effective_date.year, effective_date)


def next_cycle(passed: int, anchor: date, today: date) -> Cycle:
    """What comes after a plan year that has begun by today. Those that went by while nobody looked are not made up for.

    A cycle is named by the year in which it is to begin, unless that name is taken: a date that had moved far may have
    brought two beginnings into one calendar year.
    """
    effective_date = next_anniversary(anchor, after=today)
    return Cycle(max(effective_date.year, passed + 1), effective_date)
