from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from covey_chassis.lifecycle import IllegalMove
from covey_notifications.domain.notification import (
    ATTEMPTS_MAX,
    LIFECYCLE,
    Kind,
    Notification,
    Recipient,
    Status,
    message_id,
    pause,
)

# Drawn by hand, never computed from LIFECYCLE: this is the page to read and to review.
GRID = """
             deliver     put_off    fail       resend
  waiting    delivered   waiting    failed     -
  delivered  -           -          -          -
  failed     -           -          -          waiting
"""
NOON = datetime(2027, 4, 17, 12, tzinfo=UTC)
DO = {
    "deliver": lambda each: each.deliver(at=NOON),
    "put_off": lambda each: each.put_off("timed-out", at=NOON),
    "fail": lambda each: each.fail("smtp-550", at=NOON),
    "resend": lambda each: each.resend(at=NOON),
}


def cells(grid):
    verbs, *rows = [line.split() for line in grid.strip().splitlines()]
    return [(Status(row[0]), verb, outcome) for row in rows for verb, outcome in zip(verbs, row[1:], strict=True)]


def notification(status=Status.WAITING, event_id="event-1", recipient=Recipient.BROKER):
    return Notification(
        kind=Kind.RENEWAL_AVAILABLE,
        about_event_id=event_id,
        correlation_id="correlation-1",
        recipient=recipient,
        group_id=UUID(int=1),
        group_number="G-1",
        legal_name="Oak Street Bakery",
        effective_date=date(2027, 7, 1),
        plan_year=2027,
        status=status,
        created_at=NOON,
    )


@pytest.mark.parametrize(("status", "verb", "outcome"), cells(GRID))
def test_every_verb_from_every_status(status, verb, outcome):
    each = notification(status)

    if outcome == "-":
        with pytest.raises(IllegalMove):
            DO[verb](each)
        assert each.status is status
    else:
        DO[verb](each)
        assert each.status is Status(outcome)


def test_the_grid_covers_every_verb_and_status():
    assert {verb for _, verb, _ in cells(GRID)} == set(LIFECYCLE.moves)
    assert {status for status, _, _ in cells(GRID)} == set(Status)


def test_the_readme_draws_every_move():
    readme = (Path(__file__).parents[1] / "README.md").read_text()

    for verb, moves in LIFECYCLE.moves.items():
        for before, after in moves.items():
            assert f"{before} --> {after}: {verb}\n" in readme


def test_the_message_id_is_the_same_for_the_same_event_and_recipient_and_for_no_other():
    first = notification()

    assert first.message_id == notification().message_id
    assert first.message_id != notification(event_id="event-2").message_id
    assert first.message_id != notification(recipient=Recipient.CONTRACT_SIGNER).message_id


def test_message_ids_never_change_from_release_to_release():
    assert (
        message_id(Kind.RENEWAL_AVAILABLE, "018f5b6e-0000-7000-8000-000000000001", Recipient.BROKER)
        == "<renewal-available.969f8de194f65594b51e8ef60606efeb@mail.covey>"
    )


@pytest.mark.parametrize("kind", Kind)
def test_message_ids_stand_on_one_line_of_the_header(kind):
    assert len(f"Message-ID: {message_id(kind, 'event-1', Recipient.BROKER)}") <= 78


def test_pauses_grow_from_five_seconds_to_a_quarter_of_an_hour():
    pauses = [pause(attempts).total_seconds() for attempts in range(1, 12)]

    assert pauses == [5, 10, 20, 40, 80, 160, 320, 640, 900, 900, 900]
    assert timedelta(hours=20) < sum((pause(n) for n in range(1, ATTEMPTS_MAX)), timedelta()) < timedelta(hours=24)


def test_a_message_that_is_never_taken_fails_after_the_last_try():
    each = notification()

    outcomes = [each.put_off("timed-out", at=NOON) for _ in range(ATTEMPTS_MAX)]

    assert outcomes[:-1] == [None] * (ATTEMPTS_MAX - 1)
    assert outcomes[-1].reason == "timed-out"
    assert (each.status, each.attempts, each.next_at) == (Status.FAILED, ATTEMPTS_MAX, None)


def test_sending_again_starts_the_tries_anew_and_keeps_the_message_id():
    each = notification()
    before = each.message_id
    each.fail("smtp-550", at=NOON)

    each.resend(at=NOON + timedelta(days=1))

    assert (each.status, each.attempts, each.next_at) == (Status.WAITING, 0, NOON + timedelta(days=1))
    assert each.message_id == before


def test_the_event_says_how_many_tries_it_took():
    each = notification()
    each.put_off("timed-out", at=NOON)

    event = each.deliver(at=NOON)

    assert (event.attempts, event.message_id, event.about_event_id) == (2, each.message_id, "event-1")
    assert each.reason is None
