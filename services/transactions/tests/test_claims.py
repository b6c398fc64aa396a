"""Claims: whoever is at work on a review keeps others out, for a while."""

from datetime import datetime, timedelta

import pytest
from covey_chassis.access import StaffRight
from covey_chassis.testing import ServiceHarness
from covey_contracts.transactions import ReviewClaimed, ReviewReleased
from covey_transactions.app import service

from .reviewing import Reviewing


@pytest.fixture
def reviewing(covey) -> Reviewing:
    return Reviewing(covey)


def said(answer):
    return (answer.status_code, answer.json()["code"])


async def test_a_claim_says_who_is_at_work_and_until_when(reviewing):
    transaction_id, reviewer = await reviewing.submitted(), await reviewing.reviewer()
    before = reviewing.covey.context.clock.now()

    answer = await reviewer.claim(transaction_id)

    claim = answer.json()["claim"]
    until = datetime.fromisoformat(claim["claimed_until"])
    assert (answer.status_code, claim["claimed_by"]) == (200, str(reviewer.account_id))
    assert before + timedelta(minutes=30) <= until <= reviewing.covey.context.clock.now() + timedelta(minutes=30)
    (told,) = await reviewing.covey.published(ReviewClaimed)
    assert (told.event.reviewer_id, told.event.claimed_until) == (reviewer.account_id, until)
    assert (await reviewer.read(transaction_id)).json()["claim"] == claim


async def test_for_how_long_is_a_setting(service_harness: ServiceHarness):
    async with service_harness(service, claim_minutes=5) as covey:
        reviewing = Reviewing(covey)
        transaction_id, reviewer = await reviewing.submitted(), await reviewing.reviewer()

        claim = (await reviewer.claim(transaction_id)).json()["claim"]

        left = datetime.fromisoformat(claim["claimed_until"]) - covey.context.clock.now()
        assert timedelta(minutes=4) < left <= timedelta(minutes=5)


async def test_a_claim_that_lasts_keeps_others_out(reviewing):
    transaction_id, representative_id = await reviewing.submitted(), await reviewing.representative()
    reviewer, other = await reviewing.reviewer(), await reviewing.reviewer(*StaffRight)
    await reviewer.claim(transaction_id)

    answers = [
        await other.claim(transaction_id),
        await other.approve(transaction_id),
        await other.decline(transaction_id),
        await other.send_back(transaction_id, representative_id),
    ]

    assert [said(answer) for answer in answers] == [(409, "claimed-by-somebody-else")] * 4
    assert said(await other.release(transaction_id)) == (409, "not-claimed-by-you")
    assert (await reviewer.approve(transaction_id)).status_code == 200


async def test_a_claim_that_has_lapsed_keeps_nobody_out(reviewing):
    transaction_id = await reviewing.submitted()
    reviewer, other = await reviewing.reviewer(), await reviewing.reviewer()
    await reviewer.claim(transaction_id)
    await reviewing.let_claim_lapse(transaction_id)

    assert (await reviewer.read(transaction_id)).json()["claim"] is None
    assert (await other.claim(transaction_id)).json()["claim"]["claimed_by"] == str(other.account_id)
    assert said(await reviewer.approve(transaction_id)) == (409, "claimed-by-somebody-else")
    assert said(await reviewer.release(transaction_id)) == (409, "not-claimed-by-you")


async def test_whoever_let_it_lapse_may_still_decide_while_nobody_else_claims_it(reviewing):
    transaction_id, reviewer = await reviewing.submitted(), await reviewing.reviewer()
    await reviewer.claim(transaction_id)
    await reviewing.let_claim_lapse(transaction_id)

    assert (await reviewer.approve(transaction_id)).status_code == 200


async def test_claiming_again_extends_the_claim_and_tells_so(reviewing):
    transaction_id, reviewer = await reviewing.submitted(), await reviewing.reviewer()
    first = (await reviewer.claim(transaction_id)).json()["claim"]["claimed_until"]

    second = (await reviewer.claim(transaction_id)).json()["claim"]["claimed_until"]

    assert second > first
    assert await reviewing.history(transaction_id) == [
        "TransactionOpened",
        "TransactionSubmitted",
        "ReviewClaimed",
        "ReviewClaimed",
    ]


async def test_a_released_review_is_anybodys(reviewing):
    transaction_id = await reviewing.submitted()
    reviewer, other = await reviewing.reviewer(), await reviewing.reviewer()
    await reviewer.claim(transaction_id)

    released = await reviewer.release(transaction_id)

    assert (released.status_code, released.json()["claim"]) == (200, None)
    (told,) = await reviewing.covey.published(ReviewReleased)
    assert told.event.reviewer_id == reviewer.account_id
    assert said(await reviewer.release(transaction_id)) == (409, "not-claimed-by-you")
    assert (await other.claim(transaction_id)).status_code == 200


async def test_what_one_has_worked_on_oneself_cannot_be_claimed(reviewing):
    reviewer = await reviewing.reviewer()
    transaction_id = await reviewing.submitted(owner_id=reviewer.account_id)

    assert said(await reviewer.claim(transaction_id)) == (403, "own-transaction")


@pytest.mark.parametrize("decision", ["approve", "decline", "send_back"])
async def test_a_decision_ends_the_claim(reviewing, decision):
    transaction_id, representative_id = await reviewing.submitted(), await reviewing.representative()
    reviewer = await reviewing.reviewer()
    await reviewer.claim(transaction_id)
    decide = {"send_back": lambda: reviewer.send_back(transaction_id, representative_id)}.get(
        decision, lambda: getattr(reviewer, decision)(transaction_id)
    )

    assert (await decide()).json()["claim"] is None
    assert await reviewing.run("SELECT claimed_by, claimed_until FROM transaction") == [(None, None)]
    assert said(await reviewer.release(transaction_id)) == (409, "illegal-move")


async def test_withdrawing_ends_the_claim(reviewing):
    transaction_id, reviewer = await reviewing.submitted(), await reviewing.reviewer()
    await reviewer.claim(transaction_id)

    await reviewing.withdraw(transaction_id)

    assert (await reviewer.read(transaction_id)).json()["claim"] is None
    assert said(await reviewer.claim(transaction_id)) == (409, "illegal-move")


async def test_what_was_never_submitted_cannot_be_claimed(reviewing):
    transaction_id, reviewer = await reviewing.saved(), await reviewing.reviewer()

    assert said(await reviewer.claim(transaction_id)) == (409, "illegal-move")
