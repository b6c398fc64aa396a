"""A group officer asks for a primary administrator, and staff decide (R-01)."""

import asyncio
import re
from typing import Any
from uuid import uuid4

import httpx
import pytest
from covey_chassis.access import Right, StaffRight
from covey_contracts.identity import AccessChanged, AccessCodeIssued, CodeLetter
from covey_identity.domain.access_code import draw
from covey_identity.domain.crockford import ALPHABET

from .accounts import command, run
from .story import Story, number_of

NAMES = ("Oak Street Bakery", "Olu", "Officer", "olu@bakery.example", "Prim", "Ary", "@people.example")


def form(**different: Any) -> dict[str, Any]:
    return {
        "group_number": "G-nowhere",
        "company": "Oak Street Bakery",
        "officer_first_name": "Olu",
        "officer_last_name": "Officer",
        "officer_email": "olu@bakery.example",
        "first_name": "Prim",
        "last_name": "Ary",
        "email": "prim@people.example",
    } | different


async def status_of(story: Story, reference: str) -> httpx.Response:
    return await story.covey.client(None).get(f"/v1/access-requests/{reference}")


async def decline(story: Story, reference: str, reason: str = "The officer is not known.") -> httpx.Response:
    return await story.covey.api.post(
        f"/v1/access-requests/{reference}/decline", json={"reason": reason}, headers=command()
    )


def told(answer: httpx.Response) -> tuple[int, dict[str, str], dict[str, Any]]:
    """All of an answer but for what is drawn or read from a clock."""
    drawn = re.compile(r"[0-9A-Z]{16}|\d{4}-\d\d-\d\dT[\d:.]+Z?")
    headers = {name: value for name, value in answer.headers.items() if name not in ("date", "x-correlation-id")}
    body = {name: "*" if name.endswith("_at") and value else value for name, value in answer.json().items()}
    return answer.status_code, {n: drawn.sub("*", v) for n, v in headers.items()}, body | {"reference": "*"}


# --- what the officer is told ---


@pytest.mark.parametrize("becomes", ["submitted", "approved", "declined", "voided"])
async def test_the_public_status_names_nobody(story: Story, becomes: str) -> None:
    group = await story.group()
    primary = await story.primary(group)
    secondary, grant = await story.secondary(primary, group)
    reference = await story.request(group, secondary)
    if becomes == "approved":
        assert (await story.approve(group, reference)).status_code == 200
    elif becomes == "declined":
        assert (await decline(story, reference)).status_code == 200
    elif becomes == "voided":
        await story.remove(primary, group, grant)

    answer = await status_of(story, reference)

    assert answer.status_code == 200
    assert answer.json().keys() == {"reference", "status", "reason", "submitted_at", "decided_at"}
    assert answer.json()["status"] == becomes
    assert not [name for name in (*NAMES, str(group), number_of(group), secondary.email) if name in answer.text]


async def test_a_group_that_is_there_and_one_that_is_not_are_answered_alike(story: Story) -> None:
    group = await story.group()
    person = await story.person("Prim")
    forms = [
        form(group_number=number_of(group), email=person.email),
        form(group_number=number_of(group)),
        form(),
        form(email=person.email),
    ]
    answers = [
        await story.covey.client(None).post("/v1/access-requests", json=each, headers=command()) for each in forms
    ]
    statuses = [await status_of(story, answer.json()["reference"]) for answer in answers]

    assert answers[0].status_code == 202
    assert answers[0].headers["Location"] == f"/v1/access-requests/{answers[0].json()['reference']}"
    assert [told(answer) for answer in answers] == [told(answers[0])] * 4
    assert [told(answer) for answer in statuses] == [told(statuses[0])] * 4


async def test_a_reference_is_sixteen_random_letters_and_an_unknown_one_is_not_found(story: Story) -> None:
    references = [await story.request(await story.group(), "prim@people.example") for _ in range(3)]
    assert len(set(references)) == 3
    assert all(len(reference) == 16 and set(reference) <= set(ALPHABET) for reference in references)

    unknown = await status_of(story, draw())

    assert (unknown.status_code, unknown.json()["code"]) == (404, "access-request-not-found")


async def test_the_same_form_again_with_its_key_is_the_same_request(story: Story) -> None:
    headers = command()

    answers = [
        await story.covey.client(None).post("/v1/access-requests", json=form(), headers=headers) for _ in range(2)
    ]

    assert len({answer.json()["reference"] for answer in answers}) == 1
    assert await run(story.covey, "SELECT count(*) FROM access_request") == [(1,)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"email": "no address"},
        {"officer_email": ""},
        {"first_name": " "},
        {"group_number": ""},
        {"company": "x" * 1000},
        {"status": "approved"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
async def test_a_form_with_a_bad_field_says_which(story: Story, wrong: dict[str, Any]) -> None:
    answer = await story.covey.client(None).post("/v1/access-requests", json=form(**wrong), headers=command())

    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [f"/{name}" for name in wrong]


# --- what staff see ---


async def test_staff_see_requests_by_status_and_by_the_page(story: Story) -> None:
    group = await story.group()
    references = [await story.request(group, f"p{number}@people.example") for number in range(5)]
    await decline(story, references[1])
    await story.approve(group, references[3])

    async def listed(**query: object) -> list[str]:
        found: list[str] = []
        following: str | None = None
        while True:
            parameters = query | ({"after": following} if following else {})
            answer = await story.covey.api.get("/v1/access-requests", params=parameters)
            assert answer.status_code == 200, answer.text
            assert len(answer.json()["items"]) <= int(str(query.get("limit", 200)))
            found += [each["reference"] for each in answer.json()["items"]]
            following = answer.json()["next"]
            if following is None:
                return found

    assert await listed() == await listed(limit=2) == references
    assert await listed(status="submitted", limit=1) == [references[0], references[2], references[4]]
    assert await listed(status="declined") == [references[1]]
    assert await listed(status="approved") == [references[3]]
    assert await listed(status="voided") == []
    assert (await story.covey.api.get("/v1/access-requests", params={"status": "odd"})).status_code == 422


async def test_staff_see_who_asks_for_whom_and_who_decided(story: Story) -> None:
    group = await story.group()
    reference = await story.request(group, "prim@people.example")
    decided = (await story.approve(group, reference)).json()

    (listed,) = (await story.covey.api.get("/v1/access-requests")).json()["items"]

    assert listed == decided
    asked = form(group_number=number_of(group)) | {"language": "en", "group_id": str(group), "status": "approved"}
    assert {name: listed[name] for name in asked} == asked
    me = (await story.covey.api.get("/v1/account")).json()["account_id"]
    assert listed["decided_by"] == me


async def test_staff_see_the_group_that_is_named_its_primary_and_who_else_asks_for_it(story: Story) -> None:
    group, other = await story.group(), await story.group()
    primary = await story.primary(group)
    references = [await story.request(group, f"p{number}@people.example") for number in range(3)]
    await decline(story, references[1])
    alone = await story.request(other, "alone@people.example")
    unknown = await story.covey.client(None).post(
        "/v1/access-requests", json=form(group_number="G-none"), headers=command()
    )

    listed = {each["reference"]: each for each in (await story.covey.api.get("/v1/access-requests")).json()["items"]}

    assert listed[references[0]]["waiting_too"] == [references[2]]
    assert listed[references[1]]["waiting_too"] == [references[0], references[2]]
    assert listed[alone]["waiting_too"] == []
    named = listed[references[0]]["named_group"]
    account = (await primary.api.get("/v1/account")).json()
    assert named == {
        "group_id": str(group),
        "legal_name": "Oak Street Bakery, Inc.",
        "market_region": "California",
        "primary": f"{account['first_name']} {account['last_name']}",
    }
    assert listed[alone]["named_group"]["primary"] is None
    assert listed[unknown.json()["reference"]]["named_group"] is None


async def test_nobody_without_the_right_to_approve_sees_or_decides(story: Story) -> None:
    group = await story.group()
    reference = await story.request(group, "next@people.example")
    primary = await story.primary(group)
    others = await story.covey.staff_member(*[right for right in StaffRight if right is not StaffRight.ACCESS_APPROVE])
    path = f"/v1/access-requests/{reference}"

    for client, expected in ((story.covey.client(None), 401), (primary.api, 403), (others, 403)):
        answers = [
            await client.get("/v1/access-requests"),
            await client.post(f"{path}/approval", json={"group_id": str(group)}, headers=command()),
            await client.post(f"{path}/decline", json={"reason": "x"}, headers=command()),
        ]
        assert [answer.status_code for answer in answers] == [expected] * 3
    assert (await status_of(story, reference)).json()["status"] == "submitted"


# --- declining ---


async def test_declining_takes_a_reason_and_the_officer_sees_it(story: Story) -> None:
    reference = await story.request(await story.group(), "prim@people.example")
    for none in ("", "   ", "x" * 501):
        assert (await decline(story, reference, none)).status_code == 422

    assert (await decline(story, reference, " The officer is not known. ")).status_code == 200

    said = (await status_of(story, reference)).json()
    assert (said["status"], said["reason"]) == ("declined", "The officer is not known.")
    assert said["decided_at"] is not None
    assert await story.covey.published(AccessCodeIssued) == []


# --- approving ---


async def test_an_approval_sends_the_designated_person_a_code_and_nobody_else(story: Story) -> None:
    group = await story.group()
    reference = await story.request(group, "prim@people.example")

    answer = await story.approve(group, reference)

    assert (answer.status_code, answer.json()["status"], answer.json()["group_id"]) == (200, "approved", str(group))
    (issued,) = await story.covey.published(AccessCodeIssued)
    letter = story.covey.context.keyring.open(issued.event.sealed, CodeLetter)
    assert (letter.address, letter.first_name, issued.event.role) == ("prim@people.example", "Prim", "primary")
    assert letter.code not in answer.text


async def test_an_officer_writes_the_groups_number_in_whatever_case(story: Story) -> None:
    group = await story.group()
    first = await story.request(group, "one@people.example")
    await run(story.covey, "UPDATE access_request SET group_number = lower(group_number)")
    second = await story.request(group, "two@people.example")

    form = (await story.covey.api.get(f"/v1/access-requests/{first}/form")).json()
    answer = await story.approve(group, first)

    assert (form["named_group"]["group_id"], form["waiting_too"]) == (str(group), [second])
    assert answer.status_code == 200


async def test_nobody_redeems_what_they_have_approved(story: Story) -> None:
    """By an address that was nobody's when they approved it."""
    group = await story.group()
    await story.approve(group, await story.request(group, "sam@nobodys.example"))

    answer = await story.covey.api.post(
        "/v1/access-codes/redemption", json={"code": await story.code()}, headers=command(Prefer="wait=0")
    )

    assert (answer.status_code, answer.json()["code"]) == (403, "own-approval")
    assert "sam@nobodys.example" not in (await story.covey.api.get("/v1/account")).json()["addresses"]


@pytest.mark.parametrize("other_address", [False, True])
async def test_nobody_approves_for_themselves(story: Story, other_address: bool) -> None:
    group = await story.group()
    mine = "sam@carrier.example"
    if other_address:
        await run(
            story.covey,
            "INSERT INTO account_address (email_key, account_id, email, verified_at, is_primary, recovers)"
            " SELECT 'sam@home.example', account_id, 'sam@home.example', now(), false, true FROM account_address"
            " WHERE email_key = 'sam@carrier.example'",
        )
        mine = "SAM@home.example"
    reference = await story.request(group, mine)

    answer = await story.approve(group, reference)

    assert (answer.status_code, answer.json()["code"]) == (403, "own-request")
    assert (await status_of(story, reference)).json()["status"] == "submitted"
    assert await story.covey.published(AccessCodeIssued) == []


async def test_only_the_group_that_the_request_names_is_approved(story: Story) -> None:
    group, other = await story.group(), await story.group()
    reference = await story.request(group, "prim@people.example")

    for named, expected in ((other, (422, "group-does-not-match")), (uuid4(), (404, "group-not-found"))):
        answer = await story.approve(named, reference)
        assert (answer.status_code, answer.json()["code"]) == expected

    assert (await status_of(story, reference)).json()["status"] == "submitted"
    assert (await story.approve(group, draw())).json()["code"] == "access-request-not-found"


@pytest.mark.parametrize("first", ["approved", "declined"])
async def test_a_request_is_decided_once(story: Story, first: str) -> None:
    group = await story.group()
    reference = await story.request(group, "prim@people.example")
    decided = await (story.approve(group, reference) if first == "approved" else decline(story, reference))
    assert decided.status_code == 200
    codes = len(await story.covey.published(AccessCodeIssued))

    again = [await story.approve(group, reference), await decline(story, reference, "Another reason.")]

    assert [(answer.status_code, answer.json()["code"]) for answer in again] == [(409, "illegal-move")] * 2
    assert (await status_of(story, reference)).json()["status"] == first
    assert len(await story.covey.published(AccessCodeIssued)) == codes


async def test_approved_and_declined_at_once_is_one_of_the_two(story: Story) -> None:
    group = await story.group()
    references = [await story.request(group, f"p{number}@people.example") for number in range(4)]

    for reference in references:
        approved, declined = await asyncio.gather(story.approve(group, reference), decline(story, reference))

        assert sorted([approved.status_code, declined.status_code]) == [200, 409]
        status = (await status_of(story, reference)).json()["status"]
        assert status == ("approved" if approved.status_code == 200 else "declined")


async def test_a_newer_approval_replaces_who_was_invited_and_voids_their_code(story: Story) -> None:
    group = await story.group()
    former, person, other = await story.primary(group), await story.person("Invited"), await story.person("Next")
    await story.approve(group, await story.request(group, person))
    code = await story.code()

    await story.approve(group, await story.request(group, other))

    answer = await story.redeem(person, code)
    assert (answer.status_code, answer.json()["code"]) == (422, "code-not-good")
    assert (await story.sees(former))[group] == sorted(Right)
    users = (await story.covey.api.get(f"/v1/groups/{group}/users")).json()["items"]
    assert [(user["status"], user["email"]) for user in users] == [("active", former.email), ("invited", other.email)]
    statuses = [each.event.status for each in await story.covey.published(AccessChanged)]
    assert statuses[-3:] == ["invited", "removed", "invited"]
    assert (await story.redeem(other, await story.code())).status_code == 200


async def test_whoever_is_the_primary_already_is_not_made_it_again(story: Story) -> None:
    group = await story.group()
    primary = await story.primary(group)
    reference = await story.request(group, primary)

    answer = await story.approve(group, reference)

    assert (answer.status_code, answer.json()["code"]) == (409, "user-already-there")
    assert (await status_of(story, reference)).json()["status"] == "submitted"


async def test_one_person_can_be_the_primary_of_several_groups(story: Story) -> None:
    one, other = await story.group(), await story.group()
    primary = await story.primary(one)
    await story.approve(other, await story.request(other, primary))

    assert (await story.redeem(primary, await story.code())).status_code == 200

    assert await story.sees(primary) == {one: sorted(Right), other: sorted(Right)}
