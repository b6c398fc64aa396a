"""The life of a transaction: what can be done when, with what, and what is told of it."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest
from covey_chassis.lifecycle import IllegalMove
from covey_contracts.transactions import (
    ContributionBasis,
    DeclineLetter,
    Representative,
    ReturnLetter,
    ReviewApproved,
    ReviewClaimed,
    ReviewDeclined,
    ReviewReleased,
    ReviewReturned,
    TransactionKind,
    TransactionOpened,
    TransactionStatus,
    TransactionSubmitted,
    TransactionWithdrawn,
)
from covey_transactions.domain.changes import ClassPlans, Contribution, Draft, Enrollment, Person
from covey_transactions.domain.transaction import (
    LIFECYCLE,
    LIVE,
    ClaimedBySomebodyElse,
    NotClaimedByYou,
    Outcome,
    OwnTransaction,
    Round,
    RoundIsOver,
    Transaction,
)

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=30)
OWNER, REVIEWER, COLLEAGUE = uuid4(), uuid4(), uuid4()

# Drawn by hand, never computed from LIFECYCLE: this is the page to read and to review. A quote needs no review.
GRID = """
  renewal changes    save               submit            withdraw     claim             release           send_back          approve      decline
  open               open               pending review    withdrawn    -                 -                 -                  -            -
  pending review     -                  -                 withdrawn    pending review    pending review    action required    completed    declined
  action required    action required    pending review    withdrawn    -                 -                 -                  -            -
  completed          -                  -                 -            -                 -                 -                  -            -
  declined           -                  -                 -            -                 -                 -                  -            -
  withdrawn          -                  -                 -            -                 -                 -                  -            -

  enrollment         save               submit            withdraw     claim             release           send_back          approve      decline
  open               open               pending review    withdrawn    -                 -                 -                  -            -
  pending review     -                  -                 withdrawn    pending review    pending review    action required    completed    declined
  action required    action required    pending review    withdrawn    -                 -                 -                  -            -
  completed          -                  -                 -            -                 -                 -                  -            -
  declined           -                  -                 -            -                 -                 -                  -            -
  withdrawn          -                  -                 -            -                 -                 -                  -            -

  quote              save               submit            withdraw     claim             release           send_back          approve      decline
  open               open               completed         withdrawn    -                 -                 -                  -            -
  pending review     -                  -                 -            -                 -                 -                  -            -
  action required    -                  -                 -            -                 -                 -                  -            -
  completed          -                  -                 -            -                 -                 -                  -            -
  declined           -                  -                 -            -                 -                 -                  -            -
  withdrawn          -                  -                 -            -                 -                 -                  -            -
"""  # noqa: E501 - as wide as there are verbs

DRAFT = Draft(
    classes=(
        ClassPlans(
            employee_class="Full-time",
            plan_ids=("GOLD-80",),
            contribution=Contribution(basis=ContributionBasis.PERCENT, employee=Decimal(75), dependents=Decimal(50)),
        ),
        ClassPlans(employee_class="Part-time"),
    ),
    enrollments=(Enrollment(subscriber=Person(first_name="Ada", last_name="Lovelace")),),
)
RETURN = ReturnLetter(
    instructions="Add the birth date.",
    required_items=("birth certificate",),
    representative=Representative(
        representative_id=uuid4(), name="Rosa Diaz", phone="(555) 010-0100", email="rosa@example.org"
    ),
)
DECLINE = DeclineLetter(reason="The group is too small.")


def seal(body):
    return f"sealed.for.{body.sealed_for}.a.b"


DO = {
    "save": lambda transaction: transaction.save(DRAFT, by=OWNER, at=LATER),
    "submit": lambda transaction: transaction.submit(by=OWNER, at=LATER),
    "withdraw": lambda transaction: transaction.withdraw(by=OWNER, at=LATER),
    "claim": lambda transaction: transaction.claim(by=REVIEWER, at=LATER, until=LATER + timedelta(minutes=30)),
    "release": lambda transaction: transaction.release(by=REVIEWER, at=LATER),
    "send_back": lambda transaction: transaction.send_back(1, RETURN, by=REVIEWER, at=LATER, seal=seal),
    "approve": lambda transaction: transaction.approve(1, by=REVIEWER, at=LATER),
    "decline": lambda transaction: transaction.decline(1, DECLINE, by=REVIEWER, at=LATER, seal=seal),
}
TOLD = {
    "save": type(None),
    "submit": TransactionSubmitted,
    "withdraw": TransactionWithdrawn,
    "claim": ReviewClaimed,
    "release": ReviewReleased,
    "send_back": ReviewReturned,
    "approve": ReviewApproved,
    "decline": ReviewDeclined,
}


def cells(grid):
    """(kind, status, verb, outcome) of each cell: columns are set apart by two spaces or more."""
    found = []
    for table in grid.strip().split("\n\n"):
        (kind, *verbs), *rows = [
            [cell.strip() for cell in line.split("  ") if cell.strip()] for line in table.splitlines()
        ]
        found += [(kind, row[0], verb, to) for row in rows for verb, to in zip(verbs, row[1:], strict=True)]
    return found


REVIEWED = [(kind, *cell) for kind, *cell in cells(GRID) if kind != "quote"]
ENDED = {
    "action required": Outcome.RETURNED,
    "completed": Outcome.APPROVED,
    "declined": Outcome.DECLINED,
    "withdrawn": Outcome.WITHDRAWN,
}


def a_transaction(status="open", kind="renewal changes"):
    """One that was saved; in all but the status open it was submitted once. Under review it is claimed."""
    transaction = Transaction(
        kind=TransactionKind(kind),
        status=TransactionStatus(status),
        group_id=uuid4(),
        renewal_id=uuid4(),
        plan_year=2026,
        effective_date=date(2026, 9, 1),
        owner_id=OWNER,
        worked_on_by=[OWNER],
        draft=DRAFT,
        created_at=NOW,
        updated_at=NOW,
        saved_at=NOW,
    )
    if status != "open":
        transaction.rounds.append(Round(number=1, content=DRAFT, submitted_by=OWNER, submitted_at=NOW))
    if status in ENDED:
        transaction.rounds[0].end(ENDED[status], REVIEWER, NOW)
    if status == "pending review":
        transaction.claimed_by, transaction.claimed_until = REVIEWER, LATER + timedelta(minutes=1)
    return transaction


def all_of_it(transaction):
    return {name: value for name, value in vars(transaction).items() if not name.startswith("_")} | {
        "rounds": [(each.number, each.outcome, each.decided_by) for each in transaction.rounds]
    }


# --- the table ---


@pytest.mark.parametrize(("kind", "status", "verb", "outcome"), cells(GRID))
def test_every_kind_has_these_moves_and_no_others(kind, status, verb, outcome):
    lifecycle = LIFECYCLE[TransactionKind(kind)]

    if outcome == "-":
        with pytest.raises(IllegalMove):
            lifecycle.after(verb, TransactionStatus(status))
    else:
        assert lifecycle.after(verb, TransactionStatus(status)) is TransactionStatus(outcome)


@pytest.mark.parametrize(("kind", "status", "verb", "outcome"), REVIEWED)
def test_every_verb_from_every_status(kind, status, verb, outcome):
    transaction = a_transaction(status, kind)
    before = all_of_it(transaction)

    if outcome == "-":
        with pytest.raises(IllegalMove):
            DO[verb](transaction)
        assert all_of_it(transaction) == before
    else:
        event = DO[verb](transaction)
        assert transaction.status is TransactionStatus(outcome)
        assert transaction.updated_at == LATER
        assert type(event) is TOLD[verb]
        if event is not None:
            assert (event.status, event.transaction_id, event.round) == (
                transaction.status,
                transaction.id,
                len(transaction.rounds),
            )


def test_the_grid_shows_every_kind_every_status_and_every_verb():
    shown = cells(GRID)

    assert (
        {kind for kind, *_ in shown} == {kind.value for kind in TransactionKind} == {kind.value for kind in LIFECYCLE}
    )
    assert {verb for _, _, verb, _ in shown} == set(DO) == set(TOLD)
    for kind, lifecycle in LIFECYCLE.items():
        assert set(lifecycle.moves) == set(DO)
        for verb in DO:
            rows = [status for which, status, column, _ in shown if (which, column) == (kind.value, verb)]
            assert rows == [status.value for status in TransactionStatus]


def test_what_is_over_never_moves_again_and_what_lives_can_be_withdrawn():
    over = [
        status.value
        for status in TransactionStatus
        if all(to == "-" for _, row, _, to in REVIEWED if row == status.value)
    ]

    assert over == ["completed", "declined", "withdrawn"]
    assert [status.value for status in LIVE] == ["open", "pending review", "action required"]


# --- its owner ---


def test_the_world_hears_of_it_with_the_first_save_and_of_no_later_one():
    transaction = a_transaction()
    transaction.saved_at = None

    first, second = DO["save"](transaction), DO["save"](transaction)

    assert isinstance(first, TransactionOpened)
    assert second is None
    assert transaction.saved_at == LATER


def test_one_that_was_never_saved_is_withdrawn_without_a_word():
    transaction = a_transaction()
    transaction.saved_at = None

    assert DO["withdraw"](transaction) is None
    assert transaction.status is TransactionStatus.WITHDRAWN


def test_events_count_persons_and_tell_only_whole_classes():
    told = DO["submit"](a_transaction()).renewal_changes

    assert (told.enrollments, told.terminations) == (1, 0)
    assert [each.employee_class for each in told.classes] == ["Full-time"]
    assert "Lovelace" not in DO["submit"](a_transaction()).model_dump_json()


def test_every_submission_is_a_round_with_what_was_submitted_then():
    transaction = a_transaction()
    DO["submit"](transaction)
    DO["send_back"](transaction)
    corrected = DRAFT.model_copy(update={"enrollments": ()})
    transaction.save(corrected, by=COLLEAGUE, at=LATER)

    again = transaction.submit(by=COLLEAGUE, at=LATER)

    assert again.round == 2
    assert [(each.number, each.outcome, each.submitted_by) for each in transaction.rounds] == [
        (1, Outcome.RETURNED, OWNER),
        (2, None, COLLEAGUE),
    ]
    assert [each.content for each in transaction.rounds] == [DRAFT, corrected]


@pytest.mark.parametrize(
    ("status", "outcome"), [("pending review", Outcome.WITHDRAWN), ("action required", Outcome.RETURNED)]
)
def test_withdrawing_ends_the_round_that_is_under_review_and_any_claim(status, outcome):
    transaction = a_transaction(status)

    DO["withdraw"](transaction)

    assert [each.outcome for each in transaction.rounds] == [outcome]
    assert (transaction.claimed_by, transaction.claimed_until) == (None, None)


# --- its review ---


@pytest.mark.parametrize(
    ("verb", "outcome"),
    [("send_back", Outcome.RETURNED), ("approve", Outcome.APPROVED), ("decline", Outcome.DECLINED)],
)
def test_a_decision_is_written_into_its_round_and_ends_the_claim(verb, outcome):
    transaction = a_transaction("pending review")

    event = DO[verb](transaction)

    (decided,) = transaction.rounds
    assert (decided.outcome, decided.decided_by, decided.decided_at) == (outcome, REVIEWER, LATER)
    assert (transaction.claimed_by, transaction.claimed_until) == (None, None)
    assert event.reviewer_id == REVIEWER


def test_what_has_to_be_done_and_who_helps_stay_in_the_round_and_travel_sealed():
    transaction = a_transaction("pending review")

    event = DO["send_back"](transaction)

    (returned,) = transaction.rounds
    helper = RETURN.representative
    assert (returned.instructions, returned.required_items) == ("Add the birth date.", ["birth certificate"])
    assert (
        returned.representative_id,
        returned.representative_name,
        returned.representative_phone,
        returned.representative_email,
    ) == (helper.representative_id, helper.name, helper.phone, helper.email)
    assert event.sealed == "sealed.for.notifications.a.b"
    assert not any(said in event.model_dump_json() for said in ("birth", "Rosa", "0100", "example"))


def test_a_reason_stays_in_the_round_and_travels_sealed():
    transaction = a_transaction("pending review")

    event = DO["decline"](transaction)

    assert transaction.rounds[0].reason == "The group is too small."
    assert event.sealed == "sealed.for.notifications.a.b"
    assert "small" not in event.model_dump_json()


@pytest.mark.parametrize("verb", ["send_back", "approve", "decline"])
@pytest.mark.parametrize("named", [0, 1, 3])
def test_a_decision_on_another_round_than_the_latest_changes_nothing(verb, named):
    transaction = a_transaction("action required")
    DO["submit"](transaction)
    before = all_of_it(transaction)
    decide = {
        "send_back": lambda: transaction.send_back(named, RETURN, by=REVIEWER, at=LATER, seal=seal),
        "approve": lambda: transaction.approve(named, by=REVIEWER, at=LATER),
        "decline": lambda: transaction.decline(named, DECLINE, by=REVIEWER, at=LATER, seal=seal),
    }

    with pytest.raises(RoundIsOver):
        decide[verb]()

    assert all_of_it(transaction) == before


# Who may: drawn by hand. Whoever worked on it, whoever has a claim that lasts, anybody else; and at the end of a claim.
MAY = """
                                      claim    release    send_back    approve    decline
  worked on it, nobody claims         own      not        own          own        own
  worked on it, another claims        own      not        own          own        own
  nobody claims                       yes      not        yes          yes        yes
  claims it                           yes      yes        yes          yes        yes
  another claims                      other    not        other        other      other
  another's claim ends now            yes      not        yes          yes        yes
  another's claim has lapsed          yes      not        yes          yes        yes
  one's own claim has lapsed          yes      yes        yes          yes        yes
"""
SAID = {"own": OwnTransaction, "not": NotClaimedByYou, "other": ClaimedBySomebodyElse}
PAST, SOON = LATER - timedelta(seconds=1), LATER + timedelta(seconds=1)
CLAIMS = {
    "worked on it, nobody claims": (None, None),
    "worked on it, another claims": (COLLEAGUE, SOON),
    "nobody claims": (None, None),
    "claims it": (REVIEWER, SOON),
    "another claims": (COLLEAGUE, SOON),
    "another's claim ends now": (COLLEAGUE, LATER),
    "another's claim has lapsed": (COLLEAGUE, PAST),
    "one's own claim has lapsed": (REVIEWER, PAST),
}


def may():
    head, *rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in MAY.strip().splitlines()]
    return [(row[0], verb, said) for row in rows for verb, said in zip(head, row[1:], strict=True)]


@pytest.mark.parametrize(("who", "verb", "said"), may())
def test_who_may_review_it(who, verb, said):
    transaction = a_transaction("pending review")
    transaction.claimed_by, transaction.claimed_until = CLAIMS[who]
    if who.startswith("worked on it"):
        transaction.worked_on_by = [OWNER, REVIEWER]
    before = all_of_it(transaction)

    if said == "yes":
        assert type(DO[verb](transaction)) is TOLD[verb]
    else:
        with pytest.raises(SAID[said]):
            DO[verb](transaction)
        assert all_of_it(transaction) == before


@pytest.mark.parametrize("verb", ["save", "submit"])
def test_whoever_saves_or_submits_it_has_worked_on_it(verb):
    transaction = a_transaction("action required")
    work = {
        "save": lambda: transaction.save(DRAFT, by=COLLEAGUE, at=LATER),
        "submit": lambda: transaction.submit(by=COLLEAGUE, at=LATER),
    }

    work[verb]()
    work["submit"]() if verb == "save" else None

    with pytest.raises(OwnTransaction):
        transaction.approve(2, by=COLLEAGUE, at=LATER)


def test_a_claim_is_extended_by_claiming_again():
    transaction = a_transaction("pending review")

    told = transaction.claim(by=REVIEWER, at=LATER, until=LATER + timedelta(hours=1))

    assert told.claimed_until == transaction.claimed_until == LATER + timedelta(hours=1)
    assert told.reviewer_id == transaction.claimed_by == REVIEWER


def test_releasing_leaves_it_to_anybody():
    transaction = a_transaction("pending review")

    DO["release"](transaction)

    assert not transaction.is_claimed(LATER)
    assert isinstance(transaction.approve(1, by=COLLEAGUE, at=LATER), ReviewApproved)


def test_the_picture_in_the_readme_shows_these_moves():
    def name(status):
        return status.value.replace(" ", "_")

    moves = [
        f"    {name(before)} --> {name(after)}: {verb}"
        for verb, row in LIFECYCLE[TransactionKind.RENEWAL_CHANGES].moves.items()
        for before, after in row.items()
    ]
    picture = "\n".join(["```mermaid", "stateDiagram-v2", "    [*] --> open", *moves, "```"])

    assert picture in Path(__file__).parents[1].joinpath("README.md").read_text()
