from datetime import date

import pytest
from covey_renewals.domain.plan_years import Cycle, anniversary, first_cycle, next_anniversary, next_cycle
from hypothesis import given
from hypothesis import strategies as st

DAYS = st.dates(date(1990, 1, 1), date(2090, 12, 31))


@pytest.mark.parametrize(
    ("anchor", "year", "day"),
    [
        (date(2026, 9, 1), 2027, date(2027, 9, 1)),
        (date(2026, 12, 31), 2027, date(2027, 12, 31)),
        (date(2024, 2, 29), 2025, date(2025, 2, 28)),
        (date(2024, 2, 29), 2026, date(2026, 2, 28)),
        (date(2024, 2, 29), 2028, date(2028, 2, 29)),  # from the anchor, not from the year before
        (date(2024, 2, 29), 2100, date(2100, 2, 28)),
        (date(2023, 2, 28), 2024, date(2024, 2, 28)),
    ],
)
def test_a_plan_year_begins_on_the_anniversary(anchor, year, day):
    assert anniversary(anchor, year) == day


@pytest.mark.parametrize(
    ("anchor", "after", "day"),
    [
        (date(2025, 9, 1), date(2026, 8, 31), date(2026, 9, 1)),
        (date(2025, 9, 1), date(2026, 9, 1), date(2027, 9, 1)),  # strictly after
        (date(2025, 9, 1), date(2026, 9, 2), date(2027, 9, 1)),
        (date(2027, 9, 1), date(2026, 3, 1), date(2027, 9, 1)),  # still to come: the day itself
        (date(2029, 1, 1), date(2026, 12, 31), date(2029, 1, 1)),
        (date(2024, 2, 29), date(2027, 2, 27), date(2027, 2, 28)),
        (date(2024, 2, 29), date(2027, 2, 28), date(2028, 2, 29)),
        (date(2024, 2, 29), date(2028, 2, 28), date(2028, 2, 29)),
        (date(1998, 1, 1), date(2026, 6, 30), date(2027, 1, 1)),
    ],
)
def test_the_next_anniversary_is_the_first_one_strictly_after(anchor, after, day):
    assert next_anniversary(anchor, after=after) == day


@given(anchor=DAYS, after=DAYS)
def test_no_anniversary_lies_between(anchor, after):
    found = next_anniversary(anchor, after=after)

    assert found > after
    assert found >= anchor
    assert found == anniversary(anchor, found.year)
    assert anchor > after or anniversary(anchor, found.year - 1) <= after


@pytest.mark.parametrize(
    ("passed", "anchor", "today", "following"),
    [
        (2026, date(2025, 9, 1), date(2026, 9, 1), Cycle(2027, date(2027, 9, 1))),
        # nobody looked for two years: what went by is not made up for
        (2026, date(2025, 9, 1), date(2028, 9, 1), Cycle(2029, date(2029, 9, 1))),
        # moved from December 2026 to January 2027: the next one is another plan year
        (2026, date(2027, 1, 15), date(2027, 1, 15), Cycle(2028, date(2028, 1, 15))),
        # moved back from January 2027 to December 2026: 2027 is taken
        (2027, date(2026, 12, 15), date(2026, 12, 15), Cycle(2028, date(2027, 12, 15))),
        (2027, date(2024, 2, 29), date(2027, 2, 28), Cycle(2028, date(2028, 2, 29))),
    ],
)
def test_what_comes_after_a_cycle_that_has_passed(passed, anchor, today, following):
    assert next_cycle(passed, anchor, today) == following


def test_a_group_that_comes_into_the_book_on_its_renewal_date_renews_a_year_later():
    assert first_cycle(date(2026, 9, 1), date(2026, 9, 1)) == Cycle(2027, date(2027, 9, 1))
    assert first_cycle(date(2026, 9, 1), date(2026, 8, 31)) == Cycle(2026, date(2026, 9, 1))
