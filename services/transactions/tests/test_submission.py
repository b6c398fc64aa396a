"""Submitting: the carrier is to decide, on what was saved last, if it is whole and in time."""

from datetime import date

import pytest
from covey_contracts.transactions import (
    ReviewReturned,
    TransactionOpened,
    TransactionSubmitted,
    TransactionWithdrawn,
)
from covey_transactions.app import service

from .story import RETURN, Made, Story, a_draft, command

LAST_DAY, FIRST_DAY = date(2100, 3, 31), date(2100, 4, 1)


def refusal(answer):
    return answer.status_code, answer.json()["code"]


async def kinds(story, made):
    return [type(each) for each in await story.told(made.transaction_id)]


async def test_what_was_saved_last_is_submitted_and_told(story):
    owner = await story.begin()
    saved = await story.saved(owner)
    draft = (await owner.whole(saved))["draft"]

    answer = await owner.submit(saved.transaction_id, saved.etag)

    body = await owner.whole(saved)
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"3"')
    assert (body["status"], body["round"]) == ("pending review", 1)
    (submitted,) = body["rounds"]
    assert submitted["content"] == body["draft"] == draft
    assert (submitted["submitted_by"], submitted["outcome"]) == (str(owner.account_id), None)
    assert body["submitted_at"] == submitted["submitted_at"]
    opened, told = await story.told(saved.transaction_id)
    assert isinstance(opened, TransactionOpened)
    assert isinstance(told, TransactionSubmitted)
    assert (told.group_id, told.submitted_by, told.round) == (owner.group_id, owner.account_id, 1)
    (offered,) = told.renewal_changes.classes
    assert (offered.plan_ids, str(offered.contribution.employee)) == (("GOLD-80", "SILVER-70"), "75.00")


async def test_all_that_is_missing_or_does_not_fit_is_named_and_nothing_is_lost(story):
    owner = await story.begin()
    draft = a_draft(
        classes=[{"employee_class": "Full-time", "plan_ids": ["GOLD-80", "IRON-10"]}],
        enrollments=[
            {
                "subscriber": {"first_name": "Ada", "last_name": "Lovelace", "date_of_birth": "2100-02-02"},
                "employee_class": "Full-time",
                "plan_id": "GOLD-80",
            }
        ],
    )
    saved = await story.saved(owner, draft)
    before = await owner.whole(saved)

    answer = await owner.submit(saved.transaction_id, saved.etag)

    assert refusal(answer) == (422, "invalid")
    assert [each["pointer"] for each in answer.json()["errors"]] == [
        "/classes/0/plan_ids/1",
        "/classes/0/contribution/basis",
        "/classes/0/contribution/employee",
        "/classes/0/contribution/dependents",
        "/enrollments/0/subscriber/date_of_birth",
    ]
    assert await owner.whole(saved) == before
    assert await kinds(story, saved) == [TransactionOpened]


async def test_a_plan_can_be_chosen_that_a_group_of_the_region_has_then_or_the_group_itself_has_now(story):
    await story.group("Other", plans=[(2100, "BRONZE-60"), (2099, "OLD-10")])
    await story.group("Acme", plans=[(2099, "GOLD-79")])
    owner = await story.owner()
    contribution = {"basis": "percent", "employee": "75", "dependents": "0"}

    def draft(*plan_ids):
        return {"classes": [{"employee_class": "All", "plan_ids": plan_ids, "contribution": contribution}]}

    saved = await story.saved(owner, draft("BRONZE-60", "GOLD-79", "OLD-10"))
    refused = await owner.submit(saved.transaction_id, saved.etag)
    again = Made.of(await owner.save(saved.transaction_id, draft("BRONZE-60", "GOLD-79"), saved.etag))
    submitted = await owner.submit(again.transaction_id, again.etag)

    assert [each["pointer"] for each in refused.json()["errors"]] == ["/classes/0/plan_ids/2"]
    assert submitted.status_code == 200


# --- when ---


async def test_the_last_day_to_submit_is_the_day_before_the_plan_year_begins(story):
    owner = await story.begin()
    saved = await story.saved(owner)
    await story.covey.move_date(LAST_DAY)

    assert (await owner.submit(saved.transaction_id, saved.etag)).status_code == 200


async def test_after_the_last_day_nothing_is_submitted_for_the_first_time(story):
    owner = await story.begin()
    saved = await story.saved(owner)
    await story.covey.move_date(FIRST_DAY)

    answer = await owner.submit(saved.transaction_id, saved.etag)

    assert refusal(answer) == (409, "deadline-passed")
    assert "2100-03-31" in answer.json()["detail"]


async def test_the_last_day_is_as_many_days_before_as_the_setting_says(service_harness, group, renewal):
    async with service_harness(service, renewal_deadline_days=10) as covey:
        story = Story(covey, group, renewal)
        await covey.move_date(date(2100, 3, 23))
        owner = await story.begin()
        late = await story.saved(owner)
        plans = await owner.api.get(f"/v1/groups/{owner.group_id}/renewals/{owner.renewal_id}/plans")

        answer = await owner.submit(late.transaction_id, late.etag)
        await story.renewal(effective_date=date(2100, 4, 2))
        again = await owner.submit(late.transaction_id, late.etag)

    assert refusal(answer) == (409, "deadline-passed")
    assert plans.json()["last_day"] == "2100-03-22"
    assert again.status_code == 200


async def test_what_was_submitted_in_time_may_be_corrected_and_submitted_again_afterwards(story):
    owner = await story.begin()
    submitted = await story.submitted(owner)
    etag = await story.sent_back(submitted.transaction_id)
    await story.renewal(status="action required")
    await story.covey.move_date(date(2100, 4, 20))

    saved = Made.of(await owner.save(submitted.transaction_id, a_draft(terminations=[]), etag))
    again = Made.of(await owner.submit(saved.transaction_id, saved.etag))

    assert (again.body["status"], again.body["round"]) == ("pending review", 2)
    assert await kinds(story, again) == [TransactionOpened, TransactionSubmitted, ReviewReturned, TransactionSubmitted]


@pytest.mark.parametrize("status", ["completed", "rolled over", "ended"])
@pytest.mark.parametrize("in_round", [1, 2])
async def test_nothing_is_submitted_when_the_renewal_is_over(story, status, in_round):
    owner = await story.begin()
    made = await (story.saved if in_round == 1 else story.submitted)(owner)
    etag = made.etag if in_round == 1 else await story.sent_back(made.transaction_id)
    await story.renewal(status=status)

    assert refusal(await owner.submit(made.transaction_id, etag)) == (409, "renewal-is-over")


async def test_a_renewal_that_moves_takes_its_transaction_along_at_the_submission(story):
    owner = await story.begin()
    saved = await story.saved(owner)
    await story.renewal(effective_date=date(2100, 5, 1))

    submitted = Made.of(await owner.submit(saved.transaction_id, saved.etag))

    _, told = await story.told(saved.transaction_id)
    assert told.renewal_changes.effective_date == date(2100, 5, 1)
    assert submitted.body["renewal"]["effective_date"] == "2100-05-01"


# --- whose turn it is ---


async def test_one_that_was_never_saved_cannot_be_submitted_though_it_is_whole(story):
    owner = await story.begin()
    copied = await story.submitted(owner)
    await story.declined(copied.transaction_id)
    opened = await story.opened(owner, copy_of=copied.transaction_id)

    assert refusal(await owner.submit(opened.transaction_id, opened.etag)) == (409, "not-saved-yet")
    assert await story.told(opened.transaction_id) == []


@pytest.mark.parametrize("status", ["pending review", "completed", "declined", "withdrawn"])
async def test_nothing_is_submitted_when_it_is_not_the_owners_turn(story, status):
    owner = await story.begin()
    made = await (story.withdrawn if status == "withdrawn" else story.submitted)(owner)
    etag = made.etag
    if status in ("completed", "declined"):
        etag = await (story.approved if status == "completed" else story.declined)(made.transaction_id)

    assert refusal(await owner.submit(made.transaction_id, etag)) == (409, "illegal-move")


async def test_what_was_asked_for_is_shown_until_it_is_submitted_again_and_stays_in_its_round(story):
    owner = await story.begin()
    submitted = await story.submitted(owner)
    etag = await story.sent_back(submitted.transaction_id)
    asked = {
        "instructions": "Add what is missing.",
        "required_items": ["W-9"],
        "representative": RETURN.representative.model_dump(mode="json"),
    }

    returned = (await owner.read(submitted.transaction_id)).json()
    again = await owner.whole(Made.of(await owner.submit(submitted.transaction_id, etag)))

    assert returned["status"] == "action required"
    assert {name: returned[name] for name in asked} == asked
    assert {name: again[name] for name in asked} == {"instructions": None, "required_items": [], "representative": None}
    first, second = again["rounds"]
    assert {name: first[name] for name in asked} == asked
    assert (first["outcome"], second["outcome"]) == ("returned", None)


async def test_every_round_keeps_what_was_submitted_in_it(story):
    owner = await story.begin()
    made = await story.submitted(owner)
    first = (await owner.whole(made))["draft"]
    etag = await story.sent_back(made.transaction_id)
    corrected = Made.of(await owner.save(made.transaction_id, a_draft(enrollments=[]), etag))
    second = (await owner.whole(corrected))["draft"]

    again = Made.of(await owner.submit(made.transaction_id, corrected.etag))

    rounds = (await owner.whole(again))["rounds"]
    assert [each["content"] for each in rounds] == [first, second]
    assert [each["counts"]["enrollments"] for each in rounds] == [2, 0]


async def test_why_it_was_declined_is_shown(story):
    owner = await story.begin()
    made = await story.submitted(owner)
    await story.declined(made.transaction_id)

    body = (await owner.read(made.transaction_id)).json()

    assert (body["status"], body["reason"], body["rounds"][0]["reason"]) == ("declined", "Too small.", "Too small.")


# --- once ---


async def test_a_submission_that_is_repeated_has_one_effect(story):
    owner = await story.begin()
    saved = await story.saved(owner)
    key = command()

    first, second = [await owner.submit(saved.transaction_id, saved.etag, **key) for _ in range(2)]
    stale = await owner.submit(saved.transaction_id, saved.etag)
    third = await owner.submit(saved.transaction_id, first.headers["ETag"])

    assert first.json() == second.json()
    assert second.headers["Idempotency-Replayed"] == "true"
    assert (refusal(stale), refusal(third)) == ((412, "stale-version"), (409, "illegal-move"))
    assert await kinds(story, saved) == [TransactionOpened, TransactionSubmitted]
    assert len((await owner.read(saved.transaction_id)).json()["rounds"]) == 1


async def test_two_submissions_at_once_are_one(story):
    owner = await story.begin()
    saved = await story.saved(owner)

    answers = await story.at_once(
        "transaction",
        saved.transaction_id,
        *(owner.submit(saved.transaction_id, saved.etag) for _ in range(3)),
    )

    assert sorted(each.status_code for each in answers) == [200, 412, 412]
    assert {refusal(each) for each in answers if each.status_code == 412} == {(412, "stale-version")}
    assert await kinds(story, saved) == [TransactionOpened, TransactionSubmitted]


async def test_of_a_save_and_a_submission_at_once_one_wins_and_what_is_submitted_was_saved(story):
    owner = await story.begin()
    saved = await story.saved(owner)
    draft = (await owner.whole(saved))["draft"]

    save, submit = await story.at_once(
        "transaction",
        saved.transaction_id,
        owner.save(saved.transaction_id, a_draft(terminations=[]), saved.etag),
        owner.submit(saved.transaction_id, saved.etag),
    )

    assert sorted([save.status_code, submit.status_code]) == [200, 412]
    assert refusal(save if save.status_code == 412 else submit) == (412, "stale-version")
    body = (await owner.read(saved.transaction_id)).json()
    if submit.status_code == 200:
        assert body["draft"] == body["rounds"][0]["content"] == draft
        assert await kinds(story, saved) == [TransactionOpened, TransactionSubmitted]
    else:
        assert (body["draft"]["terminations"], body["rounds"]) == ([], [])
        assert await kinds(story, saved) == [TransactionOpened]


async def test_of_a_submission_and_a_withdrawal_at_once_the_withdrawal_holds(story):
    owner = await story.begin()
    saved = await story.saved(owner)

    submit, withdraw = await story.at_once(
        "transaction",
        saved.transaction_id,
        owner.submit(saved.transaction_id, saved.etag),
        owner.withdraw(saved.transaction_id),
    )

    told = await kinds(story, saved)
    assert withdraw.status_code == 200
    if submit.status_code == 200:
        assert told == [TransactionOpened, TransactionSubmitted, TransactionWithdrawn]
    else:
        assert refusal(submit) == (412, "stale-version")
        assert told == [TransactionOpened, TransactionWithdrawn]
