"""Whatever happens to a few groups over some years: a model in plain Python, drawn from the rules, says the same."""

import calendar
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta

from covey_contracts.membership import GroupChanged, GroupRegistered
from covey_contracts.renewals import RenewalAvailable, RenewalChanged
from covey_contracts.transactions import (
    ReviewApproved,
    ReviewDeclined,
    ReviewReturned,
    TransactionOpened,
    TransactionSubmitted,
    TransactionWithdrawn,
)
from covey_renewals.domain.renewal import Renewal
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

DAY = timedelta(days=1)


@dataclass
class Cycle:
    plan_year: int
    effective: date
    status: str = "upcoming"
    available_on: date | None = None
    current: bool = True
    transactions: dict = field(default_factory=dict)
    told: list = field(default_factory=list)

    def __post_init__(self):
        self.tell(RenewalChanged)

    def tell(self, kind):
        self.told.append((len(self.told) + 1, kind, self.effective, self.status, self.available_on))

    def stand(self):
        """By its transactions, each of which is a status at a sequence; the one begun last comes last."""
        statuses = [status for _, (_, status) in sorted(self.transactions.items())]
        live = [status for status in statuses if status in ("open", "pending review", "action required")]
        if "completed" in statuses:
            status = "completed"
        elif live and live[-1] != "open":
            status = live[-1]
        elif live and self.current:
            status = "in progress"
        else:
            status = "available" if self.current else "rolled over"
        if status != self.status:
            self.status = status
            self.tell(RenewalChanged)

    def facts(self):
        return (self.plan_year, self.effective, self.status, self.available_on, self.told)


class Model:
    """The rules again, slowly and day by day."""

    def __init__(self):
        self.sequences = {}
        self.anchors = {}
        self.cycles = defaultdict(list)

    def take(self, name, sequence, renewal_date, today):
        if sequence <= self.sequences.get(name, 0):
            return
        self.sequences[name] = sequence
        before = self.anchors.get(name)
        self.anchors[name] = renewal_date
        if before is None:
            self.begin(name, today)
        elif before != renewal_date and self.cycles[name][-1].effective != renewal_date:
            self.cycles[name][-1].effective = renewal_date
            self.cycles[name][-1].tell(RenewalChanged)

    def begin(self, name, after):
        anchor, day = self.anchors[name], after + DAY
        while day < anchor or not self.is_anniversary(anchor, day):
            day += DAY
        latest = max((cycle.plan_year for cycle in self.cycles[name]), default=0)
        self.cycles[name].append(Cycle(max(day.year, latest + 1), day))

    @staticmethod
    def is_anniversary(anchor, day):
        if (anchor.month, anchor.day) == (2, 29) and not calendar.isleap(day.year):
            return (day.month, day.day) == (2, 28)
        return (day.month, day.day) == (anchor.month, anchor.day)

    def sweep(self, today):
        for name in self.cycles:
            cycle = self.cycles[name][-1]
            if cycle.status == "upcoming" and cycle.effective - 75 * DAY <= today < cycle.effective:
                cycle.status, cycle.available_on = "available", today
                cycle.tell(RenewalAvailable)
            if today >= cycle.effective:
                cycle.current = False
                if cycle.status in ("upcoming", "available", "in progress"):
                    cycle.status = "rolled over"
                    cycle.tell(RenewalChanged)
                self.begin(name, max(cycle.effective, today))

    def follow(self, name, back, nth, sequence, status):
        """The plan year that a transaction is told of, which is the model's to say; None when there is no such news."""
        cycles = self.cycles.get(name, [])
        if back >= len(cycles) or cycles[-1 - back].status in ("upcoming", "completed"):
            return None
        cycle = cycles[-1 - back]
        if sequence > cycle.transactions.get(nth, (0, ""))[0]:
            cycle.transactions[nth] = (sequence, status)
            cycle.stand()
        return cycle.plan_year

    def facts(self):
        return {name: [cycle.facts() for cycle in cycles] for name, cycles in self.cycles.items()}


async def start_over(covey, today):
    """Empty tables, and the service's date as given: it may go back, which nobody outside a test can do."""
    async with covey.transaction() as session:
        for table in ("transaction_copy", "renewal", "book", "outbox", "inbox"):
            await session.execute(text(f"DELETE FROM {table}"))
        await session.execute(text("UPDATE clock SET offset_days = 0"))
        real = await covey.context.clock.today(session)
        await session.execute(text("UPDATE clock SET offset_days = :days"), {"days": (today - real).days})


async def today_of(covey):
    async with covey.transaction() as session:
        return await covey.context.clock.today(session)


async def facts(covey, names):
    """What the world can see of every group: its renewals, and what was told of each."""
    told = defaultdict(list)
    for each in await covey.published():
        event = each.event
        told[event.renewal_id].append(
            (each.sequence, type(event), event.effective_date, event.status.value, event.available_on)
        )
    found = defaultdict(list)
    async with covey.transaction() as session:
        for each in await session.scalars(select(Renewal).order_by(Renewal.group_id, Renewal.plan_year)):
            found[names[each.group_id]].append(
                (each.plan_year, each.effective_date, each.status.value, each.available_on, told[each.id])
            )
    return dict(found)


TOLD_BY = {
    "open": TransactionOpened,
    "pending review": TransactionSubmitted,
    "action required": ReviewReturned,
    "completed": ReviewApproved,
    "declined": ReviewDeclined,
    "withdrawn": TransactionWithdrawn,
}
STARTS = st.dates(date(2026, 1, 1), date(2028, 12, 31))
DAYS_AROUND = st.integers(-500, 500) | st.sampled_from([-1, 0, 1, 74, 75, 76])
ACTS = st.one_of(
    st.tuples(st.just("deliver"), st.integers(0, 2), st.integers(0, 3)),
    st.tuples(
        st.just("transaction"),
        st.integers(0, 2),
        st.tuples(st.integers(0, 1), st.integers(0, 2), st.integers(1, 9), st.sampled_from(list(TOLD_BY))),
    ),
    st.tuples(st.just("pass"), st.sampled_from([0, 1, 2, 30, 74, 75, 76, 90, 200, 365, 800]), st.booleans()),
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    start=STARTS,
    histories=st.lists(st.lists(DAYS_AROUND, min_size=4, max_size=4), min_size=3, max_size=3),
    leap=st.booleans(),
    acts=st.lists(ACTS, max_size=30),
)
async def test_any_history_of_groups_transactions_and_days_ends_as_the_rules_say(
    covey, group, transaction, start, histories, leap, acts
):
    await start_over(covey, start)
    model, names, events = Model(), {}, {}
    for name, offsets in enumerate(histories):
        for number, days in enumerate(offsets):
            renewal_date = date(2024, 2, 29) if leap and number == 0 else start + days * DAY
            kind = GroupChanged if number else GroupRegistered
            event = group(f"Group {name}", renewal_date, kind=kind, street=f"{number} Main Street")
            names[event.group_id] = name
            events[name, number] = event

    for act, first, second in acts:
        if act == "deliver":
            event = events[first, second]
            today = await today_of(covey)
            await covey.deliver(event, sequence=second + 1, event_id=f"{first}/{second}")
            model.take(first, second + 1, event.renewal_date, today)
        elif act == "transaction":
            back, nth, sequence, status = second
            if plan_year := model.follow(first, back, nth, sequence, status):
                event = transaction(TOLD_BY[status], f"Group {first}", plan_year, nth=nth)
                await covey.deliver(event, sequence=sequence)
        else:
            async with covey.transaction() as session:
                await session.execute(text("UPDATE clock SET offset_days = offset_days + :days"), {"days": first})
            if second:
                await covey.work("sweep")
                model.sweep(await today_of(covey))
        found = await facts(covey, names)
        note(f"{act} {first} {second}: {found}")
        assert found == model.facts()
    await covey.work("sweep")
    model.sweep(await today_of(covey))

    found = await facts(covey, names)
    assert found == model.facts()
    for renewals in found.values():
        assert len({plan_year for plan_year, *_ in renewals}) == len(renewals)
        for *_, told in renewals:
            assert [sequence for sequence, *_ in told] == list(range(1, len(told) + 1))
            assert [kind for _, kind, *_ in told].count(RenewalAvailable) <= 1
    async with covey.transaction() as session:
        current = list(await session.scalars(select(Renewal.group_id).where(Renewal.current)))
    assert sorted(names[group_id] for group_id in current) == sorted(found)
    assert await covey.parked() == []
