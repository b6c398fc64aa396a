"""Scheduled work on real rows: what is due, once each, whoever does it and however late."""

import asyncio
import contextlib
import dataclasses
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest
from covey_chassis.clock import Clock
from covey_chassis.failpoints import Failpoint
from covey_chassis.lifecycle import IllegalMove
from covey_chassis.testing import armed
from covey_chassis.testing.broker import eventually
from covey_contracts.membership import GroupChanged
from covey_contracts.renewals import RenewalAvailable, RenewalChanged, RenewalStatus
from covey_renewals.domain.book import Group
from covey_renewals.domain.renewal import NotCurrent, NotDue, Renewal, has_come, is_due
from covey_renewals.use_cases.become_available import become_available
from covey_renewals.use_cases.pass_day import pass_day
from covey_renewals.workers import PAGE, sweep
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, insert, select, text

TODAY = date(2100, 3, 1)


async def put_groups(covey, number, *, effective_date, status=RenewalStatus.UPCOMING, available_on=None, current=True):
    """Groups with one renewal each, as if their facts had been taken long ago."""
    ids = [uuid4() for _ in range(number)]
    async with covey.transaction() as session:
        await session.execute(
            insert(Group),
            [
                {
                    "group_id": each,
                    "sequence": 1,
                    "group_number": f"G-{each}",
                    "legal_name": "Acme",
                    "renewal_date": effective_date,
                }
                for each in ids
            ],
        )
        await session.execute(
            insert(Renewal),
            [
                {
                    "id": uuid4(),
                    "group_id": each,
                    "plan_year": effective_date.year,
                    "effective_date": effective_date,
                    "current": current,
                    "status": status,
                    "available_on": available_on,
                    "sequence": 1,
                }
                for each in ids
            ],
        )


STANDS = [
    (status, current)
    for current, statuses in (
        (True, ("upcoming", "available", "in progress", "pending review", "action required", "completed")),
        (False, ("pending review", "action required", "completed", "rolled over", "ended")),
    )
    for status in map(RenewalStatus, statuses)
]
"""All that a renewal can be before and after its day."""


async def numbers(covey):
    """How many renewals have each status."""
    async with covey.transaction() as session:
        return dict((await session.execute(select(Renewal.status, func.count()).group_by(Renewal.status))).all())


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cases=st.lists(
        st.tuples(st.sampled_from(STANDS), st.integers(-3, 80) | st.sampled_from([-1, 0, 1, 74, 75, 76])),
        max_size=40,
    ),
    today=st.dates(date(2024, 1, 1), date(2032, 12, 31)),
    step=st.sampled_from([(become_available, "become_available"), (pass_day, "pass_day")]),
)
async def test_the_sweep_moves_exactly_what_the_domain_says_is_due(covey, cases, today, step):
    move, verb = step
    async with covey.transaction() as session:
        for table in ("renewal", "book", "outbox"):
            await session.execute(text(f"DELETE FROM {table}"))
    for (status, current), days_ahead in cases:
        effective_date = today + timedelta(days=days_ahead)
        available_on = None if status is RenewalStatus.UPCOMING else date(2023, 1, 1)
        await put_groups(
            covey, 1, effective_date=effective_date, status=status, available_on=available_on, current=current
        )
    async with covey.transaction() as session:
        renewals = (await session.scalars(select(Renewal))).all()
    due, expected = 0, []
    for renewal in renewals:
        with contextlib.suppress(IllegalMove, NotCurrent, NotDue):
            said = getattr(renewal, verb)(today)
            due += 1
            expected += [said] if said else []

    async with covey.transaction() as session:
        moved = await move(session, today, page=PAGE)

    said = [each.event for each in await covey.published() if each.event.status is not RenewalStatus.UPCOMING]
    assert moved == due
    assert sorted(said, key=repr) == sorted(expected, key=repr)
    async with covey.transaction() as session:
        stored = {
            row.id: (row.current, row.status, row.available_on)
            for row in await session.scalars(select(Renewal).where(Renewal.id.in_([each.id for each in renewals])))
        }
    assert stored == {each.id: (each.current, each.status, each.available_on) for each in renewals}


def test_a_renewal_is_never_due_to_become_available_and_to_roll_over_on_one_day():
    effective_date = date(2026, 9, 1)
    days = [effective_date + timedelta(days=ahead) for ahead in range(-100, 100)]

    assert not [day for day in days if is_due(effective_date, day) and has_come(effective_date, day)]
    assert sum(is_due(effective_date, day) for day in days) == 75


async def test_day_by_day_through_a_year(covey, group):
    await covey.move_date(TODAY)
    await covey.deliver(group("Acme", date(2100, 6, 1)))

    for day in range(400):
        await covey.move_date(TODAY + timedelta(days=day))
        await sweep(covey.context)

    said = [each.event for each in await covey.published()]
    assert [(each.effective_date, each.status, each.available_on) for each in said] == [
        (date(2100, 6, 1), RenewalStatus.UPCOMING, None),
        (date(2100, 6, 1), RenewalStatus.AVAILABLE, date(2100, 3, 18)),
        (date(2100, 6, 1), RenewalStatus.ROLLED_OVER, date(2100, 3, 18)),
        (date(2101, 6, 1), RenewalStatus.UPCOMING, None),
        (date(2101, 6, 1), RenewalStatus.AVAILABLE, date(2101, 3, 18)),
    ]


async def test_the_service_was_down_over_the_whole_window(covey, group):
    await covey.move_date(TODAY)
    await covey.deliver(group("Acme", date(2100, 6, 1)))

    await covey.move_date(TODAY + timedelta(days=200))
    await covey.work("sweep")

    assert [(each.event.effective_date, each.event.status, each.sequence) for each in await covey.published()] == [
        (date(2100, 6, 1), RenewalStatus.UPCOMING, 1),
        (date(2100, 6, 1), RenewalStatus.ROLLED_OVER, 2),
        (date(2101, 6, 1), RenewalStatus.UPCOMING, 1),
    ]
    assert await covey.published(RenewalAvailable) == []


async def test_the_service_was_down_on_the_day_itself(covey, group):
    await covey.move_date(TODAY)
    await covey.deliver(group("Acme", date(2100, 6, 1)))

    await covey.move_date(date(2100, 5, 31))
    await covey.work("sweep")
    await covey.work("sweep")

    (available,) = await covey.published(RenewalAvailable)
    assert available.event.available_on == date(2100, 5, 31)


async def test_many_pages_by_several_instances_at_once_are_done_once_each(covey):
    await covey.move_date(TODAY)
    await put_groups(covey, 3 * PAGE + 7, effective_date=TODAY + timedelta(days=30))
    await put_groups(covey, PAGE + 3, effective_date=TODAY - timedelta(days=1))

    async def instance():
        while await sweep(covey.context):
            pass

    await asyncio.gather(*(instance() for _ in range(4)))
    await covey.work("sweep")

    assert await numbers(covey) == {
        RenewalStatus.AVAILABLE: 3 * PAGE + 7,
        RenewalStatus.ROLLED_OVER: PAGE + 3,
        RenewalStatus.UPCOMING: PAGE + 3,
    }
    available = await covey.published(RenewalAvailable)
    assert len(available) == len({each.key for each in available}) == 3 * PAGE + 7
    assert {each.sequence for each in available} == {2}
    changed = await covey.published(RenewalChanged)
    assert len(changed) == len({each.key for each in changed}) == 2 * (PAGE + 3)


async def test_a_crash_before_the_commit_loses_nothing_and_doubles_nothing(covey):
    await covey.move_date(TODAY)
    await put_groups(covey, 20, effective_date=TODAY + timedelta(days=30))
    await put_groups(covey, 20, effective_date=TODAY)

    with armed("sweep.before_commit:raise"), pytest.raises(Failpoint):
        await sweep(covey.context)
    assert (await numbers(covey), await covey.published()) == ({RenewalStatus.UPCOMING: 40}, [])
    await covey.work("sweep")

    assert await numbers(covey) == {
        RenewalStatus.AVAILABLE: 20,
        RenewalStatus.ROLLED_OVER: 20,
        RenewalStatus.UPCOMING: 20,
    }
    assert len(await covey.published(RenewalAvailable)) == 20
    assert len(await covey.published(RenewalChanged)) == 40


async def test_a_group_that_a_message_holds_is_passed_over_and_taken_later(covey, group):
    await covey.move_date(TODAY)
    acme = group("Acme", date(2099, 4, 1))
    await covey.deliver(acme)
    await put_groups(covey, 1, effective_date=TODAY)
    await covey.move_date(date(2100, 4, 1))

    async with covey.transaction() as held:
        await held.execute(text("SELECT FROM book WHERE group_id = :id FOR UPDATE"), {"id": acme.group_id})
        await covey.work("sweep")
    before = await numbers(covey)
    await covey.work("sweep")

    assert before[RenewalStatus.ROLLED_OVER] == 1
    assert (await numbers(covey))[RenewalStatus.ROLLED_OVER] == 2


async def test_a_date_that_moves_while_a_page_becomes_available_waits_for_it(covey, group):
    await covey.move_date(TODAY)
    await covey.deliver(group("Acme", date(2100, 5, 1)), sequence=1)

    async with covey.transaction() as page:
        await become_available(page, TODAY, page=PAGE)
        moving = asyncio.create_task(covey.deliver(group("Acme", date(2100, 12, 1), kind=GroupChanged), sequence=2))
        await eventually(lambda: someone_waits_for_a_lock(covey))
    await moving

    assert [(each.event.effective_date, each.event.status, each.sequence) for each in await covey.published()] == [
        (date(2100, 5, 1), RenewalStatus.UPCOMING, 1),
        (date(2100, 5, 1), RenewalStatus.AVAILABLE, 2),
        (date(2100, 12, 1), RenewalStatus.AVAILABLE, 3),
    ]
    assert await covey.parked() == []


async def someone_waits_for_a_lock(covey):
    async with covey.transaction() as session:
        return await session.scalar(
            text(
                "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database OR database IS NULL"
                " WHERE NOT granted AND datname = current_database()"
            )
        )


async def test_messages_and_sweep_at_once_neither_wait_in_a_circle_nor_lose_a_date(covey, group):
    await covey.move_date(TODAY)
    names = [f"Group {number}" for number in range(15)]
    for name in names:
        await covey.deliver(group(name, date(2100, 5, 1)), sequence=1)

    async def messages():
        for sequence, day in enumerate(
            (date(2100, 2, 1), date(2100, 12, 1), date(2100, 3, 1), date(2100, 4, 1)), start=2
        ):
            for name in names:
                await covey.deliver(group(name, day, kind=GroupChanged), sequence=sequence)

    delivering = asyncio.create_task(messages())
    while not delivering.done():
        await sweep(covey.context)
    await delivering
    await covey.work("sweep")

    async with covey.transaction() as session:
        renewals = (await session.scalars(select(Renewal))).all()
    current = [renewal for renewal in renewals if renewal.current]
    assert len(current) == len(names) == len({renewal.group_id for renewal in current})
    assert {renewal.effective_date for renewal in current} == {date(2100, 4, 1)}
    by_renewal = {}
    for each in await covey.published():
        by_renewal.setdefault(each.key, []).append((each.sequence, type(each.event)))
    for said in by_renewal.values():
        assert [sequence for sequence, _ in said] == list(range(1, len(said) + 1))
        assert [kind for _, kind in said].count(RenewalAvailable) <= 1
    assert await covey.parked() == []


async def test_every_change_of_the_sweep_is_a_new_version(covey, group):
    await covey.move_date(TODAY)
    await covey.deliver(group("Acme", date(2100, 4, 1)))
    versions = []
    for day in (TODAY, date(2100, 4, 1)):
        await covey.move_date(day)
        await covey.work("sweep")
        async with covey.transaction() as session:
            rows = await session.execute(select(Renewal.version, Renewal.sequence).order_by(Renewal.plan_year))
            versions.append([tuple(row) for row in rows])

    assert versions == [[(2, 2)], [(3, 3), (1, 1)]]


@dataclasses.dataclass(frozen=True)
class StoppedClock(Clock):
    """A clock that stands still at a moment."""

    at: datetime

    def now(self):
        return self.at


# In Los Angeles clocks go back on 1 November 2026, at 2:00; and forward on 14 March 2027.
@pytest.mark.parametrize(
    ("moment", "effective_date", "available"),
    [
        (datetime(2026, 11, 1, 6, 30, tzinfo=UTC), date(2027, 1, 15), False),  # 23:30 on 31 October, summer time
        (datetime(2026, 11, 1, 7, 30, tzinfo=UTC), date(2027, 1, 15), True),  # 00:30 on 1 November
        (datetime(2026, 11, 2, 7, 30, tzinfo=UTC), date(2027, 1, 16), False),  # 23:30 on 1 November, winter time
        (datetime(2026, 11, 2, 8, 30, tzinfo=UTC), date(2027, 1, 16), True),  # 00:30 on 2 November
        (datetime(2027, 3, 14, 7, 30, tzinfo=UTC), date(2027, 5, 28), False),  # 23:30 on 13 March, winter time
        (datetime(2027, 3, 14, 8, 30, tzinfo=UTC), date(2027, 5, 28), True),  # 00:30 on 14 March
        (datetime(2027, 3, 15, 6, 30, tzinfo=UTC), date(2027, 5, 29), False),  # 23:30 on 14 March, summer time
        (datetime(2027, 3, 15, 7, 30, tzinfo=UTC), date(2027, 5, 29), True),  # 00:30 on 15 March
    ],
)
async def test_the_carriers_date_decides_also_when_clocks_change(covey, moment, effective_date, available):
    await put_groups(covey, 1, effective_date=effective_date)

    await sweep(dataclasses.replace(covey.context, clock=StoppedClock(covey.context.clock.zone, moment)))

    assert len(await covey.published(RenewalAvailable)) == available


async def test_twenty_thousand_that_are_due_are_moved_by_the_page(covey):
    await covey.move_date(TODAY)
    for _ in range(20):
        await put_groups(covey, 1000, effective_date=TODAY + timedelta(days=75))

    runs = 1
    while await sweep(covey.context):
        runs += 1

    assert runs == 20_000 // PAGE + 1
    async with covey.transaction() as session:
        largest = await session.scalar(
            text("SELECT max(rows) FROM (SELECT count(*) AS rows FROM outbox GROUP BY xmin) AS transactions")
        )
    assert largest == PAGE
    assert await numbers(covey) == {RenewalStatus.AVAILABLE: 20_000}
