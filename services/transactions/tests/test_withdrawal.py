"""Taking a transaction back: for good, told if anybody had heard of it, and found by staff alone afterwards."""

from datetime import date

import pytest
from covey_chassis.access import StaffRight
from covey_contracts.transactions import (
    ReviewReturned,
    TransactionOpened,
    TransactionSubmitted,
    TransactionWithdrawn,
)

from .story import Made, a_draft, command


def refusal(answer):
    return answer.status_code, answer.json()["code"]


async def kinds(story, made):
    return [type(each) for each in await story.told(made.transaction_id)]


@pytest.mark.parametrize(
    ("status", "told", "outcomes"),
    [
        ("open", [TransactionOpened], []),
        ("pending review", [TransactionOpened, TransactionSubmitted], ["withdrawn"]),
        ("action required", [TransactionOpened, TransactionSubmitted, ReviewReturned], ["returned"]),
    ],
)
async def test_it_is_withdrawn_from_every_status_in_which_it_lives(story, status, told, outcomes):
    owner = await story.begin()
    made = await (story.saved if status == "open" else story.submitted)(owner)
    if status == "action required":
        await story.sent_back(made.transaction_id)

    answer = await owner.withdraw(made.transaction_id)

    assert (answer.status_code, answer.json()["status"]) == (200, "withdrawn")
    found = (await story.covey.api.get(owner.path(made.transaction_id))).json()
    assert [each["outcome"] for each in found["rounds"]] == outcomes
    assert await kinds(story, made) == [*told, TransactionWithdrawn]
    assert (await story.told(made.transaction_id))[-1].withdrawn_by == owner.account_id


async def test_of_one_that_was_never_saved_nobody_hears(story):
    owner = await story.begin()
    opened = await story.opened(owner)

    answer = await owner.withdraw(opened.transaction_id)
    saved = await owner.save(opened.transaction_id, a_draft(), answer.headers["ETag"])

    assert answer.json()["status"] == "withdrawn"
    assert refusal(saved) == (409, "illegal-move")
    assert await story.told(opened.transaction_id) == []


@pytest.mark.parametrize("status", ["completed", "declined", "withdrawn"])
async def test_what_is_over_cannot_be_withdrawn(story, status):
    owner = await story.begin()
    made = await (story.withdrawn if status == "withdrawn" else story.submitted)(owner)
    if status != "withdrawn":
        await (story.approved if status == "completed" else story.declined)(made.transaction_id)

    assert refusal(await owner.withdraw(made.transaction_id)) == (409, "illegal-move")


async def test_it_is_told_with_the_day_on_which_the_plan_year_begins_by_now(story):
    owner = await story.begin()
    made = await story.submitted(owner)
    await story.renewal(effective_date=date(2100, 5, 1))

    answer = await owner.withdraw(made.transaction_id)

    assert (await story.told(made.transaction_id))[-1].renewal_changes.effective_date == date(2100, 5, 1)
    assert answer.json()["renewal"]["effective_date"] == "2100-05-01"


async def test_one_can_be_withdrawn_when_its_renewal_is_over(story):
    owner = await story.begin()
    made = await story.saved(owner)
    await story.renewal(status="rolled over")

    assert (await owner.withdraw(made.transaction_id)).status_code == 200


async def test_a_colleague_can_withdraw_it(story):
    owner = await story.begin()
    made = await story.submitted(owner)
    colleague = await story.owner()

    await colleague.withdraw(made.transaction_id)

    told = (await story.told(made.transaction_id))[-1]
    assert (told.owner_id, told.withdrawn_by) == (owner.account_id, colleague.account_id)


async def test_staff_alone_find_it_afterwards_and_with_all_that_was_in_it(story):
    owner = await story.begin()
    made = await story.saved(owner)
    draft = (await owner.whole(made))["draft"]
    await owner.withdraw(made.transaction_id)
    staff = await story.covey.staff_member(StaffRight.REVIEW_DECIDE)
    paths = [owner.path(made.transaction_id), f"/v1/transactions/{made.transaction_id}"]

    theirs = [await owner.api.get(path) for path in paths]
    found = [await staff.get(path) for path in paths]

    assert {refusal(each) for each in theirs} == {(404, "transaction-not-found")}
    assert [each.json()["status"] for each in found] == ["withdrawn", "withdrawn"]
    assert found[0].json()["draft"] == draft
    assert (await owner.api.get("/v1/transactions")).json()["items"] == []
    assert len((await staff.get("/v1/transactions")).json()["items"]) == 1


async def test_a_withdrawal_that_is_repeated_is_told_once(story):
    owner = await story.begin()
    made = await story.submitted(owner)
    headers = command()

    answers = [await owner.api.post(owner.path(made.transaction_id, "withdrawal"), headers=headers) for _ in range(2)]

    assert answers[0].json() == answers[1].json()
    assert await kinds(story, made) == [TransactionOpened, TransactionSubmitted, TransactionWithdrawn]


async def test_two_withdrawals_at_once_are_one(story):
    owner = await story.begin()
    made = await story.submitted(owner)

    answers = await story.at_once(
        "transaction", made.transaction_id, *(owner.withdraw(made.transaction_id) for _ in range(2))
    )

    assert sorted(each.status_code for each in answers) == [200, 409]
    assert {refusal(each) for each in answers if each.status_code == 409} == {(409, "illegal-move")}
    assert await kinds(story, made) == [TransactionOpened, TransactionSubmitted, TransactionWithdrawn]


async def test_no_save_that_comes_at_once_with_a_withdrawal_undoes_it(story):
    owner = await story.begin()
    made = await story.saved(owner)

    save, withdraw = await story.at_once(
        "transaction",
        made.transaction_id,
        owner.save(made.transaction_id, a_draft(terminations=[]), made.etag),
        owner.withdraw(made.transaction_id),
    )

    assert withdraw.status_code == 200
    assert save.status_code == 200 or refusal(save) == (412, "stale-version")
    assert await kinds(story, made) == [TransactionOpened, TransactionWithdrawn]
    late = await owner.save(made.transaction_id, a_draft(), withdraw.headers["ETag"])
    assert refusal(late) == (409, "illegal-move")


async def test_no_first_save_that_comes_at_once_with_a_withdrawal_leaves_half_a_history(story):
    owner = await story.begin()
    opened = await story.opened(owner)

    save, withdraw = await story.at_once(
        "transaction",
        opened.transaction_id,
        owner.save(opened.transaction_id, a_draft(), opened.etag),
        owner.withdraw(opened.transaction_id),
    )

    assert withdraw.json()["status"] == "withdrawn"
    told = [TransactionOpened, TransactionWithdrawn] if save.status_code == 200 else []
    assert await kinds(story, opened) == told


async def test_another_one_can_be_opened_and_saved_instead(story):
    owner = await story.begin()
    await story.withdrawn(owner)

    again = await story.opened(owner)

    assert Made.of(await owner.save(again.transaction_id, a_draft(), again.etag)).body["status"] == "open"
