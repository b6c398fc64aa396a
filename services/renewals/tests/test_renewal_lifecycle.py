from datetime import date
from pathlib import Path
from uuid import uuid4

import pytest
from covey_chassis.lifecycle import IllegalMove
from covey_contracts.renewals import RenewalAvailable, RenewalChanged, RenewalStatus
from covey_renewals.domain.renewal import LIFECYCLE, OPEN, NotDue, Renewal

EFFECTIVE = date(2026, 9, 1)
IN_TIME = date(2026, 7, 1)

# Drawn by hand, never computed from LIFECYCLE: this is the page to read and to review.
GRID = """
                     become_available   move_to      roll_over
  upcoming           available          upcoming     rolled over
  available          -                  available    rolled over
  in progress        -                  -            -
  pending review     -                  -            -
  action required    -                  -            -
  completed          -                  -            -
  rolled over        -                  -            -
  ended              -                  -            -
"""

DO = {
    "become_available": lambda renewal: renewal.become_available(IN_TIME),
    "move_to": lambda renewal: renewal.move_to(date(2026, 10, 1)),
    "roll_over": lambda renewal: renewal.roll_over(EFFECTIVE),
}


def cells(grid):
    """(status, verb, outcome) of each cell: columns are set apart by two spaces or more."""
    head, *rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in grid.strip().splitlines()]
    return [(row[0], verb, outcome) for row in rows for verb, outcome in zip(head, row[1:], strict=True)]


def a_renewal(status="upcoming", *, effective_date=EFFECTIVE, available_on=None):
    return Renewal(
        id=uuid4(),
        group_id=uuid4(),
        plan_year=2026,
        effective_date=effective_date,
        status=RenewalStatus(status),
        available_on=available_on,
    )


@pytest.mark.parametrize(("status", "verb", "outcome"), cells(GRID))
def test_every_verb_from_every_status(status, verb, outcome):
    renewal = a_renewal(status)

    if outcome == "-":
        with pytest.raises(IllegalMove):
            DO[verb](renewal)
        assert renewal.status is RenewalStatus(status)
    else:
        event = DO[verb](renewal)
        assert event.status is renewal.status is RenewalStatus(outcome)


def test_the_grid_shows_every_status_and_every_verb():
    shown = cells(GRID)

    assert [status for status, verb, _ in shown if verb == "move_to"] == [status.value for status in RenewalStatus]
    assert {verb for _, verb, _ in shown} == set(LIFECYCLE.moves) == set(DO)


def test_a_renewal_begins_as_upcoming_and_says_so():
    group_id = uuid4()

    renewal, event = Renewal.upcoming(group_id, 2026, EFFECTIVE)

    assert event == RenewalChanged(
        renewal_id=renewal.id,
        group_id=group_id,
        plan_year=2026,
        effective_date=EFFECTIVE,
        status=RenewalStatus.UPCOMING,
        available_on=None,
    )
    assert renewal.id.version == 7


# Drawn by hand: 75 days before, across month ends, a year's end, and with or without a leap day.
@pytest.mark.parametrize(
    ("effective", "first_day"),
    [
        (date(2026, 1, 1), date(2025, 10, 18)),
        (date(2026, 3, 1), date(2025, 12, 16)),
        (date(2028, 3, 1), date(2027, 12, 17)),  # February 2028 has 29 days
        (date(2028, 2, 29), date(2027, 12, 16)),
        (date(2026, 5, 15), date(2026, 3, 1)),
        (date(2028, 5, 15), date(2028, 3, 1)),
        (date(2028, 5, 14), date(2028, 2, 29)),
        (date(2026, 7, 1), date(2026, 4, 17)),
        (date(2026, 9, 1), date(2026, 6, 18)),
        (date(2026, 12, 31), date(2026, 10, 17)),
    ],
)
def test_it_becomes_available_exactly_75_days_before(effective, first_day):
    day_before = first_day.fromordinal(first_day.toordinal() - 1)
    early, in_time = a_renewal(effective_date=effective), a_renewal(effective_date=effective)

    with pytest.raises(NotDue):
        early.become_available(day_before)
    event = in_time.become_available(first_day)

    assert (early.status, early.available_on) == (RenewalStatus.UPCOMING, None)
    assert isinstance(event, RenewalAvailable)
    assert event.available_on == in_time.available_on == first_day


@pytest.mark.parametrize(
    ("today", "available", "rolls_over"),
    [
        (date(2026, 6, 17), False, False),  # 76 days before
        (date(2026, 6, 18), True, False),  # 75
        (date(2026, 6, 19), True, False),  # 74
        (date(2026, 8, 31), True, False),  # the day before
        (date(2026, 9, 1), False, True),  # the day itself
        (date(2026, 9, 2), False, True),
        (date(2027, 9, 1), False, True),
    ],
)
def test_between_its_first_day_and_its_effective_date(today, available, rolls_over):
    for verb, allowed in (("become_available", available), ("roll_over", rolls_over)):
        renewal = a_renewal()
        if allowed:
            getattr(renewal, verb)(today)
        else:
            with pytest.raises(NotDue):
                getattr(renewal, verb)(today)
            assert renewal.status is RenewalStatus.UPCOMING


def test_one_that_moves_far_away_after_it_was_available_stays_available_and_is_never_said_again():
    renewal = a_renewal()
    renewal.become_available(IN_TIME)

    moved = renewal.move_to(date(2027, 3, 1))

    assert (moved.status, moved.available_on, moved.plan_year) == (RenewalStatus.AVAILABLE, IN_TIME, 2026)
    with pytest.raises(IllegalMove):
        renewal.become_available(date(2027, 1, 1))
    assert renewal.available_on == IN_TIME


def test_what_can_roll_over_is_open_and_what_has_is_not():
    assert set(LIFECYCLE.moves["roll_over"]) <= set(OPEN)
    assert not set(LIFECYCLE.moves["roll_over"].values()) & set(OPEN)


def test_the_picture_in_the_readme_shows_these_moves():
    def name(status):
        return status.value.replace(" ", "_")

    moves = [
        f"    {name(before)} --> {name(after)}: {verb}"
        for verb, row in LIFECYCLE.moves.items()
        for before, after in row.items()
    ]
    picture = "\n".join(["```mermaid", "stateDiagram-v2", "    [*] --> upcoming", *moves, "```"])

    assert picture in Path(__file__).parents[1].joinpath("README.md").read_text()
