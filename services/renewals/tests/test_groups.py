"""What a group's events do to the book and to its renewal."""

import random
from datetime import date

from covey_chassis.clock import Clock
from covey_chassis.envelope import Envelope, to_headers
from covey_contracts.membership import GroupChanged, GroupRegistered
from covey_contracts.renewals import RenewalAvailable, RenewalChanged, RenewalStatus
from sqlalchemy import text

TODAY = date(2100, 3, 1)
"""Far ahead, so that the date can be moved there whatever day it really is."""


async def renewals_of(covey, event):
    return (await covey.api.get(f"/v1/groups/{event.group_id}/renewals")).json()["items"]


async def told(covey):
    return [(each.event.effective_date, each.event.status, each.sequence) for each in await covey.published()]


async def test_a_new_group_gets_its_first_renewal(covey, group):
    await covey.move_date(TODAY)
    acme = group("Acme", date(2098, 9, 1))

    await covey.deliver(acme, sequence=1)

    (begun,) = await covey.published()
    assert isinstance(begun.event, RenewalChanged)
    assert (begun.sequence, begun.key) == (1, str(begun.event.renewal_id))
    assert begun.event.model_dump(exclude={"renewal_id"}) == {
        "group_id": acme.group_id,
        "plan_year": 2100,
        "effective_date": date(2100, 9, 1),
        "status": RenewalStatus.UPCOMING,
        "available_on": None,
    }
    assert [each["renewal_id"] for each in await renewals_of(covey, acme)] == [begun.key]


async def test_what_a_group_event_sets_off_names_it_as_its_cause(covey, group):
    event_id = await covey.deliver(group("Acme", date(2098, 9, 1)))

    (begun,) = await covey.published()

    assert begun.causation_id == event_id


async def test_a_trace_goes_on_from_the_group_event_to_what_it_sets_off(covey, group):
    acme = group("Acme", date(2098, 9, 1))
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    arrived = Envelope(
        id="one-event",
        source="/membership",
        type=acme.topic.name,
        time=Clock.now(),
        subject=acme.key,
        sequence=1,
        correlation_id="conversation",
        causation_id=None,
        traceparent=f"00-{trace_id}-00f067aa0ba902b7-01",
    )

    await covey.deliver_record(acme.topic.name, acme.model_dump_json().encode(), to_headers(arrived), acme.key)

    async with covey.transaction() as session:
        (waiting,) = (await session.execute(text("SELECT traceparent, correlation_id FROM outbox"))).all()
    assert waiting.traceparent.split("-")[1] == trace_id
    assert waiting.correlation_id == "conversation"


async def test_a_group_that_is_told_of_twice_or_again_in_another_event_has_one_renewal(covey, group):
    acme = group("Acme", date(2098, 9, 1))

    await covey.deliver_twice(acme, sequence=1)
    await covey.deliver(acme, sequence=1)
    await covey.deliver(group("Acme", date(2098, 9, 1), kind=GroupChanged, street="2 Main Street"), sequence=2)

    assert len(await covey.published()) == 1
    assert len(await renewals_of(covey, acme)) == 1


async def test_a_group_whose_change_arrives_first_is_in_the_book_as_it_was_last(covey, group):
    await covey.deliver(group("Acme", date(2098, 10, 1), kind=GroupChanged, number="G-2"), sequence=2)
    await covey.deliver(group("Acme", date(2098, 9, 1), kind=GroupRegistered, number="G-1"), sequence=1)

    (entry,) = (await covey.api.get("/v1/book")).json()["items"]

    assert entry["group_number"] == "G-2"
    assert entry["renewal"]["effective_date"].endswith("-10-01")
    assert len(await covey.published()) == 1


async def test_another_renewal_date_moves_the_renewal_and_keeps_its_plan_year(covey, group):
    await covey.move_date(TODAY)
    await covey.deliver(group("Acme", date(2098, 12, 1)), sequence=1)

    await covey.deliver(group("Acme", date(2101, 1, 15), kind=GroupChanged), sequence=2)

    assert await told(covey) == [
        (date(2100, 12, 1), RenewalStatus.UPCOMING, 1),
        (date(2101, 1, 15), RenewalStatus.UPCOMING, 2),
    ]
    assert {each.event.plan_year for each in await covey.published()} == {2100}


async def test_a_renewal_date_that_was_so_before_does_not_move_the_renewal_back(covey, group):
    await covey.move_date(TODAY)
    await covey.deliver(group("Acme", date(2090, 6, 1)), sequence=1)
    await covey.deliver(group("Acme", date(2090, 6, 1), kind=GroupChanged, street="2 Main Street"), sequence=2)
    await covey.deliver(group("Acme", date(2100, 7, 1), kind=GroupChanged), sequence=4)
    await covey.deliver(group("Acme", date(2090, 6, 1), kind=GroupChanged, street="3 Main Street"), sequence=3)

    assert [effective for effective, _, _ in await told(covey)] == [date(2100, 6, 1), date(2100, 7, 1)]


async def test_another_renewal_date_on_which_the_renewal_begins_anyway_says_nothing(covey, group):
    await covey.move_date(TODAY)
    await covey.deliver(group("Acme", date(2090, 6, 1)), sequence=1)

    await covey.deliver(group("Acme", date(2100, 6, 1), kind=GroupChanged), sequence=2)

    assert len(await covey.published()) == 1


async def test_a_renewal_that_moves_into_the_past_passes_and_the_next_follows_the_new_date(covey, group):
    await covey.move_date(TODAY)
    await covey.deliver(group("Acme", date(2090, 6, 1)), sequence=1)
    await covey.work("sweep")

    await covey.deliver(group("Acme", date(2099, 11, 1), kind=GroupChanged), sequence=2)
    await covey.work("sweep")

    assert await told(covey) == [
        (date(2100, 6, 1), RenewalStatus.UPCOMING, 1),
        (date(2099, 11, 1), RenewalStatus.UPCOMING, 2),
        (date(2099, 11, 1), RenewalStatus.ROLLED_OVER, 3),
        (date(2100, 11, 1), RenewalStatus.UPCOMING, 1),
    ]


async def test_a_renewal_that_moves_out_of_its_window_and_back_is_available_once(covey, group):
    await covey.move_date(TODAY)
    await covey.deliver(group("Acme", date(2100, 5, 1)), sequence=1)
    for sequence, renewal_date in enumerate([date(2100, 12, 1), date(2100, 4, 1), date(2100, 5, 2)], start=2):
        await covey.work("sweep")
        await covey.deliver(group("Acme", renewal_date, kind=GroupChanged), sequence=sequence)
    await covey.work("sweep")

    (available,) = await covey.published(RenewalAvailable)
    assert (available.event.effective_date, available.event.available_on) == (date(2100, 5, 1), TODAY)
    assert [each.sequence for each in await covey.published()] == [1, 2, 3, 4, 5]


async def test_a_group_without_a_firm_is_in_the_book(covey, group):
    await covey.deliver(group("Acme", date(2098, 9, 1)))

    (entry,) = (await covey.api.get("/v1/book")).json()["items"]

    assert (entry["firm_number"], entry["firm_name"], entry["acquired_date"]) == (None, None, None)


async def test_many_groups_in_any_order_end_as_membership_has_them(covey, group):
    names = [f"Group {number}" for number in range(12)]
    history = [
        (group(name, date(2098, 1, 1 + month), kind=kind, number=f"{name}, {month}"), month)
        for name in names
        for month, kind in ((1, GroupRegistered), (2, GroupChanged), (3, GroupChanged))
    ]

    await covey.deliver_shuffled(history, seed=7)

    book = (await covey.api.get("/v1/book")).json()["items"]
    assert [(entry["legal_name"], entry["group_number"]) for entry in book] == sorted(
        (name, f"{name}, 3") for name in names
    )
    assert {entry["renewal"]["effective_date"][5:] for entry in book} == {"01-04"}
    assert await covey.parked() == []


async def test_a_fact_without_a_number_waits_for_an_operator_and_changes_nothing(covey, group):
    event = group("Acme", date(2098, 9, 1))
    envelope = Envelope(
        id="1",
        source="/membership",
        type=event.topic.name,
        time=Clock.now(),
        subject=event.key,
        sequence=None,
        correlation_id="1",
        causation_id=None,
        traceparent=None,
    )

    await covey.deliver_record(event.topic.name, event.model_dump_json().encode(), to_headers(envelope), event.key)

    assert [parked.key for parked in await covey.parked()] == [event.key]
    assert (await covey.api.get("/v1/book")).json()["items"] == []


async def test_many_groups_at_once_end_as_they_would_one_by_one(covey, group):
    """Names and dates that move, there and back, and what is no news any more: in batches, and as records by themselves."""
    await covey.move_date(TODAY)
    dice = random.Random(11)
    dates = [date(2098, 4, 1), date(2098, 9, 1), date(2098, 12, 1)]
    lives = {
        number: [
            (sequence, dice.choice(dates), dice.choice(["Wren", "Lark", "Rook"]))
            for sequence in dice.sample(range(1, 9), 6)
        ]
        for number in range(12)
    }

    def told_of(way):
        return [
            (group(f"{way}-{number}", renewal_date, kind=GroupChanged, number=f"{way}-{name}"), sequence)
            for number, life in lives.items()
            for sequence, renewal_date, name in life
        ]

    for event, sequence in told_of("by itself"):
        await covey.deliver(event, sequence=sequence)
    together = told_of("at once")
    for start in range(0, len(together), 25):
        await covey.deliver_at_once(together[start : start + 25])

    async def became_of(way):
        async with covey.transaction() as session:
            return (
                await session.execute(
                    text(
                        "SELECT right(legal_name, 3), replace(group_number, :way, ''), b.sequence, renewal_date,"
                        " plan_year, effective_date, status, r.sequence"
                        " FROM book b LEFT JOIN renewal r USING (group_id) WHERE legal_name LIKE :way || '%'"
                        " ORDER BY right(legal_name, 3), plan_year"
                    ),
                    {"way": way},
                )
            ).all()

    assert await covey.parked() == []
    by_itself = [(row[0].rpartition("-")[2], *row[1:]) for row in await became_of("by itself")]
    assert [(row[0].rpartition("-")[2], *row[1:]) for row in await became_of("at once")] == by_itself
    assert len(by_itself) >= len(lives)
