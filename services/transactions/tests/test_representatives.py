"""Who helps owners: the carrier's list."""

import pytest
from covey_chassis.ids import new_id

from .story import command

ROSA = {"name": "Rosa Diaz", "phone": "(555) 010-0100", "email": "rosa@carrier.example"}


async def add(covey, **different):
    return await covey.api.post("/v1/representatives", json=ROSA | different, headers=command())


async def change(covey, representative_id, etag, **different):
    return await covey.api.put(
        f"/v1/representatives/{representative_id}",
        json=ROSA | {"active": True} | different,
        headers=command(If_Match=etag),
    )


async def names(covey, **asked):
    answer = await covey.api.get("/v1/representatives", params=asked)
    assert answer.status_code == 200, answer.text
    return [each["name"] for each in answer.json()["items"]]


async def test_somebody_is_added_and_read(covey):
    added = await add(covey)

    assert added.status_code == 201
    assert added.json() == ROSA | {"representative_id": added.json()["representative_id"], "active": True}
    read = await covey.api.get(added.headers["Location"])
    assert (read.json(), read.headers["ETag"]) == (added.json(), added.headers["ETag"])


async def test_the_list_has_those_who_help_first_each_part_by_name(covey):
    for name in ("rosa", "Ben", "Zoe", "Ada"):
        added = await add(covey, name=name)
        if name in ("Ben", "Ada"):
            await change(covey, added.json()["representative_id"], added.headers["ETag"], name=name, active=False)

    first = (await covey.api.get("/v1/representatives", params={"limit": 3})).json()
    second = (await covey.api.get("/v1/representatives", params={"limit": 3, "after": first["next"]})).json()

    assert [(each["name"], each["active"]) for each in first["items"] + second["items"]] == [
        ("rosa", True),
        ("Zoe", True),
        ("Ada", False),
        ("Ben", False),
    ]
    assert second["next"] is None


async def test_several_of_one_name_are_each_listed_once(covey):
    for _ in range(5):
        await add(covey)

    pages, after = [], {}
    while True:
        page = (await covey.api.get("/v1/representatives", params={"limit": 2} | after)).json()
        pages += [each["representative_id"] for each in page["items"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}

    assert len(pages) == len(set(pages)) == 5


async def test_an_edit_is_made_on_the_version_that_was_read(covey):
    added = await add(covey)
    representative_id, etag = added.json()["representative_id"], added.headers["ETag"]

    changed = await change(covey, representative_id, etag, phone="+1 555 010 0101 ext. 7")
    stale = await change(covey, representative_id, etag, phone="2")

    assert (changed.status_code, changed.json()["phone"]) == (200, "+1 555 010 0101 ext. 7")
    assert (stale.status_code, stale.json()["code"]) == (412, "stale-version")
    assert stale.headers["ETag"] == changed.headers["ETag"] != etag
    assert (await covey.api.get(f"/v1/representatives/{representative_id}")).json() == changed.json()


async def test_who_is_not_active_can_be_made_so_again(covey):
    added = await add(covey)
    representative_id = added.json()["representative_id"]

    gone = await change(covey, representative_id, added.headers["ETag"], active=False)
    back = await change(covey, representative_id, gone.headers["ETag"], active=True)

    assert (gone.json()["active"], back.json()["active"]) == (False, True)


async def test_an_unknown_one_is_not_found(covey):
    answers = [
        await covey.api.get(f"/v1/representatives/{new_id()}"),
        await change(covey, new_id(), '"1"'),
    ]

    assert [(each.status_code, each.json()["code"]) for each in answers] == [(404, "representative-not-found")] * 2


async def test_white_space_is_made_plain(covey):
    added = await add(covey, name="  Rosa\n Diaz ", email=" rosa@CARRIER.example ")

    assert (added.json()["name"], added.json()["email"]) == ("Rosa Diaz", "rosa@carrier.example")


@pytest.mark.parametrize(
    ("different", "pointers"),
    [
        ({"name": ""}, ["/name"]),
        ({"name": " \u200b "}, ["/name"]),
        ({"name": "R" * 101}, ["/name"]),
        ({"name": "Rosa\x07"}, ["/name"]),
        ({"phone": "call me"}, ["/phone"]),
        ({"phone": "5" * 51}, ["/phone"]),
        ({"email": "rosa"}, ["/email"]),
        ({"name": "", "phone": "", "email": ""}, ["/email", "/name", "/phone"]),
        ({"title": "Dr."}, ["/title"]),
    ],
)
async def test_every_bad_field_is_named(covey, different, pointers):
    answer = await add(covey, **different)

    assert answer.status_code == 422
    assert sorted(each["pointer"] for each in answer.json()["errors"]) == pointers
    assert await names(covey) == []


async def test_the_same_command_adds_one(covey):
    headers = command()

    answers = [await covey.api.post("/v1/representatives", json=ROSA, headers=headers) for _ in range(2)]

    assert [each.status_code for each in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert await names(covey) == ["Rosa Diaz"]
