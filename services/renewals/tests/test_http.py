"""What a broker or the carrier reads."""

from datetime import date, timedelta

import pytest
from covey_contracts.membership import GroupChanged

TODAY = date(2100, 3, 1)


async def get(covey, path, **params):
    response = await covey.api.get(path, params=params)
    assert response.status_code == 200, response.text
    return response.json()


async def pages(covey, path, **params):
    """Every item of a list, page by page, and how many were on each page."""
    items, sizes, after = [], [], {}
    while True:
        page = await get(covey, path, **params, **after)
        items += page["items"]
        sizes.append(len(page["items"]))
        if page["next"] is None:
            return items, sizes
        after = {"after": page["next"]}


@pytest.fixture
def a_book(covey, group, serve):
    """``await a_book(("Acme", date(2100, 4, 1), "F-1", acquired), ...)``: groups, with a firm if one is named, swept."""

    async def make(*facts):
        await covey.move_date(TODAY)
        for name, renewal_date, *firm in facts:
            await covey.deliver(group(name, renewal_date))
            if firm:
                await serve(name, firm[0], **dict(zip(("acquired",), firm[1:], strict=False)))
        await covey.work("sweep")

    return make


async def test_renewals_are_counted_by_month_and_year_as_far_as_one_looks_ahead(covey, a_book):
    await a_book(
        ("A", date(2100, 3, 15)),
        ("B", date(2100, 4, 1)),
        ("C", date(2100, 4, 30)),
        ("D", date(2100, 5, 15)),  # 75 days ahead
        ("E", date(2100, 5, 16)),  # 76
        ("F", date(2100, 6, 29)),  # 120
        ("G", date(2100, 6, 30)),  # 121: too far ahead
        ("H", date(2101, 1, 1)),
    )

    found = await get(covey, "/v1/renewals/months")

    assert found == {
        "today": "2100-03-01",
        "look_ahead_days": 120,
        "months": [
            {"month": "2100-03", "renewals": 1, "available": 1},
            {"month": "2100-04", "renewals": 2, "available": 2},
            {"month": "2100-05", "renewals": 2, "available": 1},
            {"month": "2100-06", "renewals": 1, "available": 0},
        ],
        "left_out": None,
    }


async def test_an_available_renewal_that_moved_far_away_is_still_listed(covey, a_book, group):
    await a_book(("A", date(2100, 4, 1)))
    await covey.deliver(group("A", date(2101, 2, 1), kind=GroupChanged), sequence=2)

    assert (await get(covey, "/v1/renewals/months"))["months"] == [{"month": "2101-02", "renewals": 1, "available": 1}]


@pytest.mark.parametrize(("days_ago", "listed"), [(0, False), (89, False), (90, False), (91, True)])
async def test_a_group_that_is_new_to_its_firm_is_left_out_and_the_page_says_so(covey, a_book, days_ago, listed):
    acquired = TODAY - timedelta(days=days_ago)
    await a_book(("Old", date(2100, 4, 1), "F-1"), ("New", date(2100, 4, 2), "F-1", acquired), ("X", TODAY, "F-2"))

    months = await get(covey, "/v1/renewals/months", firm_number="F-1")
    renewals = await get(covey, "/v1/renewals", firm_number="F-1", month="2100-04")
    book = await get(covey, "/v1/book", firm_number="F-1")

    assert months["months"] == [{"month": "2100-04", "renewals": 1 + listed, "available": 1 + listed}]
    assert months["left_out"]["renewals"] == (0 if listed else 1)
    assert months["left_out"]["acquired_since"] == "2099-12-01"
    assert "90 days" in months["left_out"]["reason"]
    assert [each["group"]["legal_name"] for each in renewals["items"]] == ["Old", "New"][: 1 + listed]
    assert [each["legal_name"] for each in book["items"]] == ["New", "Old"]


async def test_of_several_firms_what_is_new_to_one_is_left_out_and_what_is_no_firms_is_not(covey, a_book):
    recent = TODAY - timedelta(days=90)
    await a_book(
        ("Old 1", date(2100, 4, 1), "F-1"),
        ("New 1", date(2100, 4, 2), "F-1", recent),
        ("Old 2", date(2100, 4, 3), "F-2"),
        ("New 2", date(2100, 4, 4), "F-2", TODAY),
        ("New 3", date(2100, 4, 5), "F-3", TODAY),
        ("Nobody's", date(2100, 4, 6)),
    )

    async def listed(**asked):
        months = await get(covey, "/v1/renewals/months", **asked)
        renewals = await get(covey, "/v1/renewals", **asked)
        names = [each["group"]["legal_name"] for each in renewals["items"]]
        assert sum(each["renewals"] for each in months["months"]) == len(names)
        return names, months["left_out"] and months["left_out"]["renewals"]

    everything = ["Old 1", "New 1", "Old 2", "New 2", "New 3", "Nobody's"]
    assert await listed() == (everything, None)
    assert await listed(not_new_to=["F-1", "F-2"]) == (["Old 1", "Old 2", "New 3", "Nobody's"], 2)
    assert await listed(not_new_to="F-1") == (["Old 1", "Old 2", "New 2", "New 3", "Nobody's"], 1)
    assert await listed(firm_number="F-2", not_new_to=["F-1", "F-2"]) == (["Old 2"], 1)
    assert await listed(not_new_to="nobody-has-this") == (everything, 0)


async def test_the_carrier_sees_groups_that_are_new_to_their_firm(covey, a_book):
    await a_book(("New", date(2100, 4, 2), "F-1", TODAY), ("None", date(2100, 4, 2)))

    assert (await get(covey, "/v1/renewals/months"))["months"][0]["renewals"] == 2


async def test_a_month_is_listed_as_it_is_counted(covey, a_book):
    days = [
        date(2100, 3, 31),
        date(2100, 4, 1),
        date(2100, 4, 1),
        date(2100, 4, 30),
        date(2100, 5, 1),
        date(2100, 6, 20),
    ]
    await a_book(*((f"Group {number}", day) for number, day in enumerate(days)))

    counted = {each["month"]: each["renewals"] for each in (await get(covey, "/v1/renewals/months"))["months"]}
    listed = {month: len((await get(covey, "/v1/renewals", month=month))["items"]) for month in counted}

    assert counted == listed == {"2100-03": 1, "2100-04": 3, "2100-05": 1, "2100-06": 1}


async def test_what_has_passed_is_not_to_be_reviewed_and_the_next_one_is_the_current_one(covey, a_book):
    await a_book(("A", date(2100, 4, 1)), ("B", date(2100, 5, 1)))
    await covey.move_date(date(2100, 4, 1))
    await covey.work("sweep")

    listed = (await get(covey, "/v1/renewals"))["items"]
    months = (await get(covey, "/v1/renewals/months"))["months"]
    book = (await get(covey, "/v1/book"))["items"]

    assert [each["group"]["legal_name"] for each in listed] == ["B"]
    assert [each["month"] for each in months] == ["2100-05"]
    assert [each["renewal"]["plan_year"] for each in book] == [2101, 2100]


async def test_renewals_are_paged_without_gap_or_double_by_date(covey, a_book):
    days = [date(2100, 4, 1 + number % 3) for number in range(11)]
    await a_book(*((f"Group {number}", day) for number, day in enumerate(days)))

    items, sizes = await pages(covey, "/v1/renewals", month="2100-04", limit=4)

    assert sizes == [4, 4, 3]
    assert [each["effective_date"] for each in items] == sorted(map(str, days))
    assert len({each["renewal_id"] for each in items}) == 11


async def test_renewals_are_filtered_by_status(covey, a_book):
    await a_book(("A", date(2100, 4, 1)), ("B", date(2100, 6, 1)))

    for status, name in (("available", "A"), ("upcoming", "B")):
        (only,) = (await get(covey, "/v1/renewals", status=status))["items"]
        assert (only["status"], only["group"]["legal_name"]) == (status, name)


async def test_a_renewal_is_read_with_its_version(covey, a_book):
    await a_book(("Acme", date(2100, 4, 1), "F-1"))
    (listed,) = (await get(covey, "/v1/renewals"))["items"]

    response = await covey.api.get(f"/v1/renewals/{listed['renewal_id']}")

    assert response.headers["ETag"] == '"2"'
    assert response.json() == listed
    assert listed["available_on"] == "2100-03-01"
    assert listed["group"]["firm_name"] == "Firm F-1"


async def test_a_groups_renewals_are_listed_latest_first(covey, a_book, group):
    await a_book(("Acme", date(2100, 4, 1)))
    for day in (date(2100, 4, 1), date(2101, 4, 1)):
        await covey.move_date(day)
        await covey.work("sweep")

    items, sizes = await pages(covey, f"/v1/groups/{group('Acme', TODAY).group_id}/renewals", limit=2)

    assert sizes == [2, 1]
    assert [(each["plan_year"], each["status"]) for each in items] == [
        (2102, "upcoming"),
        (2101, "rolled over"),
        (2100, "rolled over"),
    ]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v1/renewals/01890000-0000-7000-8000-000000000000", "renewal-not-found"),
        ("/v1/groups/01890000-0000-7000-8000-000000000000/renewals", "group-not-found"),
    ],
)
async def test_what_is_not_there_is_said_to_be_so(covey, path, code):
    response = await covey.api.get(path)

    assert (response.status_code, response.json()["code"]) == (404, code)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/renewals?month=2100-13", "query:month"),
        ("/v1/renewals?month=0000-01", "query:month"),
        ("/v1/renewals?month=April", "query:month"),
        ("/v1/renewals?status=gone", "query:status"),
        ("/v1/renewals?limit=0", "query:limit"),
        ("/v1/book?q=", "query:q"),
        ("/v1/book?after=x", "query:after"),
    ],
)
async def test_a_bad_filter_is_named(covey, path, field):
    response = await covey.api.get(path)

    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == [field]


async def test_the_last_month_that_there_is_can_be_asked_for(covey):
    assert await get(covey, "/v1/renewals", month="9999-12") == {"items": [], "next": None}


async def test_the_book_lists_all_groups_by_name_wherever_in_the_cycle(covey, a_book):
    await a_book(("delta", date(2100, 4, 1)), ("Alpha", date(2100, 12, 1)), ("charlie", TODAY), ("Bravo", TODAY))

    items, sizes = await pages(covey, "/v1/book", limit=3)

    assert sizes == [3, 1]
    assert [(each["legal_name"], each["renewal"]["status"]) for each in items] == [
        ("Alpha", "upcoming"),
        ("Bravo", "upcoming"),
        ("charlie", "upcoming"),
        ("delta", "available"),
    ]


async def test_the_book_is_searched_by_any_part_of_name_or_number(covey, group, serve):
    for name, number, firm_number in (
        ("Blue Heron Bakery", "700123", "F-1"),
        ("Red Heron Books", "700456", "F-2"),
        ("100% Clean_Co", "900789", "F-2"),
    ):
        await covey.deliver(group(name, TODAY, number=number))
        await serve(name, firm_number)

    async def found(q, **filters):
        return [each["group_number"] for each in (await get(covey, "/v1/book", q=q, **filters))["items"]]

    assert await found("heron") == ["700123", "700456"]
    assert await found("BAKE") == ["700123"]
    assert await found("7004") == ["700456"]
    assert await found("789") == ["900789"]
    assert await found("heron", firm_number="F-2") == ["700456"]
    assert await found("%") == await found("n_c") == ["900789"]
    assert await found("\\") == await found("nobody") == []


async def test_the_book_is_filtered_by_the_current_renewals_status(covey, a_book):
    await a_book(("A", date(2100, 4, 1)), ("B", date(2100, 12, 1)))
    await covey.move_date(date(2100, 4, 1))
    await covey.work("sweep")

    async def found(status):
        return [each["legal_name"] for each in (await get(covey, "/v1/book", status=status))["items"]]

    assert await found("upcoming") == ["A", "B"]
    assert await found("available") == await found("rolled over") == []
