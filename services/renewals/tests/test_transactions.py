"""What transactions' events do to the renewal that they are about."""

import asyncio
from datetime import date, timedelta

import pytest
from covey_chassis.ids import new_id
from covey_chassis.parking import retry_one
from covey_chassis.testing.broker import eventually
from covey_contracts.membership import GroupChanged
from covey_contracts.renewals import RenewalAvailable, RenewalChanged
from covey_contracts.transactions import (
    ReviewApproved,
    ReviewClaimed,
    ReviewDeclined,
    ReviewReleased,
    ReviewReturned,
    TransactionOpened,
    TransactionSubmitted,
    TransactionWithdrawn,
)
from covey_renewals.use_cases.follow_transaction import follow_transaction
from covey_renewals.use_cases.pass_day import pass_day
from covey_renewals.workers import PAGE, sweep
from sqlalchemy import text

TODAY = date(2100, 3, 1)
EFFECTIVE = date(2100, 4, 1)
LAST_DAY = date(2100, 3, 31)

TO_THE_END = [
    TransactionOpened,
    TransactionSubmitted,
    ReviewClaimed,
    ReviewReturned,
    TransactionSubmitted,
    ReviewClaimed,
    ReviewReleased,
    ReviewClaimed,
    ReviewApproved,
]


@pytest.fixture
async def acme(covey, group):
    """A group whose renewal for 2100 is available."""
    await covey.move_date(TODAY)
    event = group("Acme", EFFECTIVE)
    await covey.deliver(event)
    await covey.work("sweep")
    return event


@pytest.fixture
def tell(covey, transaction):
    """``await tell(TransactionOpened, TransactionSubmitted)``: a transaction about Acme's renewal, from its first event."""

    async def deliver(*kinds, since=1, nth=0):
        for sequence, kind in enumerate(kinds, start=since):
            await covey.deliver(transaction(kind, "Acme", 2100, nth=nth), sequence=sequence)

    return deliver


async def go_to(covey, day):
    await covey.move_date(day)
    await covey.work("sweep")


async def renewals(covey, acme):
    """Plan year, status and whether it is the current one, of each of Acme's, the latest first."""
    found = (await covey.api.get(f"/v1/groups/{acme.group_id}/renewals")).json()["items"]
    return [(each["plan_year"], each["status"], each["current"]) for each in found]


async def told(covey, plan_year=2100):
    """The statuses that were told of a plan year, in order."""
    said = [each for each in await covey.published() if each.event.plan_year == plan_year]
    assert [each.sequence for each in said] == list(range(1, len(said) + 1))
    return [each.event.status.value for each in said]


async def test_a_renewal_follows_a_transaction_from_its_first_save_to_its_approval(covey, acme, tell):
    await tell(*TO_THE_END)

    assert await renewals(covey, acme) == [(2100, "completed", True)]
    assert await told(covey) == [
        "upcoming",
        "available",
        "in progress",
        "pending review",
        "action required",
        "pending review",
        "completed",
    ]
    (available,) = await covey.published(RenewalAvailable)
    assert {each.event.available_on for each in await covey.published(RenewalChanged)} == {
        None,
        available.event.available_on,
    }


async def test_what_a_transaction_sets_off_names_it_as_its_cause_and_is_a_new_version(covey, acme, transaction):
    event_id = await covey.deliver(transaction(TransactionOpened, "Acme", 2100))

    *_, changed = await covey.published()
    assert changed.causation_id == event_id
    read = await covey.api.get(f"/v1/renewals/{changed.key}")
    assert (read.headers["ETag"], read.json()["status"]) == ('"3"', "in progress")


async def test_what_changes_nothing_about_the_renewal_says_nothing(covey, acme, tell):
    await tell(TransactionOpened, TransactionSubmitted)
    before = len(await covey.published())

    await tell(ReviewClaimed, ReviewReleased, since=3)

    assert len(await covey.published()) == before
    assert await covey.parked() == []


@pytest.mark.parametrize(
    ("history", "status"),
    [
        (TO_THE_END, "completed"),
        (TO_THE_END[:4], "action required"),
        (TO_THE_END[:7], "pending review"),
        ([*TO_THE_END[:4], TransactionWithdrawn], "available"),
        ([*TO_THE_END[:6], ReviewDeclined], "available"),
    ],
)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("passed", [False, True])
async def test_any_order_of_a_history_ends_in_the_same_status(
    covey, acme, transaction, tell, history, status, seed, passed
):
    events = [(transaction(kind, "Acme", 2100), sequence) for sequence, kind in enumerate(history, start=1)]
    if passed:
        await go_to(covey, EFFECTIVE)

    await covey.deliver_shuffled(events, seed=seed)

    expected = "rolled over" if passed and status == "available" else status
    assert (await renewals(covey, acme))[-1] == (2100, expected, not passed)
    assert (await told(covey))[-1] == expected
    assert await covey.parked() == []


@pytest.mark.parametrize("seed", range(4))
async def test_two_transactions_one_after_the_other_in_any_order_end_as_the_second_stands(
    covey, acme, transaction, seed
):
    first = [TransactionOpened, TransactionSubmitted, ReviewReturned, TransactionWithdrawn]
    second = [TransactionOpened, TransactionSubmitted]
    events = [
        (transaction(kind, "Acme", 2100, nth=nth), sequence)
        for nth, kinds in enumerate((first, second))
        for sequence, kind in enumerate(kinds, start=1)
    ]

    await covey.deliver_shuffled(events, seed=seed)

    assert await renewals(covey, acme) == [(2100, "pending review", True)]


async def test_a_second_transaction_that_is_heard_of_before_the_firsts_withdrawal_decides(covey, acme, tell):
    await tell(TransactionOpened, TransactionSubmitted)

    await tell(TransactionOpened, nth=1)
    before = await renewals(covey, acme)
    await tell(TransactionWithdrawn, since=3)

    assert before == await renewals(covey, acme) == [(2100, "in progress", True)]
    assert await told(covey) == ["upcoming", "available", "in progress", "pending review", "in progress"]


async def test_a_transaction_that_is_heard_of_twice_changes_the_renewal_once(covey, acme, transaction):
    opened = transaction(TransactionOpened, "Acme", 2100)

    await covey.deliver_twice(opened)
    await covey.deliver(opened)

    assert await told(covey) == ["upcoming", "available", "in progress"]


async def test_one_that_is_about_no_renewal_is_passed_over(covey, acme, transaction):
    await covey.deliver(transaction(TransactionOpened, "Acme", 2100, about_renewal=False))

    assert await told(covey) == ["upcoming", "available"]
    assert await covey.parked() == []


# --- the day ---


@pytest.mark.parametrize(
    ("history", "before", "after"),
    [
        ([], "available", "rolled over"),
        (TO_THE_END[:1], "in progress", "rolled over"),
        (TO_THE_END[:2], "pending review", "pending review"),
        (TO_THE_END[:4], "action required", "action required"),
        (TO_THE_END, "completed", "completed"),
        ([TransactionOpened, TransactionWithdrawn], "available", "rolled over"),
    ],
)
async def test_when_its_day_comes_what_is_not_submitted_rolls_over_and_the_next_begins(
    covey, acme, tell, history, before, after
):
    await tell(*history)
    await go_to(covey, LAST_DAY)
    on_the_eve = await renewals(covey, acme)

    await go_to(covey, EFFECTIVE)
    await covey.work("sweep")

    assert on_the_eve == [(2100, before, True)]
    assert await renewals(covey, acme) == [(2101, "upcoming", True), (2100, after, False)]
    assert (await told(covey)).count(after) == 1
    assert await told(covey, 2101) == ["upcoming"]


async def test_one_that_was_submitted_on_the_last_day_and_is_heard_of_after_it_is_in_review(covey, acme, tell):
    await tell(TransactionOpened)
    await go_to(covey, EFFECTIVE)
    rolled_over = await renewals(covey, acme)

    await tell(TransactionSubmitted, ReviewReturned, TransactionSubmitted, ReviewApproved, since=2)
    await covey.work("sweep")

    assert rolled_over == [(2101, "upcoming", True), (2100, "rolled over", False)]
    assert await renewals(covey, acme) == [(2101, "upcoming", True), (2100, "completed", False)]
    assert (await told(covey))[2:] == [
        "in progress",
        "rolled over",
        "pending review",
        "action required",
        "pending review",
        "completed",
    ]
    assert await told(covey, 2101) == ["upcoming"]


@pytest.mark.parametrize("end", [ReviewDeclined, TransactionWithdrawn])
async def test_what_is_declined_or_withdrawn_after_the_day_has_rolled_over(covey, acme, tell, end):
    await tell(TransactionOpened, TransactionSubmitted)
    await go_to(covey, EFFECTIVE)

    await tell(end, since=3)

    assert await renewals(covey, acme) == [(2101, "upcoming", True), (2100, "rolled over", False)]
    assert await told(covey) == ["upcoming", "available", "in progress", "pending review", "rolled over"]


async def test_a_year_later_a_renewal_in_review_is_still_there_and_the_current_one_goes_its_way(covey, acme, tell):
    await tell(TransactionOpened, TransactionSubmitted)

    await go_to(covey, EFFECTIVE)
    await go_to(covey, date(2101, 3, 1))
    await go_to(covey, date(2101, 4, 1))

    assert await renewals(covey, acme) == [
        (2102, "upcoming", True),
        (2101, "rolled over", False),
        (2100, "pending review", False),
    ]


async def test_lists_and_book_show_a_completed_renewal_until_its_day(covey, acme, tell):
    async def shown():
        listed = (await covey.api.get("/v1/renewals", params={"status": "completed"})).json()["items"]
        booked = (await covey.api.get("/v1/book", params={"status": "completed"})).json()["items"]
        months = (await covey.api.get("/v1/renewals/months")).json()["months"]
        return len(listed), len(booked), [(each["month"], each["renewals"], each["available"]) for each in months]

    await tell(*TO_THE_END)
    before = await shown()
    await go_to(covey, EFFECTIVE)
    (entry,) = (await covey.api.get("/v1/book")).json()["items"]

    assert before == (1, 1, [("2100-04", 1, 0)])
    assert await shown() == (0, 0, [])
    assert (entry["renewal"]["plan_year"], entry["renewal"]["status"]) == (2101, "upcoming")


# --- another date ---


@pytest.mark.parametrize("history", [TO_THE_END[:1], TO_THE_END[:2], TO_THE_END[:4], TO_THE_END])
async def test_another_date_moves_the_current_renewal_whatever_its_transactions(covey, acme, group, tell, history):
    await tell(*history)
    ((_, status, _),) = await renewals(covey, acme)

    await covey.deliver(group("Acme", date(2100, 6, 1), kind=GroupChanged), sequence=2)
    await go_to(covey, EFFECTIVE)

    assert await renewals(covey, acme) == [(2100, status, True)]
    assert (await covey.published())[-1].event.effective_date == date(2100, 6, 1)
    assert (await told(covey))[-2:] == [status, status]


async def test_another_date_does_not_move_a_renewal_whose_day_has_come(covey, acme, group, tell):
    await tell(TransactionOpened, TransactionSubmitted)
    await go_to(covey, EFFECTIVE)

    await covey.deliver(group("Acme", date(2101, 6, 1), kind=GroupChanged), sequence=2)

    found = (await covey.api.get(f"/v1/groups/{acme.group_id}/renewals")).json()["items"]
    assert [each["effective_date"] for each in found] == ["2101-06-01", "2100-04-01"]


async def test_one_in_review_that_moves_into_the_past_stays_in_review_and_the_next_follows_the_new_date(
    covey, acme, group, tell
):
    await tell(TransactionOpened, TransactionSubmitted)

    await covey.deliver(group("Acme", date(2100, 2, 1), kind=GroupChanged), sequence=2)
    await covey.work("sweep")

    assert await renewals(covey, acme) == [(2101, "upcoming", True), (2100, "pending review", False)]
    assert (await covey.published())[-1].event.effective_date == date(2101, 2, 1)


# --- at once ---


async def test_a_submission_that_waits_for_the_sweep_to_let_the_day_pass_is_in_review(covey, acme, tell):
    await tell(TransactionOpened)
    await covey.move_date(EFFECTIVE)

    async with covey.transaction() as page:
        await pass_day(page, EFFECTIVE, page=PAGE)
        submitting = asyncio.create_task(tell(TransactionSubmitted, since=2))
        await eventually(covey.somebody_waits)
    await submitting

    assert await renewals(covey, acme) == [(2101, "upcoming", True), (2100, "pending review", False)]
    assert (await told(covey))[-2:] == ["rolled over", "pending review"]


async def test_two_transactions_of_one_renewal_that_are_heard_of_at_once_are_both_minded(
    covey, acme, tell, transaction
):
    await tell(TransactionOpened, TransactionSubmitted)

    async with covey.transaction() as first:
        await follow_transaction(first, transaction(TransactionWithdrawn, "Acme", 2100), sequence=3)
        second = asyncio.create_task(tell(TransactionSubmitted, since=2, nth=1))
        await eventually(covey.somebody_waits)
    await second

    assert await renewals(covey, acme) == [(2100, "pending review", True)]
    assert (await told(covey))[-2:] == ["available", "pending review"]


async def test_a_renewal_that_a_transaction_holds_is_passed_over_and_taken_later(covey, acme, tell):
    await tell(TransactionOpened)
    await covey.move_date(EFFECTIVE)

    async with covey.transaction() as held:
        await held.execute(text("SELECT FROM renewal FOR UPDATE"))
        await covey.work("sweep")
    before = await renewals(covey, acme)
    await covey.work("sweep")

    assert before == [(2100, "in progress", True)]
    assert await renewals(covey, acme) == [(2101, "upcoming", True), (2100, "rolled over", False)]


async def test_transactions_dates_and_sweep_at_once_neither_wait_in_a_circle_nor_lose_anything(
    covey, group, transaction
):
    await covey.move_date(TODAY)
    names = [f"Group {number}" for number in range(12)]
    for name in names:
        await covey.deliver(group(name, EFFECTIVE), sequence=1)
    await covey.work("sweep")
    await covey.move_date(EFFECTIVE - timedelta(days=1))

    async def deliver(history):
        for sequence, events in enumerate(history, start=1):
            for event in events:
                await covey.deliver(event, sequence=sequence)

    dates = (EFFECTIVE, date(2100, 5, 1), date(2100, 4, 2), EFFECTIVE)
    moving = [[group(name, day, kind=GroupChanged) for name in names] for day in dates]
    working = [[transaction(kind, name, 2100) for name in reversed(names)] for kind in TO_THE_END]
    busy = asyncio.gather(deliver(moving), deliver(working))
    await covey.move_date(EFFECTIVE)
    while not busy.done():
        await sweep(covey.context)
    await busy
    await covey.work("sweep")

    for name in names:
        (_, status, current), *passed = await renewals(covey, group(name, EFFECTIVE))
        assert (status, current) == ("upcoming", True)
        assert passed[-1] == (2100, "completed", False)
        assert not any(current for *_, current in passed)
    by_renewal = {}
    for each in await covey.published():
        by_renewal.setdefault(each.key, []).append(each.sequence)
    assert all(sequences == list(range(1, len(sequences) + 1)) for sequences in by_renewal.values())
    assert await covey.parked() == []


# --- what a restored database does not have ---


async def test_a_transaction_about_a_renewal_that_is_not_there_yet_waits_for_it(covey, group, tell):
    await covey.move_date(TODAY)

    await tell(TransactionOpened, TransactionSubmitted)
    (parked,) = await covey.parked()
    await covey.deliver(group("Acme", EFFECTIVE))
    await covey.work("sweep")
    await retry(covey)

    assert (parked.consumer, "RenewalNotKnownYet" in parked.error) == ("renewals.transactions", True)
    assert (await told(covey))[-2:] == ["in progress", "pending review"]
    assert await covey.parked() == []


async def test_a_transaction_about_a_renewal_that_is_not_available_again_waits_until_it_is(covey, group, tell):
    await covey.move_date(TODAY)
    await covey.deliver(group("Acme", EFFECTIVE))

    await tell(TransactionOpened)
    before = await told(covey)
    await covey.work("sweep")
    await retry(covey)

    assert before == ["upcoming"]
    assert await told(covey) == ["upcoming", "available", "in progress"]
    assert await covey.parked() == []


async def test_one_that_rolled_over_without_having_been_available_again_follows_late_news(covey, acme, tell):
    async with covey.transaction() as session:
        await session.execute(
            text("UPDATE renewal SET id = :id, status = 'upcoming', available_on = NULL"), {"id": new_id()}
        )
    await go_to(covey, EFFECTIVE)

    await tell(*TO_THE_END)

    assert await renewals(covey, acme) == [(2101, "upcoming", True), (2100, "completed", False)]


async def retry(covey):
    """Try what is parked again, now, until nothing is due."""
    (consumer,) = [each for each in covey.service.consumers if each.name == "renewals.transactions"]
    async with covey.transaction() as session:
        await session.execute(text("UPDATE parked_key SET next_at = now()"))
    while await retry_one(covey.context.workers, {consumer.name: consumer}):
        pass
