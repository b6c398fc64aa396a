"""Review over HTTP: the queue, what a reviewer sees, and what they decide."""

from uuid import uuid4

import pytest
from covey_chassis.access import StaffRight
from covey_chassis.ids import new_id
from covey_contracts.transactions import (
    DeclineLetter,
    ReturnLetter,
    ReviewApproved,
    ReviewDeclined,
    ReviewReturned,
)

from .reviewing import Reviewing
from .story import command


@pytest.fixture
def reviewing(covey) -> Reviewing:
    return Reviewing(covey)


def said(answer):
    return (answer.status_code, answer.json()["code"])


def names(items):
    return [each["group"]["legal_name"] for each in items]


# --- the queue ---


async def test_the_queue_has_what_is_under_review_the_longest_waiting_first(reviewing):
    reviewer, representative_id = await reviewing.reviewer(), await reviewing.representative()
    ids = {name: await reviewing.submitted(name) for name in ("First", "Again", "Third", "Done", "Refused", "Gone")}
    await reviewing.saved("Draft")
    await reviewer.send_back(ids["Again"], representative_id)
    before = names(await reviewer.queue())
    await reviewer.approve(ids["Done"])
    await reviewer.decline(ids["Refused"])
    await reviewing.withdraw(ids["Gone"])
    await reviewing.submit(ids["Again"])

    found = await reviewer.queue()

    assert before == ["First", "Third", "Done", "Refused", "Gone"]
    assert names(found) == ["First", "Third", "Again"]
    assert [each["round"] for each in found] == [1, 1, 2]
    assert {each["status"] for each in found} == {"pending review"}


async def test_the_queue_is_paged(reviewing):
    reviewer = await reviewing.reviewer()
    for number in range(5):
        await reviewing.submitted(f"Group {number}")

    first = (await reviewer.api.get("/v1/reviews", params={"limit": 2})).json()
    second = (await reviewer.api.get("/v1/reviews", params={"limit": 2, "after": first["next"]})).json()
    third = (await reviewer.api.get("/v1/reviews", params={"limit": 2, "after": second["next"]})).json()

    assert [names(each["items"]) for each in (first, second, third)] == [
        ["Group 0", "Group 1"],
        ["Group 2", "Group 3"],
        ["Group 4"],
    ]
    assert third["next"] is None


async def test_the_queue_is_paged_also_among_those_that_were_submitted_at_one_moment(reviewing):
    reviewer = await reviewing.reviewer()
    for number in range(4):
        await reviewing.submitted(f"Group {number}")
    await reviewing.run("UPDATE round SET submitted_at = '2100-01-01Z'")

    first = (await reviewer.api.get("/v1/reviews", params={"limit": 3})).json()
    second = (await reviewer.api.get("/v1/reviews", params={"limit": 3, "after": first["next"]})).json()

    assert sorted(names(first["items"] + second["items"])) == [f"Group {number}" for number in range(4)]


async def test_the_queue_is_filtered_by_whose_claim_lasts(reviewing):
    reviewer, other = await reviewing.reviewer(), await reviewing.reviewer()
    ids = {name: await reviewing.submitted(name) for name in ("Free", "Mine", "Other's", "My lapsed", "Other's lapsed")}
    for who, name in ((reviewer, "Mine"), (reviewer, "My lapsed"), (other, "Other's"), (other, "Other's lapsed")):
        assert (await who.claim(ids[name])).status_code == 200
    for name in ("My lapsed", "Other's lapsed"):
        await reviewing.let_claim_lapse(ids[name])

    found = {claimed: names(await reviewer.queue(claimed=claimed)) for claimed in ("mine", "free", "others")}

    assert found == {"mine": ["Mine"], "free": ["Free", "My lapsed", "Other's lapsed"], "others": ["Other's"]}
    assert [each["claim"] and each["claim"]["claimed_by"] for each in await reviewer.queue()] == [
        None,
        str(reviewer.account_id),
        str(other.account_id),
        None,
        None,
    ]


async def test_the_queue_is_filtered_by_region_and_group(reviewing):
    reviewer = await reviewing.reviewer()
    await reviewing.submitted("West", market_region="California")
    await reviewing.submitted("East", market_region="New York")

    assert names(await reviewer.queue(market_region="New York")) == ["East"]
    assert names(await reviewer.queue(group_number="G-West")) == ["West"]
    assert names(await reviewer.queue(group_number="G-West", market_region="New York")) == []
    assert names(await reviewer.queue(group_number="G")) == []


async def test_what_one_has_worked_on_is_listed_and_marked(reviewing):
    reviewer = await reviewing.reviewer()
    await reviewing.submitted("Mine", owner_id=reviewer.account_id)
    await reviewing.submitted("Another's")

    assert [(each["group"]["legal_name"], each["yours"]) for each in await reviewer.queue(claimed="free")] == [
        ("Mine", True),
        ("Another's", False),
    ]


async def test_the_queue_names_nobody_who_joins_or_leaves(reviewing):
    reviewer = await reviewing.reviewer()
    await reviewing.submitted()

    answer = await reviewer.api.get("/v1/reviews")

    assert "Lovelace" not in answer.text
    assert answer.json()["items"][0]["counts"] == {"classes": 1, "enrollments": 2, "terminations": 1}


@pytest.mark.parametrize("asked", [{"claimed": "yours"}, {"limit": 0}, {"after": "x"}])
async def test_a_question_that_makes_no_sense_is_refused(reviewing, asked):
    reviewer = await reviewing.reviewer()

    answer = await reviewer.api.get("/v1/reviews", params=asked)

    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.json()["errors"]] == [f"query:{name}" for name in asked]


# --- one of them ---


async def test_a_reviewer_sees_all_of_it_with_every_round_and_what_was_asked_for_and_answered(reviewing):
    transaction_id, representative_id = await reviewing.submitted(), await reviewing.representative()
    reviewer = await reviewing.reviewer()
    await reviewer.send_back(transaction_id, representative_id)
    await reviewing.submit(transaction_id)

    answer = await reviewer.read(transaction_id)

    found = answer.json()
    assert answer.status_code == 200
    assert (found["status"], found["round"], found["yours"], found["claim"]) == ("pending review", 2, False, None)
    first, second = found["rounds"]
    assert (first["outcome"], first["decided_by"]) == ("returned", str(reviewer.account_id))
    assert (first["instructions"], first["required_items"]) == ("Add what is missing.", ["W-9"])
    assert first["representative"] == {
        "representative_id": str(representative_id),
        "name": "Rosa Diaz",
        "phone": "(555) 010-0100",
        "email": "rosa@carrier.example",
    }
    assert (second["outcome"], second["submitted_by"]) == (None, str(reviewing.owner_id))
    for submitted in (first, second):
        assert submitted["content"]["enrollments"][0]["subscriber"]["last_name"] == "Lovelace"


async def test_its_etag_goes_up_with_every_change(reviewing):
    transaction_id, reviewer = await reviewing.submitted(), await reviewing.reviewer()
    before = (await reviewer.read(transaction_id)).headers["ETag"]

    claimed = (await reviewer.claim(transaction_id)).headers["ETag"]

    assert claimed != before
    assert (await reviewer.read(transaction_id)).headers["ETag"] == claimed


async def test_what_was_decided_can_still_be_read(reviewing):
    transaction_id, reviewer = await reviewing.submitted(), await reviewing.reviewer()
    await reviewer.decline(transaction_id, reason="Too small.")

    found = (await reviewer.read(transaction_id)).json()

    assert (found["status"], found["reason"]) == ("declined", "Too small.")


async def test_what_was_never_submitted_and_what_is_not_there_are_not_found(reviewing):
    reviewer = await reviewing.reviewer()

    for transaction_id in (await reviewing.saved(), uuid4()):
        assert said(await reviewer.read(transaction_id)) == (404, "transaction-not-found")


async def test_nothing_can_be_done_with_what_is_not_there(reviewing):
    reviewer, representative_id = await reviewing.reviewer(), await reviewing.representative()
    unknown = new_id()

    answers = [
        await reviewer.claim(unknown),
        await reviewer.release(unknown),
        await reviewer.approve(unknown),
        await reviewer.decline(unknown),
        await reviewer.send_back(unknown, representative_id),
    ]

    assert [said(answer) for answer in answers] == [(404, "transaction-not-found")] * 5


# --- decisions ---


async def test_an_approval_completes_it(reviewing):
    transaction_id, reviewer = await reviewing.submitted(), await reviewing.reviewer()

    answer = await reviewer.approve(transaction_id)

    assert (answer.status_code, answer.json()["status"]) == (200, "completed")
    (told,) = await reviewing.covey.published(ReviewApproved)
    assert (told.event.reviewer_id, told.event.round) == (reviewer.account_id, 1)
    assert told.event.renewal_changes.classes[0].plan_ids == ("GOLD-80", "SILVER-70")
    assert await reviewing.state(transaction_id) == ("completed", ["approved"])


async def test_returning_it_asks_its_owner_to_act_and_says_who_helps(reviewing):
    transaction_id, representative_id = await reviewing.submitted(), await reviewing.representative()
    reviewer = await reviewing.reviewer()

    answer = await reviewer.decide(
        transaction_id,
        "return",
        round=1,
        instructions=" Add a W-9.\r\nThen sign it.\n",
        required_items=["W-9", " signed \n form "],
        representative_id=str(representative_id),
    )

    found = answer.json()
    assert (answer.status_code, found["status"]) == (200, "action required")
    assert (found["instructions"], found["required_items"]) == ("Add a W-9.\nThen sign it.", ["W-9", "signed form"])
    assert found["representative"]["phone"] == "(555) 010-0100"
    (told,) = await reviewing.covey.published(ReviewReturned)
    letter = reviewing.covey.context.keyring.open(told.event.sealed, ReturnLetter)
    assert (letter.instructions, letter.required_items) == ("Add a W-9.\nThen sign it.", ("W-9", "signed form"))
    assert (letter.representative.name, told.event.representative_id) == ("Rosa Diaz", representative_id)


async def test_who_helped_stays_as_they_were_when_it_was_returned(reviewing):
    transaction_id, representative_id = await reviewing.submitted(), await reviewing.representative()
    reviewer = await reviewing.reviewer()
    await reviewer.send_back(transaction_id, representative_id)

    await reviewing.run("UPDATE representative SET phone = 'none', active = false")

    assert (await reviewer.read(transaction_id)).json()["representative"]["phone"] == "(555) 010-0100"


async def test_only_somebody_on_the_list_helps(reviewing):
    transaction_id, gone = await reviewing.submitted(), await reviewing.representative()
    await reviewing.run("UPDATE representative SET active = false")
    reviewer = await reviewing.reviewer()

    answers = [await reviewer.send_back(transaction_id, each) for each in (gone, uuid4())]

    assert [said(answer) for answer in answers] == [(409, "representative-is-gone")] * 2
    assert await reviewing.state(transaction_id) == ("pending review", [None])


async def test_declining_it_is_for_good_and_says_why(reviewing):
    transaction_id, reviewer = await reviewing.submitted(), await reviewing.reviewer()

    answer = await reviewer.decline(transaction_id, reason="The group is too small.")

    assert (answer.json()["status"], answer.json()["reason"]) == ("declined", "The group is too small.")
    (told,) = await reviewing.covey.published(ReviewDeclined)
    letter = reviewing.covey.context.keyring.open(told.event.sealed, DeclineLetter)
    assert letter.reason == "The group is too small."
    assert said(await reviewer.approve(transaction_id)) == (409, "illegal-move")


async def test_a_decision_names_the_round_that_was_looked_at(reviewing):
    transaction_id, representative_id = await reviewing.submitted(), await reviewing.representative()
    reviewer = await reviewing.reviewer()
    await reviewer.send_back(transaction_id, representative_id)
    await reviewing.submit(transaction_id)

    answers = [
        await reviewer.approve(transaction_id, number=1),
        await reviewer.decline(transaction_id, number=1),
        await reviewer.send_back(transaction_id, representative_id, number=1),
        await reviewer.approve(transaction_id, number=3),
    ]

    assert [said(answer) for answer in answers] == [(409, "round-is-over")] * 4
    assert (await reviewer.approve(transaction_id, number=2)).status_code == 200


async def test_no_late_decision_undoes_a_withdrawal(reviewing):
    transaction_id, representative_id = await reviewing.submitted(), await reviewing.representative()
    reviewer = await reviewing.reviewer()
    await reviewer.claim(transaction_id)
    await reviewing.withdraw(transaction_id)

    answers = [
        await reviewer.approve(transaction_id),
        await reviewer.decline(transaction_id),
        await reviewer.send_back(transaction_id, representative_id),
        await reviewer.release(transaction_id),
    ]

    assert [said(answer) for answer in answers] == [(409, "illegal-move")] * 4
    assert await reviewing.state(transaction_id) == ("withdrawn", ["withdrawn"])
    assert (await reviewing.history(transaction_id))[-1] == "TransactionWithdrawn"


@pytest.mark.parametrize("worked", ["opened", "submitted"])
async def test_nobody_decides_on_what_they_have_worked_on(reviewing, worked):
    reviewer, representative_id = await reviewing.reviewer(*StaffRight), await reviewing.representative()
    transaction_id = await reviewing.saved(owner_id=reviewer.account_id if worked == "opened" else None)
    await reviewing.submit(transaction_id, by=reviewer.account_id if worked == "submitted" else None)

    answers = [
        await reviewer.approve(transaction_id),
        await reviewer.decline(transaction_id),
        await reviewer.send_back(transaction_id, representative_id),
    ]

    assert [said(answer) for answer in answers] == [(403, "own-transaction")] * 3
    assert await reviewing.state(transaction_id) == ("pending review", [None])


async def test_the_same_command_decides_once_and_is_answered_alike(reviewing):
    transaction_id, reviewer = await reviewing.submitted(), await reviewing.reviewer()
    headers, path = command(), f"/v1/reviews/{transaction_id}/approval"

    answers = [await reviewer.api.post(path, json={"round": 1}, headers=headers) for _ in range(3)]

    assert [each.status_code for each in answers] == [200] * 3
    assert answers[1].json() == answers[0].json()
    assert await reviewing.history(transaction_id) == ["TransactionOpened", "TransactionSubmitted", "ReviewApproved"]


async def test_an_answer_that_is_kept_names_nobody_who_joins_or_leaves(reviewing):
    transaction_id, reviewer = await reviewing.submitted(), await reviewing.reviewer()
    await reviewer.claim(transaction_id)
    await reviewer.approve(transaction_id)

    kept = await reviewing.run("SELECT convert_from(body, 'UTF8') FROM stored_answer")

    assert len(kept) == 2
    assert "Lovelace" not in str(kept)


HELPER = "01a19d6e-d942-7a7f-8d0a-5aa0d4a8142a"


@pytest.mark.parametrize(
    ("decision", "body", "pointers"),
    [
        ("approval", {}, ["/round"]),
        ("approval", {"round": "1"}, ["/round"]),
        ("approval", {"round": 0}, ["/round"]),
        ("approval", {"round": 1, "reason": "None."}, ["/reason"]),
        ("decline", {"round": 1, "reason": ""}, ["/reason"]),
        ("decline", {"round": 1, "reason": " \n\u200b"}, ["/reason"]),
        ("decline", {"round": 1, "reason": "R" * 2001}, ["/reason"]),
        ("decline", {"round": 1, "reason": "tab\there"}, ["/reason"]),
        ("decline", {"round": 1, "reason": "bell\x07"}, ["/reason"]),
        ("return", {}, ["/instructions", "/representative_id", "/round"]),
        ("return", {"round": 1, "instructions": "I" * 5001, "representative_id": HELPER}, ["/instructions"]),
        (
            "return",
            {"round": 1, "instructions": "I", "representative_id": HELPER, "required_items": ["", "R" * 201, "ok"]},
            ["/required_items/0", "/required_items/1"],
        ),
        (
            "return",
            {"round": 1, "instructions": "I", "representative_id": HELPER, "required_items": ["R"] * 21},
            ["/required_items"],
        ),
    ],
)
async def test_every_bad_field_of_a_decision_is_named(reviewing, decision, body, pointers):
    transaction_id, reviewer = await reviewing.submitted(), await reviewing.reviewer()

    answer = await reviewer.decide(transaction_id, decision, **body)

    assert answer.status_code == 422
    assert sorted(each["pointer"] for each in answer.json()["errors"]) == pointers
    assert await reviewing.state(transaction_id) == ("pending review", [None])


async def test_words_as_long_as_they_may_be_are_kept_whole(reviewing):
    transaction_id, representative_id = await reviewing.submitted(), await reviewing.representative()
    reviewer = await reviewing.reviewer()

    answer = await reviewer.decide(
        transaction_id,
        "return",
        round=1,
        instructions="ñ" * 5000,
        required_items=["W" * 200] * 20,
        representative_id=str(representative_id),
    )

    assert answer.status_code == 200
    assert answer.json()["instructions"] == "ñ" * 5000
    assert answer.json()["required_items"] == ["W" * 200] * 20


# --- a plan year that has moved ---


@pytest.mark.parametrize("decision", ["send_back", "approve", "decline"])
async def test_a_decision_is_told_with_the_day_on_which_the_plan_year_begins_by_now(reviewing, decision):
    transaction_id, reviewer = await reviewing.submitted(), await reviewing.reviewer()
    more = [await reviewing.representative()] if decision == "send_back" else []
    await reviewing.run("UPDATE renewal_copy SET effective_date = '2100-05-01'")

    answer = await getattr(reviewer, decision)(transaction_id, *more)

    assert answer.json()["renewal"]["effective_date"] == "2100-05-01"
    told = (await reviewing.covey.published())[-1].event
    assert str(told.renewal_changes.effective_date) == "2100-05-01"
