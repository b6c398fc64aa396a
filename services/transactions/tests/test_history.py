"""The history of transactions: what one sees, filtered and paged, the newest first."""

from datetime import date

import pytest
from covey_chassis.access import Right, StaffRight
from covey_chassis.ids import new_id
from covey_transactions import queries
from sqlalchemy import event, text

from .story import a_draft


async def listed(client, **asked):
    answer = await client.get("/v1/transactions", params=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def ids(client, **asked):
    return [each["transaction_id"] for each in await listed(client, **asked)]


async def test_the_newest_comes_first_and_each_says_how_it_stands(story):
    owner = await story.begin()
    declined = await story.submitted(owner)
    await story.declined(declined.transaction_id)
    returned = await story.submitted(owner, a_draft(terminations=[]))
    await story.sent_back(returned.transaction_id)

    newest, oldest = await listed(owner.api)

    assert (newest["transaction_id"], newest["status"]) == (returned.transaction_id, "action required")
    assert (newest["instructions"], newest["required_items"]) == ("Add what is missing.", ["W-9"])
    assert newest["representative"]["email"] == "rosa@carrier.example"
    assert newest["reason"] is None
    assert newest["counts"] == {"classes": 1, "enrollments": 2, "terminations": 0}
    assert (oldest["transaction_id"], oldest["status"], oldest["reason"]) == (
        declined.transaction_id,
        "declined",
        "Too small.",
    )
    assert (oldest["instructions"], oldest["representative"]) == (None, None)
    assert "draft" not in newest
    assert "Lovelace" not in str([newest, oldest])


@pytest.fixture
async def world(story):
    """Three groups: one whose transaction is open, one whose transaction is submitted, one that has a withdrawn one."""
    acme, bolt, cork = [await story.begin(name) for name in ("Acme", "Bolt", "Cork")]
    made = [await story.saved(acme), await story.submitted(bolt), await story.withdrawn(cork)]
    return (acme, bolt, cork), [each.transaction_id for each in made]


async def test_one_sees_those_of_groups_in_which_one_may_see_renewals(story, world):
    (acme, bolt, _), (opened, submitted, withdrawn) = world
    both = await story.covey.person({acme.group_id: [Right.RENEWALS_VIEW], bolt.group_id: [Right.RENEWALS_VIEW]})
    other_right = await story.covey.person({acme.group_id: [Right.MEMBERS_VIEW]})
    staff = await story.covey.staff_member(StaffRight.REVIEW_DECIDE)

    assert await ids(acme.api) == [opened]
    assert await ids(both) == [submitted, opened]
    assert await ids(other_right) == []
    assert await ids(staff) == [withdrawn, submitted, opened]


async def test_it_is_filtered_by_each_column(story, world):
    (acme, bolt, cork), (opened, submitted, withdrawn) = world
    all_of_them = [withdrawn, submitted, opened]

    async def found(**asked):
        return await ids(story.covey.api, **asked)

    assert await found(status="open") == [opened]
    assert await found(status="withdrawn") == [withdrawn]
    assert await found(kind="renewal changes") == all_of_them
    assert await found(kind="quote") == []
    assert await found(group_id=bolt.group_id) == [submitted]
    assert await found(group_number="G-Acme") == [opened]
    assert await found(group_number="G-Acm") == []
    assert await found(owner_id=cork.account_id) == [withdrawn]
    assert await found(q="BOL") == [submitted]
    assert await found(q="g-") == all_of_them
    assert await found(q="%") == []
    assert await found(q="o", status="pending review") == [submitted]
    assert await found(owner_id=acme.account_id, group_number="G-Bolt") == []


async def test_what_was_withdrawn_is_not_found_by_its_status_either(story, world):
    (_, _, cork), _ = world

    assert await ids(cork.api, status="withdrawn") == []


async def test_it_is_filtered_by_the_carriers_day_on_which_it_was_opened(story, world):
    _, (opened, submitted, withdrawn) = world
    # In Los Angeles these are the last moment of the first, the first of the second, and the last of the second of May.
    moments = {
        opened: "2026-05-02T06:59:59.999Z",
        submitted: "2026-05-02T07:00Z",
        withdrawn: "2026-05-03T06:59:59.999Z",
    }
    async with story.covey.transaction() as session:
        for transaction_id, moment in moments.items():
            await session.execute(
                text(f"UPDATE transaction SET created_at = '{moment}' WHERE id = :id"), {"id": transaction_id}
            )

    async def found(**asked):
        return await ids(story.covey.api, **asked)

    assert await found(created_from="2026-05-02") == [withdrawn, submitted]
    assert await found(created_to="2026-05-01") == [opened]
    assert await found(created_from="2026-05-02", created_to="2026-05-02") == [withdrawn, submitted]
    assert await found(created_from="2026-05-03") == []


async def test_it_is_paged_without_gap_or_double(story):
    owner = await story.begin()
    made = []
    for _ in range(5):
        each = await story.submitted(owner)
        await story.declined(each.transaction_id)
        made.append(each.transaction_id)

    found, sizes, after = [], [], {}
    while True:
        page = (await owner.api.get("/v1/transactions", params={"limit": 2} | after)).json()
        found += [each["transaction_id"] for each in page["items"]]
        sizes.append(len(page["items"]))
        if page["next"] is None:
            break
        after = {"after": page["next"]}

    assert found == made[::-1]
    assert sizes == [2, 2, 1]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"status": "gone"}, "query:status"),
        ({"kind": "letter"}, "query:kind"),
        ({"group_id": "G-1"}, "query:group_id"),
        ({"created_from": "yesterday"}, "query:created_from"),
        ({"created_to": "9999-12-31"}, "query:created_to"),
        ({"q": ""}, "query:q"),
        ({"after": "x"}, "query:after"),
    ],
)
async def test_a_bad_filter_is_named(covey, asked, field):
    answer = await covey.api.get("/v1/transactions", params=asked)

    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.json()["errors"]] == [field]


async def test_a_list_reads_no_draft_and_as_few_times_for_many_as_for_one(story):
    owner = await story.begin()
    statements = []

    def note(_connection, _cursor, statement, *_):
        statements.append(statement)

    async def reading():
        statements.clear()
        await listed(owner.api)
        return list(statements)

    for _ in range(3):
        await story.declined((await story.submitted(owner)).transaction_id)
    engine = story.covey.context.requests.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    three = await reading()
    await story.declined((await story.submitted(owner)).transaction_id)
    four = await reading()
    event.remove(engine, "before_cursor_execute", note)

    assert len(three) == len(four) > 0
    assert not any(".draft" in each or ".content" in each for each in four)


# --- one of them ---


async def test_one_is_found_by_its_id_alone_and_says_in_which_group_it_is_read(story):
    owner = await story.begin()
    made = await story.saved(owner)

    answer = await owner.api.get(f"/v1/transactions/{made.transaction_id}")

    assert answer.headers["ETag"] == made.etag
    assert answer.json() == made.body
    assert answer.json()["group"]["group_id"] == str(owner.group_id)


async def test_one_that_is_not_in_sight_is_not_found_like_one_that_is_not_there(story):
    owner, other = await story.begin(), await story.begin("Other")
    theirs = await story.saved(other)

    answers = [await owner.api.get(f"/v1/transactions/{each}") for each in (theirs.transaction_id, new_id())]

    assert {(each.status_code, each.json()["code"]) for each in answers} == {(404, "transaction-not-found")}


async def test_one_that_was_opened_and_not_saved_yet_is_read_by_its_id(story):
    owner = await story.begin()
    opened = await story.opened(owner)

    assert (await owner.api.get(f"/v1/transactions/{opened.transaction_id}")).json()["saved_at"] is None


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("created", ["Cork", "Acme", "Bolt"]),
        ("updated", ["Bolt", "Cork", "Acme"]),
        ("effective_date", ["Bolt", "Acme", "Cork"]),
        ("status", ["Acme", "Cork", "Bolt"]),
        ("group", ["Acme", "Bolt", "Cork"]),
    ],
)
@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_it_is_sorted_by_each_column_and_paged_so(story, sort, order, expected):
    """Three that differ in each: made in turn, changed in another, and of plan years that begin on other days."""
    made = {name: await story.saved(await story.begin(name)) for name in ("Cork", "Acme", "Bolt")}
    for name, day, status, updated in (
        ("Acme", "2100-05-01", "action required", 3),
        ("Bolt", "2100-04-01", "pending review", 1),
        ("Cork", "2100-06-01", "open", 2),
    ):
        async with story.covey.transaction() as session:
            await session.execute(
                text(
                    "UPDATE transaction SET effective_date = CAST(:day AS date), status = :status,"
                    " updated_at = created_at + make_interval(hours => :updated) WHERE id = CAST(:id AS uuid)"
                ).bindparams(day=date.fromisoformat(day), status=status, updated=updated, id=made[name].transaction_id)
            )
    names, after = [], None
    while True:
        answer = await story.covey.api.get(
            "/v1/transactions", params={"sort": sort, "order": order, "limit": 1} | ({"after": after} if after else {})
        )
        page = answer.json()
        names += [each["group"]["legal_name"] for each in page["items"]]
        if (after := page["next"]) is None:
            break

    assert names == (expected if order == "asc" else expected[::-1])


async def test_it_is_counted_as_it_is_filtered_for_whoever_asks(story, world, monkeypatch):
    (acme, _, _), _ = world

    async def count(client, **asked):
        answer = await client.get("/v1/transactions/count", params=asked)
        assert answer.status_code == 200, answer.text
        return answer.json()

    assert await count(story.covey.api) == {"count": 3, "more": False}
    assert await count(story.covey.api, status="open") == {"count": 1, "more": False}
    assert await count(story.covey.api, q="nothing") == {"count": 0, "more": False}
    assert await count(acme.api) == {"count": 1, "more": False}
    monkeypatch.setattr(queries, "COUNTED_MAX", 2)
    assert await count(story.covey.api) == {"count": 2, "more": True}


@pytest.mark.parametrize("sort", ["updated", "effective_date", "status", "group"])
async def test_where_all_are_alike_each_is_on_one_page_all_the_same(story, sort):
    made = {(await story.saved(await story.begin(name))).transaction_id for name in ("Acme", "Bolt", "Cork")}
    async with story.covey.transaction() as session:
        await session.execute(text("UPDATE transaction SET updated_at = now()"))
        await session.execute(text("UPDATE group_copy SET legal_name = 'All alike'"))
    found, after = [], {}
    while True:
        page = (await story.covey.api.get("/v1/transactions", params={"sort": sort, "limit": 1} | after)).json()
        found += [each["transaction_id"] for each in page["items"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}

    assert len(found) == 3
    assert set(found) == made
