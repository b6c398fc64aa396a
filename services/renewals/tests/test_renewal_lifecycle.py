import re
from datetime import date
from pathlib import Path
from uuid import uuid4

import pytest
from covey_chassis.lifecycle import IllegalMove
from covey_contracts.renewals import RenewalAvailable, RenewalChanged, RenewalStatus
from covey_contracts.transactions import TransactionStatus
from covey_renewals.domain.renewal import LIFECYCLE, NotCurrent, NotDue, Renewal

EFFECTIVE = date(2026, 9, 1)
IN_TIME = date(2026, 7, 1)

# Drawn by hand, never computed from LIFECYCLE: this is the page to read and to review.
GRID = """
                     become_available   pass_day          move_to           rest        begin         await_review     require_action    complete    roll_over
  upcoming           available          rolled over       upcoming          -           -             -                -                 -           -
  available          -                  rolled over       available         available   in progress   pending review   action required   completed   -
  in progress        -                  rolled over       in progress       available   in progress   pending review   action required   completed   -
  pending review     -                  pending review    pending review    available   in progress   pending review   action required   completed   rolled over
  action required    -                  action required   action required   available   in progress   pending review   action required   completed   rolled over
  completed          -                  completed         completed         -           -             -                -                 completed   -
  rolled over        -                  -                 -                 -           -             pending review   action required   completed   rolled over
  ended              -                  -                 -                 -           -             -                -                 -           -
"""  # noqa: E501 - as wide as there are verbs

# How a renewal stands by its transactions, in the order in which they were begun: also drawn by hand.
STANDING = """
                                             before its day     after it
  (none)                                     available          rolled over
  open                                       in progress        rolled over
  pending review                             pending review     pending review
  action required                            action required    action required
  completed                                  completed          completed
  declined                                   available          rolled over
  withdrawn                                  available          rolled over
  declined, withdrawn                        available          rolled over
  withdrawn, open                            in progress        rolled over
  declined, pending review                   pending review     pending review
  pending review, open                       in progress        rolled over
  open, pending review                       pending review     pending review
  action required, withdrawn                 action required    action required
  completed, withdrawn                       completed          completed
  declined, completed, open                  completed          completed
"""


def followed(*transactions, current):
    """What makes a renewal, which is the current one or is not, follow such transactions."""

    def follow(renewal):
        renewal.current = current
        return renewal.follow([TransactionStatus(each) for each in transactions])

    return follow


DO = {
    "become_available": lambda renewal: renewal.become_available(IN_TIME),
    "pass_day": lambda renewal: renewal.pass_day(EFFECTIVE),
    "move_to": lambda renewal: renewal.move_to(date(2026, 10, 1)),
    "rest": followed("withdrawn", current=True),
    "begin": followed("open", current=True),
    "await_review": followed("pending review", current=False),
    "require_action": followed("action required", current=False),
    "complete": followed("completed", current=False),
    "roll_over": followed("declined", current=False),
}


def cells(grid):
    """(row, column, outcome) of each cell: columns are set apart by two spaces or more."""
    head, *rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in grid.strip().splitlines()]
    return [(row[0], column, outcome) for row in rows for column, outcome in zip(head, row[1:], strict=True)]


def a_renewal(status="upcoming", *, effective_date=EFFECTIVE, available_on=None, current=None):
    """One that is current unless its status says that it is not, or the test does."""
    return Renewal(
        id=uuid4(),
        group_id=uuid4(),
        plan_year=2026,
        effective_date=effective_date,
        current=status not in ("rolled over", "ended") if current is None else current,
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
        assert renewal.status is RenewalStatus(outcome)
        assert event is None or event.status is renewal.status
        assert (event is None) == (outcome == status and verb != "move_to")


def test_the_grid_shows_every_status_and_every_verb():
    shown = cells(GRID)

    assert [status for status, verb, _ in shown if verb == "move_to"] == [status.value for status in RenewalStatus]
    assert {verb for _, verb, _ in shown} == set(LIFECYCLE.moves) == set(DO)


@pytest.mark.parametrize(("transactions", "when", "outcome"), cells(STANDING))
def test_a_renewal_stands_as_its_transactions_do(transactions, when, outcome):
    before = when == "before its day"
    renewal = a_renewal("available" if before else "rolled over")
    stand = [] if transactions == "(none)" else transactions.split(", ")

    followed(*stand, current=before)(renewal)

    assert renewal.status is RenewalStatus(outcome)


def test_transactions_are_told_of_a_status_or_a_date_that_is_another_and_of_nothing_else():
    renewal = a_renewal("available", available_on=IN_TIME)

    submitted = renewal.follow([TransactionStatus.PENDING_REVIEW])
    again = renewal.follow([TransactionStatus.WITHDRAWN, TransactionStatus.PENDING_REVIEW])
    passed = renewal.pass_day(EFFECTIVE)

    assert isinstance(submitted, RenewalChanged)
    assert (submitted.status, submitted.available_on) == (RenewalStatus.PENDING_REVIEW, IN_TIME)
    assert (again, passed, renewal.current) == (None, None, False)


@pytest.mark.parametrize("status", ["pending review", "action required", "completed"])
@pytest.mark.parametrize("verb", ["pass_day", "move_to"])
def test_one_whose_day_has_come_does_not_move_with_its_group_nor_pass_again(status, verb):
    renewal = a_renewal(status, current=False)

    with pytest.raises(NotCurrent):
        DO[verb](renewal)

    assert (renewal.status, renewal.effective_date) == (RenewalStatus(status), EFFECTIVE)


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
    ("today", "available", "passes"),
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
def test_between_its_first_day_and_its_effective_date(today, available, passes):
    for verb, allowed in (("become_available", available), ("pass_day", passes)):
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


def test_the_picture_in_the_readme_shows_moves_that_there_are_and_every_verb_that_changes_a_status():
    changes = {
        (before.value.replace(" ", "_"), after.value.replace(" ", "_"), verb)
        for verb, row in LIFECYCLE.moves.items()
        for before, after in row.items()
        if before is not after
    }
    readme = Path(__file__).parents[1].joinpath("README.md").read_text()

    shown = set(re.findall(r"^    (\w+) --> (\w+): (\w+)$", readme, re.MULTILINE))

    assert shown <= changes
    assert {verb for *_, verb in shown} == {verb for *_, verb in changes} == set(LIFECYCLE.moves) - {"move_to"}
    assert {status for before, after, _ in shown for status in (before, after)} == {
        status.value.replace(" ", "_") for status in RenewalStatus if status is not RenewalStatus.ENDED
    }
