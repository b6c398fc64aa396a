"""What somebody looks for again and again: saved by name, one of them the default, and nobody else's."""

import asyncio

import pytest
from covey_chassis.access import Right, StaffRight
from covey_transactions.domain.saved_search import SAVED_SEARCHES_MAX, Filters, Search
from sqlalchemy import text

from .story import command

PATH = "/v1/saved-searches"


async def save(client, name, *, is_default=False, **search):
    return await client.post(PATH, json={"name": name, "search": search, "is_default": is_default}, headers=command())


async def saved(client, name, **said):
    answer = await save(client, name, **said)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def listed(client):
    answer = await client.get(PATH)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def defaults(client):
    return [each["name"] for each in await listed(client) if each["is_default"]]


@pytest.fixture
async def person(covey):
    return await covey.person({})


# --- what is kept ---


async def test_they_are_listed_by_name_as_they_were_saved(person):
    for name in ("sent back", "Approved", "Zoe's"):
        await saved(person, name, status="completed")

    found = await listed(person)

    assert [each["name"] for each in found] == ["Approved", "sent back", "Zoe's"]
    assert found[0]["search"]["status"] == "completed"
    assert (await saved(person, "Oak", q=" oak "))["search"]["q"] == "oak"
    assert (found[0]["search"]["sort"], found[0]["search"]["order"]) == ("created", "desc")


async def test_what_can_be_looked_for_can_be_saved(covey):
    answer = (await covey.api.get("/openapi.json")).json()
    parameters = {each["name"] for each in answer["paths"]["/v1/transactions"]["get"]["parameters"]}
    counted = {each["name"] for each in answer["paths"]["/v1/transactions/count"]["get"]["parameters"]}

    assert parameters - {"limit", "after"} == Search.model_fields.keys()
    assert counted == Filters.model_fields.keys()


async def test_whoever_looks_for_what_was_saved_finds_what_they_may_see_then(story, covey):
    acme, bolt = [await story.begin(name) for name in ("Acme", "Bolt")]
    both = await covey.person({each.group_id: [Right.RENEWALS_VIEW] for each in (acme, bolt)})
    for owner in (acme, bolt):
        await story.submitted(owner)
    search = {"status": "pending review", "created_from": "2026-01-01", "sort": "group", "order": "asc"}
    kept = (await saved(both, "Under review", **search))["search"]
    asked = {name: value for name, value in kept.items() if value is not None}

    async def groups(client):
        answer = await client.get("/v1/transactions", params=asked)
        return [each["group"]["legal_name"] for each in answer.json()["items"]]

    assert asked == search
    assert await groups(both) == ["Acme", "Bolt"]
    assert await groups(acme.api) == ["Acme"]
    assert await groups(await covey.person({})) == []


@pytest.mark.parametrize(
    ("name", "search", "complaint"),
    [
        (" ", {}, "/name"),
        ("x" * 61, {}, "/name"),
        ("a\x00b", {}, "/name"),
        ("Other", {"limit": 5}, "/search/limit"),
        ("Other", {"status": "lost"}, "/search/status"),
        ("Other", {"q": ""}, "/search/q"),
        ("Other", {"q": "x" * 101}, "/search/q"),
        ("Other", {"q": "a\x00b"}, "/search/q"),
        ("Other", {"created_to": "1999-12-31"}, "/search/created_to"),
        ("Other", {"created_to": "1700000000"}, "/search/created_to"),
        ("Other", {"created_to": 1767225600}, "/search/created_to"),
        ("Other", {"q": " \u00a0"}, "/search/q"),
        ("Other", {"created_to": "2026-01-01T00:00:00"}, "/search/created_to"),
    ],
)
async def test_what_cannot_be_looked_for_is_not_kept(person, name, search, complaint):
    answer = await save(person, name, **search)

    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.json()["errors"]] == [complaint]
    assert await listed(person) == []


async def test_a_name_is_trimmed_and_taken_in_whatever_case(person):
    assert (await saved(person, "  Sent \t back "))["name"] == "Sent back"

    answer = await save(person, "SENT BACK", status="open")

    assert (answer.status_code, answer.json()["code"]) == (409, "search-name-taken")
    assert len(await listed(person)) == 1


async def test_there_can_be_so_many_and_no_more_until_one_is_deleted(person):
    for number in range(SAVED_SEARCHES_MAX):
        first = await saved(person, f"Number {number}")

    answer = await save(person, "One more")

    assert (answer.status_code, answer.json()["code"]) == (409, "too-many-saved-searches")
    await person.delete(f"{PATH}/{first['saved_search_id']}", headers=command())
    await saved(person, "One more")


@pytest.mark.parametrize("stored", ['{"status": "gone"}', '{"new_filter": "x"}', '{"sort": "unheard-of"}'])
async def test_what_another_version_has_stored_is_listed_as_not_to_be_looked_for_and_can_be_deleted(
    covey, person, stored
):
    kept, other = [await saved(person, name, is_default=name == "A") for name in ("A", "B")]
    async with covey.transaction() as session:
        await session.execute(
            text("UPDATE saved_search SET search = CAST(:stored AS jsonb) WHERE name = 'A'"), {"stored": stored}
        )

    assert await listed(person) == [kept | {"search": None}, other]
    await person.put(f"{PATH}/{other['saved_search_id']}/default", headers=command())
    assert await defaults(person) == ["B"]
    answer = await person.delete(f"{PATH}/{kept['saved_search_id']}", headers=command())
    assert answer.status_code == 204


# --- the default ---


async def test_one_at_a_time_is_the_default(person):
    made = [await saved(person, name, is_default=True) for name in ("A", "B", "C")]
    assert await defaults(person) == ["C"]

    for each in (*made, *reversed(made)):
        answer = await person.put(f"{PATH}/{each['saved_search_id']}/default", headers=command())
        assert answer.json() == each | {"is_default": True}
        assert await defaults(person) == [each["name"]]


async def test_there_can_be_no_default_any_more(person):
    first, second = [await saved(person, name) for name in ("A", "B")]
    await person.put(f"{PATH}/{first['saved_search_id']}/default", headers=command())

    await person.delete(f"{PATH}/{second['saved_search_id']}/default", headers=command())
    assert await defaults(person) == ["A"], "it was not B"
    answer = await person.delete(f"{PATH}/{first['saved_search_id']}/default", headers=command())

    assert answer.json() == first | {"is_default": False}
    assert await defaults(person) == []


async def test_a_default_that_is_deleted_leaves_none(person):
    first, _ = [await saved(person, name, is_default=name == "A") for name in ("A", "B")]

    answer = await person.delete(f"{PATH}/{first['saved_search_id']}", headers=command())

    assert answer.status_code == 204
    assert [(each["name"], each["is_default"]) for each in await listed(person)] == [("B", False)]


# --- two at once ---


async def test_two_at_once_are_one_after_the_other(person):
    made = [await saved(person, f"Number {number}") for number in range(4)]
    paths = [f"{PATH}/{each['saved_search_id']}/default" for each in made]

    chosen = await asyncio.gather(*(person.put(path, headers=command()) for path in paths * 3))
    assert {each.status_code for each in chosen} == {200}
    assert len(await defaults(person)) == 1

    alike = await asyncio.gather(*(save(person, "Alike", is_default=True) for _ in range(6)))
    assert sorted(each.status_code for each in alike) == [201, *[409] * 5]
    assert await defaults(person) == ["Alike"]

    places = SAVED_SEARCHES_MAX - 5
    many = await asyncio.gather(*(save(person, f"Many {number}") for number in range(places + 3)))
    assert sorted(each.status_code for each in many) == [*[201] * places, *[409] * 3]


async def test_a_command_that_is_sent_again_is_done_once(person):
    sent = {"json": {"name": "Once", "search": {}}, "headers": command()}

    answers = [await person.post(PATH, **sent) for _ in range(2)]

    assert [each.status_code for each in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert len(await listed(person)) == 1


# --- nobody else's ---


async def test_nobody_sees_or_changes_another_ones(covey, person):
    others = [await covey.person({}), await covey.staff_member(*StaffRight)]
    own = await saved(person, "Mine", is_default=True)
    unknown = "0190f1c0-0000-7000-8000-000000000001"

    for other in others:
        await saved(other, "Mine", is_default=True)
        for method, end in (("PUT", "/default"), ("DELETE", "/default"), ("DELETE", "")):
            said = []
            for saved_search_id in (own["saved_search_id"], unknown):
                answer = await other.request(method, f"{PATH}/{saved_search_id}{end}", headers=command())
                body = answer.json()
                said.append((answer.status_code, body["code"], body["detail"].replace(saved_search_id, "ID")))
            assert said[0] == said[1]
            assert said[0][0] == 404

    assert await listed(person) == [own]
    assert [await defaults(other) for other in others] == [["Mine"], ["Mine"]]
