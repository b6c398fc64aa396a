"""Which firm serves which group: told in any order, late and twice, and true on each day."""

import importlib
from datetime import date, timedelta
from urllib.parse import urlsplit

import pytest
from covey_chassis.access import Actor, Sight, see_all_groups
from covey_chassis.clock import Clock
from covey_chassis.envelope import Envelope, to_headers
from covey_chassis.ids import new_id
from covey_contracts.identity import FirmChanged
from covey_contracts.membership import GroupChanged, GroupRegistered
from covey_local.databases import connected
from covey_renewals import queries
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.dialects import postgresql

TODAY = date(2100, 3, 1)
DAY = timedelta(days=1)
RENEWS = date(2100, 4, 1)


async def get(covey, path, **params):
    response = await covey.api.get(path, params=params)
    assert response.status_code == 200, response.text
    return response.json()


async def firm_columns(covey, **filters):
    """What the book says of each group's firm."""
    items = (await get(covey, "/v1/book", **filters))["items"]
    return {each["legal_name"]: (each["firm_number"], each["firm_name"], each["acquired_date"]) for each in items}


# --- in any order ---


@pytest.mark.parametrize("first", ["group", "firm", "appointment"])
async def test_whichever_of_group_firm_and_appointment_comes_first(covey, group, firm, appointment, first):
    await covey.move_date(TODAY)
    events = {
        "group": group("Acme", RENEWS),
        "firm": firm("F-1"),
        "appointment": appointment("Acme", "F-1", acquired=date(2099, 1, 31)),
    }

    for name in sorted(events, key=lambda name: name != first):
        await covey.deliver_twice(events[name])

    assert await firm_columns(covey) == {"Acme": ("F-1", "Firm F-1", "2099-01-31")}
    (listed,) = (await get(covey, "/v1/renewals", firm_number="F-1"))["items"]
    assert listed["group"]["firm_name"] == "Firm F-1"
    assert await covey.parked() == []


async def test_a_group_is_listed_without_a_firm_until_the_firm_is_known(covey, group, firm, appointment):
    await covey.deliver(group("Acme", RENEWS))
    await covey.deliver(appointment("Acme", "F-1"))

    before = await firm_columns(covey)
    await covey.deliver(firm("F-1"))

    assert before == {"Acme": (None, None, None)}
    assert (await firm_columns(covey))["Acme"][0] == "F-1"


async def test_a_firm_goes_by_its_latest_name_also_when_that_is_heard_first(covey, group, firm, serve):
    await covey.deliver(firm("F-1", kind=FirmChanged, name="Alderquist & Sons"), sequence=3)
    await covey.deliver(firm("F-1", kind=FirmChanged, name="Alderquist"), sequence=2)
    await covey.deliver(group("Acme", RENEWS))
    await serve("Acme", "F-1")

    assert (await firm_columns(covey))["Acme"][1] == "Alderquist & Sons"


async def test_that_an_appointment_ended_is_not_undone_by_its_beginning(covey, group, firm, appointment):
    await covey.move_date(TODAY)
    await covey.deliver(group("Acme", RENEWS))
    await covey.deliver(firm("F-1"))
    await covey.deliver(appointment("Acme", "F-1", ends=TODAY), sequence=2)
    await covey.deliver(appointment("Acme", "F-1"), sequence=1)

    assert await firm_columns(covey) == {"Acme": (None, None, None)}
    assert await firm_columns(covey, firm_number="F-1") == {}


async def test_the_files_word_for_the_firm_counts_for_nothing(covey, group):
    await covey.deliver(group("Acme", RENEWS))

    assert await firm_columns(covey, firm_number="F-0") == {}


async def test_of_two_that_overlap_for_a_moment_the_one_that_began_last_counts(covey, group, firm, appointment):
    await covey.move_date(TODAY)
    await covey.deliver(group("Acme", RENEWS))
    for number in ("F-1", "F-2", "F-3"):
        await covey.deliver(firm(number))
    await covey.deliver(appointment("Acme", "F-3", starts=TODAY - 9 * DAY, nth=3))
    await covey.deliver(appointment("Acme", "F-2", starts=TODAY, nth=2))
    await covey.deliver(appointment("Acme", "F-1", starts=TODAY, nth=1))

    assert (await firm_columns(covey))["Acme"][0] == "F-2"
    for number, names in (("F-1", []), ("F-2", ["Acme"]), ("F-3", [])):
        assert [*await firm_columns(covey, firm_number=number)] == names


# Days from today on which it starts and ends, and whether it lasts: to be read and reviewed.
@pytest.mark.parametrize(
    ("starts", "ends", "lasts"),
    [
        (-1, None, True),
        (0, None, True),
        (1, None, False),
        (-9, 1, True),
        (-9, 0, False),
        (-9, -1, False),
        (0, 0, False),
        (0, 1, True),
        (1, 9, False),
    ],
)
async def test_an_appointment_lasts_from_the_day_it_starts_to_the_day_before_it_ends(
    covey, group, firm, appointment, starts, ends, lasts
):
    await covey.move_date(TODAY)
    await covey.deliver(group("Acme", RENEWS))
    await covey.deliver(firm("F-1"))
    await covey.deliver(
        appointment("Acme", "F-1", starts=TODAY + starts * DAY, ends=None if ends is None else TODAY + ends * DAY)
    )

    assert (await firm_columns(covey))["Acme"][0] == ("F-1" if lasts else None)
    assert [*await firm_columns(covey, firm_number="F-1")] == ["Acme"] * lasts
    assert len((await get(covey, "/v1/renewals", firm_number="F-1"))["items"]) == lasts
    months = await get(covey, "/v1/renewals/months", firm_number="F-1")
    assert sum(month["renewals"] for month in months["months"]) == lasts


async def test_a_group_passes_from_firm_to_firm_as_the_days_go_by_with_nobody_told(covey, group, firm, appointment):
    await covey.move_date(TODAY)
    await covey.deliver(group("Acme", RENEWS))
    for number in ("F-1", "F-2"):
        await covey.deliver(firm(number))
    await covey.deliver(appointment("Acme", "F-1", ends=TODAY + 5 * DAY, nth=1))
    await covey.deliver(appointment("Acme", "F-2", starts=TODAY + 7 * DAY, nth=2))

    found = []
    for days in (0, 4, 5, 6, 7):
        await covey.move_date(TODAY + days * DAY)
        found.append((await firm_columns(covey))["Acme"][0])

    assert found == ["F-1", "F-1", None, None, "F-2"]


async def test_a_group_is_new_to_the_firm_that_it_has_now_whatever_the_last_one_had(covey, group, firm, appointment):
    await covey.move_date(TODAY)
    await covey.deliver(group("Acme", RENEWS))
    for number in ("F-1", "F-2"):
        await covey.deliver(firm(number))
    await covey.deliver(appointment("Acme", "F-1", ends=TODAY - 10 * DAY, nth=1), sequence=2)
    await covey.deliver(
        appointment("Acme", "F-2", starts=TODAY - 10 * DAY, acquired=TODAY - 10 * DAY, nth=2), sequence=1
    )

    for number, renewals, left_out in (("F-1", 0, 0), ("F-2", 0, 1)):
        months = await get(covey, "/v1/renewals/months", firm_number=number)
        assert (len(months["months"]), months["left_out"]["renewals"]) == (renewals, left_out)


async def test_an_event_of_identity_without_a_number_waits_for_an_operator(covey, firm, appointment):
    for event in (firm("F-1"), appointment("Acme", "F-1")):
        envelope = Envelope(
            id=event.key,
            source="/identity",
            type=event.topic.name,
            time=Clock.now(),
            subject=event.key,
            sequence=None,
            correlation_id="1",
            causation_id=None,
            traceparent=None,
        )
        await covey.deliver_record(event.topic.name, event.model_dump_json().encode(), to_headers(envelope), event.key)

    assert {parked.consumer for parked in await covey.parked()} == {"renewals.firms"}
    assert len(await covey.parked()) == 2


# --- whatever happens: a model in plain Python says the same ---

GROUPS, FIRMS = ("Acme", "Birch"), ("F-1", "F-2")


class Model:
    """The rules again, without a database."""

    def __init__(self):
        self.latest = {}

    def take(self, key, sequence, event):
        if sequence > self.latest.get(key, (0, None))[0]:
            self.latest[key] = (sequence, event)

    def of(self, kind):
        return [event for (told_of, _), (_, event) in self.latest.items() if told_of == kind]

    def book(self, today):
        firms = {each.firm_id: each for each in self.of("firm")}
        found = {}
        for group in self.of("group"):
            lasting = [
                each
                for each in self.of("appointment")
                if each.group_id == group.group_id
                and each.starts_on <= today
                and (each.ends_on is None or today < each.ends_on)
            ]
            newest = max(lasting, key=lambda each: (each.starts_on, each.appointment_id), default=None)
            firm = firms.get(newest.firm_id) if newest else None
            found[group.legal_name] = (
                (firm.firm_number, firm.firm_name, str(newest.acquired_on)) if firm else (None, None, None)
            )
        return found


def days(least, most):
    return st.integers(least, most).map(lambda number: TODAY + number * DAY)


STINTS = st.tuples(st.sampled_from(FIRMS), days(-3, 3), st.none() | days(-3, 3), days(-92, -88))


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    stints=st.lists(st.tuples(st.sampled_from(GROUPS), st.lists(STINTS, min_size=1, max_size=3)), max_size=4),
    order=st.randoms(use_true_random=False),
    cut=st.integers(0, 5),
)
async def test_any_history_in_any_order_ends_as_the_rules_say(covey, group, firm, appointment, stints, order, cut):
    async with covey.transaction() as session:
        for table in ("renewal", "book", "firm", "appointment", "outbox", "inbox"):
            await session.execute(text(f"DELETE FROM {table}"))
        await session.execute(text("UPDATE clock SET offset_days = 0"))
    await covey.move_date(TODAY)
    history = []
    for name in GROUPS:
        history.append((("group", name), 1, group(name, RENEWS, kind=GroupRegistered)))
        history.append((("group", name), 2, group(name, RENEWS, kind=GroupChanged, number=f"{name} 2")))
    for number in FIRMS:
        history.append((("firm", number), 1, firm(number)))
        history.append((("firm", number), 2, firm(number, kind=FirmChanged, name=f"{number} by another name")))
    for nth, (name, versions) in enumerate(stints):
        for sequence, (number, starts, ends, acquired) in enumerate(versions, start=1):
            event = appointment(name, number, starts=starts, ends=ends, acquired=acquired, nth=nth)
            history.append((("appointment", nth), sequence, event))
    arriving = history + order.sample(history, k=len(history) // 2)
    order.shuffle(arriving)
    model = Model()

    for told_of, sequence, event in arriving[: len(arriving) - cut]:
        await covey.deliver(event, sequence=sequence, event_id=f"{told_of}/{sequence}")
        model.take(told_of, sequence, event)

    for today in (TODAY, TODAY + DAY, TODAY + 3 * DAY):
        await covey.move_date(today)
        expected = model.book(today)
        note(f"{today}: {expected}")
        assert await firm_columns(covey) == expected
        for number in FIRMS:
            own = {name: columns for name, columns in expected.items() if columns[0] == number}
            settled = {name for name, columns in own.items() if date.fromisoformat(columns[2]) < today - 90 * DAY}
            months = await get(covey, "/v1/renewals/months", firm_number=number)
            listed = (await get(covey, "/v1/renewals", firm_number=number))["items"]
            assert await firm_columns(covey, firm_number=number) == own
            assert {each["group"]["legal_name"] for each in listed} == settled
            assert sum(month["renewals"] for month in months["months"]) == len(settled)
            assert months["left_out"]["renewals"] == len(own) - len(settled)
        since = today - 90 * DAY
        new = {name for name, (_, _, day) in expected.items() if day and date.fromisoformat(day) >= since}
        listed = (await get(covey, "/v1/renewals", not_new_to=FIRMS))["items"]
        assert {each["group"]["legal_name"] for each in listed} == {*GROUPS} - new
        months = await get(covey, "/v1/renewals/months", not_new_to=FIRMS)
        assert months["left_out"]["renewals"] == len(new)
    assert await covey.parked() == []


# --- in a large book ---

LARGE = """
    INSERT INTO firm SELECT gen_random_uuid(), 1, 'F-' || n, 'Firm' FROM generate_series(1, 400) AS n;
    INSERT INTO book
    SELECT gen_random_uuid(), 1, 'N-' || n, 'Group ' || n, '2100-04-01' FROM generate_series(1, 20000) AS n;
    INSERT INTO renewal
    SELECT gen_random_uuid(), group_id, 2100, '2100-04-01'::date + n::int % 300, 'upcoming', NULL, 1, 1, true
      FROM (SELECT group_id, row_number() OVER () AS n FROM book) AS book;
    INSERT INTO appointment
    SELECT gen_random_uuid(), 1, group_id, firm_id, '2090-01-01', NULL, '2090-01-01'
      FROM (SELECT group_id, 1 + row_number() OVER () % 400 AS n FROM book) AS book JOIN firm ON firm_number = 'F-' || n
"""


@pytest.fixture
async def large_book(covey, postgres):
    """20,000 groups of 400 firms, with statistics as autovacuum gathers them; one person sees three of them."""
    async with covey.transaction() as session:
        for statement in LARGE.split(";"):
            await session.execute(text(statement))
        account_id = new_id()
        await session.execute(
            text(
                """
                INSERT INTO access_fact
                SELECT 'grant', gen_random_uuid(), n, group_id,
                       CASE WHEN n <= 3 THEN CAST(:account_id AS uuid) ELSE gen_random_uuid() END, NULL,
                       '{renewals.view}', NULL, true
                  FROM (SELECT group_id, row_number() OVER () AS n FROM book LIMIT 2000) AS book
                """
            ),
            {"account_id": account_id},
        )
    database = urlsplit(covey.context.workers.url).path
    async with connected(urlsplit(postgres)._replace(path=database).geturl()) as admin:
        await admin.execute("ANALYZE")
    return account_id


READS = {
    "book": lambda sight, firm: (
        queries.book(sight, TODAY, firm.get("firm_number"), None, None).order_by(*queries.BY_NAME).limit(51)
    ),
    "renewals": lambda sight, firm: (
        queries.to_review(sight, TODAY, 120, queries.Asked(**firm)).order_by(*queries.BY_DATE).limit(51)
    ),
    "months": lambda sight, firm: queries.months(queries.to_review(sight, TODAY, 120, queries.Asked(**firm))),
}


@pytest.mark.parametrize(
    ("who", "firm"),
    [
        ("staff", {"firm_number": "F-7"}),
        ("person", {"firm_number": "F-7"}),
        ("person", {"not_new_to": ["F-7", "F-8"]}),
        ("person", {}),
    ],
)
@pytest.mark.parametrize("read", READS)
async def test_a_large_book_is_not_read_as_a_whole(covey, large_book, who, read, firm):
    sight = Sight(Actor(large_book, new_id(), frozenset()), ("renewals.view",), everything=who == "staff")
    statement = READS[read](sight, firm).compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})

    async with covey.context.requests.session() as session:
        await session.execute(text("SELECT set_config('covey.account', :id, true)"), {"id": str(large_book)})
        if who == "staff":
            await see_all_groups(session)
        connection = await session.connection()
        plan = "\n".join((await connection.exec_driver_sql(f"EXPLAIN {statement}")).scalars())

    read_whole = [line for line in plan.splitlines() if "Seq Scan" in line and "access_applier" not in line]
    assert not [line for line in read_whole if " on firm" not in line], plan
    if "firm_number" in firm:
        assert "ix_appointment_firm" in plan or "ix_appointment_group" in plan, plan


async def test_a_database_from_before_keeps_its_groups_and_renewals(new_database):
    first, *later = (
        importlib.import_module(f"covey_renewals.migrations.versions.{name}")
        for name in ("0001_book_and_renewals", "0002_firms_and_appointments", "0003_transactions")
    )

    async with new_database("covey_chassis") as urls, connected(urls.owner) as owner:
        await owner.execute(first.TABLES)
        await owner.execute(
            """
            INSERT INTO book VALUES (gen_random_uuid(), 4, 'G-1', 'Acme', '2026-09-01', 'F-1', 'Firm', '2024-01-01');
            INSERT INTO renewal SELECT gen_random_uuid(), group_id, 2026, '2026-09-01', 'upcoming', NULL, 1, 1 FROM book;
            INSERT INTO renewal SELECT gen_random_uuid(), group_id, 2025, '2025-09-01', 'rolled over', NULL, 2, 2 FROM book
            """
        )
        for each in later:
            await owner.execute(each.TABLES)
        rows = await owner.fetch(
            "SELECT book.sequence, legal_name, plan_year, current"
            " FROM book JOIN renewal USING (group_id) ORDER BY plan_year"
        )
        columns = await owner.fetch("SELECT column_name FROM information_schema.columns WHERE table_name = 'book'")

    assert [tuple(row) for row in rows] == [(4, "Acme", 2025, False), (4, "Acme", 2026, True)]
    assert {row["column_name"] for row in columns} == {
        "group_id",
        "sequence",
        "group_number",
        "legal_name",
        "renewal_date",
    }
