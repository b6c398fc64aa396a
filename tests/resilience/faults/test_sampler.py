"""No offset goes by uncompared, whoever is silent meanwhile."""

from .sampler import pair

PLACE = ("renewals.groups", "covey.group.changed.v1", 0)


def test_an_offset_is_compared_once():
    compared = {}

    assert pair({PLACE: 5}, {PLACE: 6}, compared) == ({PLACE: 5}, {PLACE: 6})
    assert pair({PLACE: 5}, {PLACE: 7}, compared) == ({}, {})
    assert pair({PLACE: 7}, {PLACE: 7}, compared) == ({PLACE: 7}, {PLACE: 7})


def test_an_offset_that_moved_while_the_database_was_silent_is_compared_when_it_speaks():
    compared = {PLACE: 4}

    assert pair({PLACE: 5}, {}, compared) == ({PLACE: 5}, {})
    assert pair({PLACE: 5}, {PLACE: 4}, compared) == ({PLACE: 5}, {PLACE: 4})
