"""A list is read page by page, and a cursor fits only where it comes from."""

import base64
from uuid import uuid4

import pytest
from covey_chassis.ids import new_id


async def fill(toy, number, size=lambda index: index % 3):
    for index in range(number):
        await toy.execute(
            "INSERT INTO gadget VALUES (:id, :name, :size, 1, 0)", id=new_id(), name=f"g{index:03}", size=size(index)
        )


async def pages(toy, **parameters):
    found = []
    after = None
    while True:
        more = {"after": after} if after else {}
        answer = await toy.api.get("/v1/gadgets", params=parameters | more)
        assert answer.status_code == 200, answer.text
        found.append(answer.json()["items"])
        after = answer.json()["next"]
        if after is None:
            return found


@pytest.mark.parametrize("largest_first", [False, True])
async def test_all_pages_together_are_all_there_is_in_order(toy, largest_first):
    await fill(toy, 17)

    found = await pages(toy, limit=5, largest_first=largest_first)

    rows = [(row["size"], row["id"]) for page in found for row in page]
    assert [len(page) for page in found] == [5, 5, 5, 2]
    assert len(set(rows)) == 17
    assert rows == sorted(rows, reverse=largest_first)


async def test_the_last_full_page_has_no_next(toy):
    await fill(toy, 4)

    assert [len(page) for page in await pages(toy, limit=2)] == [2, 2]


async def test_nothing_is_one_empty_page(empty_toy):
    assert await pages(empty_toy) == [[]]


async def test_what_comes_and_goes_between_pages_skips_and_doubles_nothing_else(toy):
    await fill(toy, 6, size=lambda index: index)
    first = (await toy.api.get("/v1/gadgets", params={"limit": 3})).json()
    await toy.execute("DELETE FROM gadget WHERE size = 2")
    await toy.execute("INSERT INTO gadget VALUES (:id, 'new', 0, 1, 0)", id=uuid4())

    second = (await toy.api.get("/v1/gadgets", params={"limit": 3, "after": first["next"]})).json()

    assert [row["size"] for row in first["items"] + second["items"]] == [0, 1, 2, 3, 4, 5]


async def test_fifty_is_a_page_unless_asked_for_otherwise(toy):
    await fill(toy, 51)

    assert [len(page) for page in await pages(toy)] == [50, 1]
    assert [len(page) for page in await pages(toy, limit=200)] == [51]


async def cursor(toy, **parameters):
    return (await toy.api.get("/v1/gadgets", params={"limit": 1} | parameters)).json()["next"]


async def test_a_cursor_fits_only_the_filters_that_it_comes_from(toy):
    await fill(toy, 3)
    after = await cursor(toy, name="g")

    with_filter = await toy.api.get("/v1/gadgets", params={"name": "g", "after": after, "limit": 100})
    without = await toy.api.get("/v1/gadgets", params={"after": after})
    other = await toy.api.get("/v1/gadgets", params={"name": "g0", "after": after})

    assert [answer.status_code for answer in (with_filter, without, other)] == [200, 422, 422]
    assert other.json()["errors"][0]["pointer"] == "query:after"


async def test_a_cursor_fits_only_the_list_that_it_comes_from(toy):
    await fill(toy, 3)
    after = await cursor(toy)

    answer = await toy.api.get("/internal/dead-letters", params={"after": after}, headers=toy.operator)

    assert answer.status_code == 422


async def test_a_cursor_that_was_changed_anywhere_is_refused(toy):
    await fill(toy, 3)
    sealed = base64.urlsafe_b64decode((await cursor(toy)) + "==")

    for position in range(len(sealed)):
        forged = bytearray(sealed)
        forged[position] ^= 1
        after = base64.urlsafe_b64encode(forged).rstrip(b"=").decode()
        assert (await toy.api.get("/v1/gadgets", params={"after": after})).status_code == 422


@pytest.mark.parametrize("after", ["", "x", "é", "====", "W10", "a" * 5000, "AAAAAAAAAAAAAAAAAAAAAAAA"])
async def test_a_cursor_that_is_made_up_is_refused(empty_toy, after):
    answer = await empty_toy.api.get("/v1/gadgets", params={"after": after})

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "query:after")


async def test_another_secret_makes_other_cursors(new_toy):
    async with new_toy() as one, new_toy(operator_token="another operator's token") as other:
        await fill(one, 2)

        answer = await other.api.get("/v1/gadgets", params={"after": await cursor(one)})

    assert answer.status_code == 422


async def test_a_cursor_tells_nothing_of_the_row_that_it_stands_behind(toy):
    await fill(toy, 2)
    first = (await toy.api.get("/v1/gadgets", params={"limit": 1})).json()

    assert first["items"][0]["id"].encode() not in base64.urlsafe_b64decode(first["next"] + "==")


@pytest.mark.parametrize("limit", ["0", "-1", "201", "x", "1e2"])
async def test_a_limit_has_limits(empty_toy, limit):
    answer = await empty_toy.api.get("/v1/gadgets", params={"limit": limit})

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "query:limit")
