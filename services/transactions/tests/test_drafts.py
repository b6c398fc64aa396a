"""Opening a transaction, and saving its draft: what was there at the last save is there on any device."""

import json
from datetime import date
from uuid import UUID, uuid4

import pytest
from covey_chassis.access import Right, StaffRight
from covey_contracts.transactions import TransactionOpened
from covey_transactions.domain.transaction import Transaction
from sqlalchemy import text

from .story import EFFECTIVE_DATE, PLAN_YEAR, Made, a_draft, command


def refusal(answer):
    return answer.status_code, answer.json()["code"]


# --- opening ---


async def test_one_that_was_opened_has_an_id_and_is_in_no_list_and_nobody_hears_of_it(story):
    owner = await story.begin()

    answer = await owner.open()

    body = answer.json()
    assert answer.status_code == 201
    assert answer.headers["Location"] == owner.path(body["transaction_id"])
    assert answer.headers["ETag"] == '"1"'
    assert (body["kind"], body["status"], body["round"], body["saved_at"]) == ("renewal changes", "open", 0, None)
    assert body["group"] == {
        "group_id": str(owner.group_id),
        "group_number": "G-Acme",
        "legal_name": "Acme",
        "market_region": "California",
    }
    assert body["renewal"] == {
        "renewal_id": str(owner.renewal_id),
        "plan_year": PLAN_YEAR,
        "effective_date": str(EFFECTIVE_DATE),
    }
    assert body["owner_id"] == str(owner.account_id)
    nothing = {"classes": [], "enrollments": [], "terminations": []}
    assert (await owner.read(body["transaction_id"])).json() == body | {"draft": nothing, "rounds": []}
    assert (await owner.api.get("/v1/transactions")).json()["items"] == []
    assert await story.covey.published() == []


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("upcoming", "renewal-not-available"),
        ("completed", "renewal-is-over"),
        ("rolled over", "renewal-is-over"),
        ("ended", "renewal-is-over"),
    ],
)
async def test_none_is_opened_or_saved_when_the_renewal_cannot_be_changed(story, status, code):
    owner = await story.begin()
    made = await story.opened(owner)
    await story.renewal(status=status)

    opened = await owner.open()
    saved = await owner.save(made.transaction_id, a_draft(), made.etag)

    assert refusal(opened) == refusal(saved) == (409, code)
    assert await story.covey.published() == []


async def test_what_is_not_the_groups_is_not_found(story):
    owner = await story.begin()
    other = await story.begin("Other")
    theirs = await story.saved(other)

    renewal = await owner.open(renewal_id=str(other.renewal_id))
    unknown = await owner.open(renewal_id=str(uuid4()))
    copied = await owner.open(copy_of=theirs.transaction_id)
    answers = [
        await owner.read(theirs.transaction_id),
        await owner.save(theirs.transaction_id, a_draft(), theirs.etag),
        await owner.submit(theirs.transaction_id, theirs.etag),
        await owner.withdraw(theirs.transaction_id),
        await owner.read(str(uuid4())),
    ]

    assert refusal(renewal) == refusal(unknown) == (404, "renewal-not-found")
    assert {refusal(each) for each in [copied, *answers]} == {(404, "transaction-not-found")}


async def test_the_renewal_of_a_group_that_was_not_told_of_yet_cannot_be_changed_yet(story):
    await story.renewal()
    owner = await story.owner()

    assert refusal(await owner.open()) == (404, "group-not-found")


async def test_a_repeated_opening_opens_one(story):
    owner = await story.begin()
    headers, body = command(), {"renewal_id": str(owner.renewal_id)}

    first, second = [
        await owner.api.post(f"/v1/groups/{owner.group_id}/transactions", json=body, headers=headers) for _ in range(2)
    ]

    assert first.json() == second.json()
    assert second.headers["Idempotency-Replayed"] == "true"


# --- beginning with a copy ---


@pytest.mark.parametrize("status", ["open", "pending review", "action required", "completed", "declined"])
async def test_one_begins_with_the_draft_of_another_of_the_group(story, status):
    owner = await story.begin()
    copied = await (story.saved if status == "open" else story.submitted)(owner)
    if status in ("action required", "completed", "declined"):
        end = {"action required": story.sent_back, "completed": story.approved, "declined": story.declined}
        await end[status](copied.transaction_id)

    begun = await story.opened(owner, copy_of=copied.transaction_id)

    assert begun.transaction_id != copied.transaction_id
    assert (await owner.whole(begun))["draft"] == (await owner.whole(copied))["draft"]
    assert begun.body["counts"] == {"classes": 1, "enrollments": 2, "terminations": 1}
    assert (begun.body["saved_at"], begun.body["round"]) == (None, 0)


async def test_whoever_worked_on_what_is_copied_does_not_review_the_copy(story):
    former, owner = await story.begin(), await story.owner()
    copied = await story.saved(former)

    begun = await story.opened(owner, copy_of=copied.transaction_id)

    async with story.covey.transaction() as session:
        made = await session.get(Transaction, UUID(begun.transaction_id))
    assert made.worked_on_by == [owner.account_id, former.account_id]
    assert made.owner_id == owner.account_id


async def test_nothing_that_was_withdrawn_or_never_saved_is_copied(story):
    owner = await story.begin()
    withdrawn, unsaved = await story.withdrawn(owner), await story.opened(owner)

    answers = [await owner.open(copy_of=each.transaction_id) for each in (withdrawn, unsaved)]

    assert {refusal(each) for each in answers} == {(404, "transaction-not-found")}


# --- saving ---


async def test_the_first_save_is_told_and_listed_and_later_ones_are_not_told(story):
    owner = await story.begin()
    opened = await story.opened(owner)

    first = Made.of(await owner.save(opened.transaction_id, a_draft(), opened.etag))
    second = Made.of(await owner.save(opened.transaction_id, a_draft(terminations=[]), first.etag))

    (told,) = await story.told(opened.transaction_id)
    assert isinstance(told, TransactionOpened)
    assert (told.renewal_changes.enrollments, told.renewal_changes.terminations) == (2, 1)
    assert (first.etag, second.etag) == ('"2"', '"3"')
    (listed,) = (await owner.api.get("/v1/transactions")).json()["items"]
    assert listed["transaction_id"] == opened.transaction_id
    assert listed["counts"] == {"classes": 1, "enrollments": 2, "terminations": 0}


async def test_what_was_saved_is_what_is_read_and_can_be_saved_again_as_it_was_read(story):
    owner = await story.begin()
    saved = await story.saved(owner)

    read = await owner.read(saved.transaction_id)
    again = Made.of(await owner.save(saved.transaction_id, read.json()["draft"], read.headers["ETag"]))

    assert (read.headers["ETag"], read.json() | saved.body) == (saved.etag, read.json())
    assert (await owner.whole(again))["draft"] == read.json()["draft"]
    assert read.json()["draft"]["enrollments"][0]["subscriber"] == {
        "first_name": "Ada",
        "last_name": "Lovelace",
        "date_of_birth": "1990-12-10",
    }


async def test_a_draft_that_lacks_everything_can_be_saved(story):
    owner = await story.begin()

    saved = await story.saved(owner, {"classes": [{}], "enrollments": [{}], "terminations": [{}]})

    assert saved.body["counts"] == {"classes": 1, "enrollments": 1, "terminations": 1}
    (told,) = await story.told(saved.transaction_id)
    assert told.renewal_changes.classes == ()


async def test_nobody_saves_over_what_they_have_not_seen(story):
    owner = await story.begin()
    saved = await story.saved(owner)
    await owner.save(saved.transaction_id, a_draft(terminations=[]), saved.etag)

    late = await owner.save(saved.transaction_id, a_draft(), saved.etag)

    assert refusal(late) == (412, "stale-version")
    assert late.headers["ETag"] == '"3"'
    assert (await owner.read(saved.transaction_id)).json()["draft"]["terminations"] == []


async def test_a_save_that_is_repeated_is_done_once(story):
    owner = await story.begin()
    opened = await story.opened(owner)
    key = command()

    answers = [await owner.save(opened.transaction_id, a_draft(), opened.etag, **key) for _ in range(2)]

    assert [each.headers["ETag"] for each in answers] == ['"2"', '"2"']
    assert len(await story.told(opened.transaction_id)) == 1


async def test_a_colleague_goes_on_with_it_and_it_stays_its_owners(story):
    owner = await story.begin()
    saved = await story.saved(owner)
    colleague = await story.owner()

    again = Made.of(await colleague.save(saved.transaction_id, a_draft(), saved.etag))

    assert again.body["owner_id"] == str(owner.account_id)


@pytest.mark.parametrize("status", ["pending review", "completed", "declined", "withdrawn"])
async def test_nothing_is_saved_when_it_is_not_the_owners_turn(story, status):
    owner = await story.begin()
    made = await (story.withdrawn if status == "withdrawn" else story.submitted)(owner)
    etag = made.etag
    if status in ("completed", "declined"):
        etag = await (story.approved if status == "completed" else story.declined)(made.transaction_id)

    assert refusal(await owner.save(made.transaction_id, a_draft(), etag)) == (409, "illegal-move")


async def test_a_renewal_that_moves_takes_its_transaction_along_at_the_next_save(story):
    owner = await story.begin()
    saved = await story.saved(owner)
    await story.renewal(effective_date=date(2100, 5, 1))

    again = Made.of(await owner.save(saved.transaction_id, a_draft(), saved.etag))

    assert again.body["renewal"]["effective_date"] == "2100-05-01"


# --- one at a time for each renewal ---


@pytest.mark.parametrize("status", ["open", "pending review", "action required", "completed"])
async def test_a_renewal_has_one_saved_transaction_that_is_live_or_completed(story, status):
    owner = await story.begin()
    first = await (story.saved if status == "open" else story.submitted)(owner)
    if status in ("action required", "completed"):
        await (story.sent_back if status == "action required" else story.approved)(first.transaction_id)
    second = await story.opened(owner)

    answer = await owner.save(second.transaction_id, a_draft(), second.etag)

    assert refusal(answer) == (409, "already-under-way")
    assert first.transaction_id in answer.json()["detail"]
    assert await story.told(second.transaction_id) == []


@pytest.mark.parametrize("status", ["declined", "withdrawn", "never saved"])
async def test_another_one_can_be_saved_when_the_last_is_out_of_the_way(story, status):
    owner = await story.begin()
    if status == "declined":
        await story.declined((await story.submitted(owner)).transaction_id)
    else:
        await (story.withdrawn if status == "withdrawn" else story.opened)(owner)

    saved = await story.saved(owner)

    assert [type(each) for each in await story.told(saved.transaction_id)] == [TransactionOpened]


async def test_a_renewal_that_was_made_again_under_another_id_is_the_same_one(story):
    """Its group and plan year name it for good: renewals' database may have been restored to before it was made."""
    owner = await story.begin()
    first = await story.saved(owner)
    again = await story.renewal_made_again()
    opened = await story.opened(owner, renewal_id=str(again))

    second = await owner.save(opened.transaction_id, a_draft(), opened.etag)
    kept = Made.of(await owner.save(first.transaction_id, a_draft(), first.etag))
    await story.renewal_made_again("rolled over")
    late = await owner.save(first.transaction_id, a_draft(), kept.etag)

    assert refusal(second) == (409, "already-under-way")
    assert kept.body["renewal"]["renewal_id"] == str(again)
    assert refusal(late) == (409, "renewal-is-over")


async def test_of_two_first_saves_at_once_one_is_the_first(story):
    owner = await story.begin()
    both = [await story.opened(owner) for _ in range(2)]

    answers = await story.at_once(
        "renewal_copy",
        owner.renewal_id,
        *(owner.save(each.transaction_id, a_draft(), each.etag) for each in both),
    )

    assert sorted(each.status_code for each in answers) == [200, 409]
    (refused,) = [each for each in answers if each.status_code == 409]
    (won,) = [each.json()["transaction_id"] for each in answers if each.status_code == 200]
    assert refusal(refused) == (409, "already-under-way")
    assert won in refused.json()["detail"]
    assert [each.key for each in await story.covey.published()] == [won]


async def test_of_two_saves_on_the_same_version_one_wins(story):
    owner = await story.begin()
    saved = await story.saved(owner)

    answers = await story.at_once(
        "transaction",
        saved.transaction_id,
        *(owner.save(saved.transaction_id, a_draft(), saved.etag) for _ in range(2)),
    )

    assert sorted(each.status_code for each in answers) == [200, 412]


# --- odd input ---


async def errors_of(owner, made, draft):
    answer = await owner.save(made.transaction_id, draft, made.etag)
    assert refusal(answer) == (422, "invalid"), answer.text
    return {each["pointer"]: each["detail"] for each in answer.json()["errors"]}


async def test_all_bad_fields_are_named_at_once_without_what_was_in_them(story):
    owner = await story.begin()
    made = await story.opened(owner)

    errors = await errors_of(
        owner,
        made,
        {
            "classes": [{"contribution": {"basis": "kindness", "employee": "plenty"}, "color": "red"}],
            "enrollments": [
                {
                    "subscriber": {"first_name": "Ada\u0007Secret", "last_name": "x" * 101, "date_of_birth": "Secret"},
                    "dependents": [{"relationship": "Secret"}],
                }
            ],
            "terminations": "Secret",
            "quote": {},
        },
    )

    assert errors.keys() == {
        "/classes/0/contribution/basis",
        "/classes/0/contribution/employee",
        "/classes/0/color",
        "/enrollments/0/subscriber/first_name",
        "/enrollments/0/subscriber/last_name",
        "/enrollments/0/subscriber/date_of_birth",
        "/enrollments/0/dependents/0/relationship",
        "/terminations",
        "/quote",
    }
    assert "Secret" not in str(errors)


async def test_what_no_database_can_hold_is_refused_field_by_field(story):
    owner = await story.begin()
    made = await story.opened(owner)

    draft = {
        "classes": [{"employee_class": "a\0b"}],
        "terminations": [{"subscriber": {"first_name": "\ud800", "last_name": "Weill"}}],
    }

    answer = await owner.api.put(
        owner.path(made.transaction_id, "draft"),
        content=json.dumps(draft),
        headers=command(If_Match=made.etag, Content_Type="application/json"),
    )

    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.json()["errors"]] == [
        "/terminations/0/subscriber/first_name",
        "/classes/0/employee_class",
    ]


async def test_names_of_any_script_are_kept(story):
    owner = await story.begin()
    names = ["Nguyễn Thị Ánh", "Ωμέγα", "李小龍", "O’Brien-Łukasz", "عائشة", "👩‍🔬"]
    people = [{"subscriber": {"first_name": name, "last_name": name}} for name in names]

    saved = await story.saved(owner, a_draft(terminations=people))

    read = (await owner.read(saved.transaction_id)).json()["draft"]["terminations"]
    assert [each["subscriber"]["first_name"] for each in read] == names


async def test_thousands_of_persons_are_refused_in_a_sentence(story):
    owner = await story.begin()
    made = await story.opened(owner)
    people = [{"subscriber": {"first_name": "Ada", "last_name": "Lovelace"}} for _ in range(5000)]

    errors = await errors_of(owner, made, a_draft(terminations=people))

    assert errors.keys() == {"/terminations"}
    assert "at most 200" in errors["/terminations"]


async def test_more_than_a_mebibyte_is_not_read(story):
    owner = await story.begin()
    made = await story.opened(owner)

    answer = await owner.save(made.transaction_id, a_draft(note="x" * (1 << 20)), made.etag)

    assert refusal(answer) == (413, "content-too-large")


# --- who sees the persons ---


@pytest.mark.parametrize(
    ("rights", "shown"),
    [
        ([Right.RENEWALS_VIEW], False),
        ([Right.RENEWALS_VIEW, Right.MEMBERS_VIEW], True),
        ([Right.RENEWALS_VIEW, Right.RENEWALS_CHANGE], True),
        ([Right.RENEWALS_VIEW, Right.BILLING_PAY, Right.GROUP_UPDATE], False),
    ],
)
async def test_persons_are_shown_to_who_may_see_or_change_them_and_counted_for_others(story, rights, shown):
    owner = await story.begin()
    made = await story.submitted(owner)
    person = await story.owner("Acme", *rights)

    body = (await person.read(made.transaction_id)).json()

    for draft in (body["draft"], body["rounds"][0]["content"]):
        assert draft["classes"] == (await owner.whole(made))["draft"]["classes"]
        assert (draft["enrollments"] is not None, draft["terminations"] is not None) == (shown, shown)
    assert ("Lovelace" in str(body)) == shown
    assert body["counts"] == body["rounds"][0]["counts"] == {"classes": 1, "enrollments": 2, "terminations": 1}


@pytest.mark.parametrize(("right", "shown"), [(StaffRight.REVIEW_DECIDE, True), (StaffRight.OPERATIONS, False)])
async def test_of_the_staff_those_who_review_see_persons(story, right, shown):
    made = await story.submitted(owner := await story.begin())
    staff = await story.covey.staff_member(right)

    answer = await staff.get(owner.path(made.transaction_id))

    assert answer.status_code == 200
    assert ("Lovelace" in answer.text) == shown


async def test_answers_of_commands_which_are_kept_to_be_given_again_name_nobody(story):
    owner = await story.begin()
    saved = await story.saved(owner)
    submitted = await owner.submit(saved.transaction_id, saved.etag)
    copied = await owner.open(copy_of=saved.transaction_id)
    withdrawn = await owner.withdraw(saved.transaction_id)

    async with story.covey.transaction() as session:
        kept = (await session.scalars(text("SELECT convert_from(body, 'UTF8') FROM stored_answer"))).all()

    assert [each.status_code for each in (submitted, copied, withdrawn)] == [200, 201, 200]
    assert len(kept) == 5
    assert not any(name in each for each in kept for name in ("Ada", "Lovelace", "Weill", "1990"))


async def test_whose_right_to_see_members_is_for_one_billing_unit_sees_no_persons(story):
    owner = await story.begin()
    made = await story.saved(owner)
    person = await story.owner("Acme", Right.RENEWALS_VIEW)
    await story.grant(person.account_id, owner.group_id, Right.MEMBERS_VIEW, units=("001",))

    assert (await person.read(made.transaction_id)).json()["draft"]["enrollments"] is None


async def test_no_person_is_in_an_event_or_in_the_log(story, logged):
    owner = await story.begin()
    made = await story.submitted(owner)
    await story.renewal(status="completed")
    await owner.save(made.transaction_id, a_draft(terminations="Lovelace"), made.etag)

    async with story.covey.transaction() as session:
        payloads = await session.scalars(text("SELECT convert_from(payload, 'UTF8') FROM outbox"))

    assert not any(name in each for each in payloads for name in ("Ada", "Lovelace", "Weill", "1990"))
    assert "Lovelace" not in logged()


# --- what it can be made of ---


async def test_the_plans_are_those_of_now_those_planned_and_all_that_can_be_chosen(story):
    await story.group("Other", plans=[(PLAN_YEAR, "BRONZE-60"), (PLAN_YEAR - 1, "OLD-10")])
    await story.group("Abroad", region="Nevada", plans=[(PLAN_YEAR, "DESERT-50")])
    await story.group("Acme", plans=[(PLAN_YEAR - 1, "GOLD-79"), (PLAN_YEAR, "GOLD-80"), (PLAN_YEAR - 2, "GOLD-78")])
    owner = await story.owner()

    answer = await owner.api.get(f"/v1/groups/{owner.group_id}/renewals/{owner.renewal_id}/plans")

    assert answer.json() == {
        "plan_year": PLAN_YEAR,
        "effective_date": "2100-04-01",
        "last_day": "2100-03-31",
        "now": ["GOLD-79"],
        "planned": ["GOLD-80"],
        "offered": ["BRONZE-60", "GOLD-79", "GOLD-80"],
    }


async def test_the_plans_of_a_renewal_that_is_not_the_groups_are_not_found(story):
    owner, other = await story.begin(), await story.begin("Other")

    answer = await owner.api.get(f"/v1/groups/{owner.group_id}/renewals/{other.renewal_id}/plans")

    assert refusal(answer) == (404, "renewal-not-found")
