"""Who can see a group, who could on a day, and what was done there (R-12)."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from covey_chassis.access import Right
from sqlalchemy import text

from .accounts import command, run
from .story import Person, Story

ZONE = ZoneInfo("America/Los_Angeles")
TODAY = datetime.now(ZONE).date()


async def seen_by(story: Story, by: Person, group: UUID, *, days_ago: int | None = None) -> dict[UUID, list[Any]]:
    """Who could see the group on that day, or can now: spans by account."""
    on = {} if days_ago is None else {"on": (TODAY - timedelta(days=days_ago)).isoformat()}
    answer = await by.api.get(f"/v1/groups/{group}/seen-by", params=on)
    assert answer.status_code == 200, answer.text
    found: dict[UUID, list[Any]] = {}
    assert answer.json()["complete"]
    for each in answer.json()["items"]:
        found.setdefault(UUID(each["account_id"]), []).append(each)
    return found


async def days_pass(story: Story, days: int) -> None:
    """All that has happened so far was so many days ago."""
    async with story.covey.as_owner() as session:
        await session.execute(text("UPDATE access_log SET at = at - make_interval(days => :days)"), {"days": days})


async def test_whoever_holds_a_right_now_is_named_with_it(story: Story) -> None:
    group = await story.group()
    primary = await story.primary(group)
    secondary, _ = await story.secondary(primary, group, [Right.RENEWALS_VIEW], units=["001"])

    found = await seen_by(story, primary, group)

    assert set(found) == {primary.account_id, secondary.account_id}
    ((span,),) = [found[secondary.account_id]]
    assert (span["user_id"], span["rights"], span["billing_units"], span["firm_id"], span["until"]) == (
        secondary.user_id,
        ["renewals.view"],
        ["001"],
        None,
        None,
    )


async def test_whoever_was_removed_is_named_for_the_days_until_then(story: Story) -> None:
    group = await story.group()
    primary = await story.primary(group)
    secondary, grant = await story.secondary(primary, group)
    await days_pass(story, 10)
    await story.remove(primary, group, grant)
    await days_pass(story, 5)

    who = secondary.account_id
    named = {ago: who in await seen_by(story, primary, group, days_ago=ago) for ago in (20, 15, 10, 5, 4, 0)}

    assert named == {20: False, 15: True, 10: True, 5: True, 4: False, 0: False}
    assert who not in await seen_by(story, primary, group)
    (span,) = (await seen_by(story, primary, group, days_ago=10))[who]
    assert datetime.fromisoformat(span["until"]) - datetime.fromisoformat(span["since"]) > timedelta(days=9)


async def test_other_rights_are_other_spans(story: Story) -> None:
    group = await story.group()
    primary = await story.primary(group)
    secondary, grant = await story.secondary(primary, group, [Right.RENEWALS_VIEW])
    await days_pass(story, 3)
    version = (await primary.api.get(f"/v1/groups/{group}/users/{grant}")).headers["ETag"]
    changed = await primary.api.put(
        f"/v1/groups/{group}/users/{grant}/rights",
        json={"rights": ["members.view"]},
        headers=command(If_Match=version),
    )
    assert changed.status_code == 200, changed.text

    spans = (await seen_by(story, primary, group, days_ago=0))[secondary.account_id]

    assert [each["rights"] for each in spans] == [["renewals.view"], ["members.view"]]
    assert spans[0]["until"] == spans[1]["since"]
    (before,) = (await seen_by(story, primary, group, days_ago=2))[secondary.account_id]
    assert before["rights"] == ["renewals.view"]


async def test_a_firms_people_are_named_for_as_long_as_both_lasted(story: Story) -> None:
    group = await story.group(broker="F-1")
    primary, broker = await story.primary(group), await story.person("Broker")
    await days_pass(story, 10)
    firm = await story.firm("F-1")
    await story.joins(broker, firm)
    await days_pass(story, 10)
    await story.changes_broker(group, None)
    await days_pass(story, 10)

    who = broker.account_id
    named = {ago: who in await seen_by(story, primary, group, days_ago=ago) for ago in (25, 20, 15, 10, 5)}

    assert named == {25: False, 20: True, 15: True, 10: True, 5: False}
    (span,) = (await seen_by(story, primary, group, days_ago=15))[who]
    assert (span["firm_id"], span["firm_name"], span["rights"]) == (str(firm), "F-1 Benefits", ["renewals.view"])


async def test_whoever_was_excluded_is_not_named_for_that_time(story: Story) -> None:
    group = await story.group(broker="F-1")
    primary, broker = await story.primary(group), await story.person("Broker")
    await story.joins(broker, await story.firm("F-1"))
    await days_pass(story, 10)
    exclusion = f"/v1/groups/{group}/exclusions/{broker.account_id}"
    assert (await primary.api.post(exclusion, headers=command())).status_code == 202
    await days_pass(story, 10)
    assert (await primary.api.delete(exclusion, headers=command())).status_code == 202
    await days_pass(story, 10)

    who = broker.account_id
    named = {ago: who in await seen_by(story, primary, group, days_ago=ago) for ago in (25, 15, 5)}

    assert named == {25: True, 15: False, 5: True}


async def test_what_ends_at_midnight_is_of_the_day_before(story: Story) -> None:
    """By the carrier's clock, not by the database's."""
    group = await story.group()
    primary = await story.primary(group)
    secondary, grant = await story.secondary(primary, group)
    await story.remove(primary, group, grant)
    midnight = datetime(TODAY.year, TODAY.month, TODAY.day, tzinfo=ZONE).astimezone(UTC) - timedelta(days=3)
    async with story.covey.as_owner() as session:
        await session.execute(text("UPDATE access_log SET at = :at"), {"at": midnight - timedelta(days=1)})
        await session.execute(
            text("UPDATE access_log SET at = :at WHERE fact ->> 'active' = 'false'"), {"at": midnight}
        )

    named = {ago: secondary.account_id in await seen_by(story, primary, group, days_ago=ago) for ago in (5, 4, 3)}

    assert named == {5: False, 4: True, 3: False}


async def test_whoever_is_locked_out_is_not_named_for_that_time(story: Story) -> None:
    group = await story.group()
    primary = await story.primary(group)
    secondary, _ = await story.secondary(primary, group)
    await days_pass(story, 10)
    await story.covey.api.post(f"/v1/accounts/{secondary.account_id}/lock", headers=command())
    await days_pass(story, 5)

    locked = await seen_by(story, primary, group)
    before = await seen_by(story, primary, group, days_ago=8)
    await story.covey.api.post(f"/v1/accounts/{secondary.account_id}/unlock", headers=command())

    assert secondary.account_id not in locked
    assert [each["until"] is None for each in before[secondary.account_id]] == [False]
    assert secondary.account_id not in await seen_by(story, primary, group, days_ago=3)
    assert secondary.account_id in await seen_by(story, primary, group)


async def test_nobody_knows_who_will_see_the_group(story: Story) -> None:
    group = await story.group()
    primary = await story.primary(group)

    to_come = (TODAY + timedelta(days=2)).isoformat()  # also when midnight has passed since
    answer = await primary.api.get(f"/v1/groups/{group}/seen-by", params={"on": to_come})

    assert (answer.status_code, answer.json()["errors"]) == (
        422,
        [{"pointer": "query:on", "detail": "has not come yet"}],
    )


async def test_whose_rights_an_act_was_about_is_said_of_whoever_was_only_invited_too(story: Story) -> None:
    group = await story.group()
    primary = await story.primary(group)
    added = await story.add(primary, group, "sec@people.example", [Right.BILLING_VIEW], ["001"])
    grant_id = added.json()["grant_id"]
    await primary.api.post(f"/v1/groups/{group}/users/{grant_id}/code", headers=command())

    acts = (await primary.api.get(f"/v1/groups/{group}/audit")).json()["items"]

    said = {"grant_id": grant_id, "name": "Sec Ondary", "email": "sec@people.example", "ended": False}
    assert [(each["act"], each["grants"]) for each in acts[:3]] == [
        ("code.reissued", [said | {"rights": [], "billing_units": None}]),
        ("user.added", [said | {"rights": ["billing.view"], "billing_units": ["001"]}]),
        ("code.issued", [said | {"rights": [], "billing_units": None}]),
    ]


async def test_of_a_takeover_it_is_said_who_has_what_and_who_no_longer(story: Story) -> None:
    """However much passes on: the new primary is among the first twenty."""
    group = await story.group()
    former = await story.primary(group, "Former")
    for number in range(20):
        await story.add(former, group, f"invited-{number}@people.example")
    secondary, _ = await story.secondary(former, group)
    await story.approve(group, await story.request(group, secondary))
    await story.redeem(secondary, await story.code())

    (taken_over,) = (await secondary.api.get(f"/v1/groups/{group}/audit", params={"limit": 1})).json()["items"]
    (for_staff,) = (await story.covey.api.get("/v1/audit", params={"limit": 1, "group_id": str(group)})).json()["items"]

    concerned = [(each["email"], "access.manage" in each["rights"], each["ended"]) for each in taken_over["grants"]]
    assert concerned[:2] == [(secondary.email, False, True), (secondary.email, True, False)]
    assert (former.email, True, True) in concerned
    assert len(concerned) == len({each["grant_id"] for each in taken_over["grants"]}) == 20
    assert for_staff["grants"] == taken_over["grants"]


async def test_another_groups_people_are_not_named(story: Story) -> None:
    group, other = await story.group(broker="F-1"), await story.group(broker="F-1")
    primary, elsewhere = await story.primary(group), await story.primary(other)

    assert set(await seen_by(story, primary, group)) == {primary.account_id}
    assert set(await seen_by(story, elsewhere, other)) == {elsewhere.account_id}


# --- what was done ---


async def test_a_primary_reads_what_was_done_in_the_group_the_latest_first(story: Story) -> None:
    group = await story.group()
    primary = await story.primary(group)
    secondary, grant = await story.secondary(primary, group)
    await story.remove(primary, group, grant)

    answer = await primary.api.get(f"/v1/groups/{group}/audit", params={"limit": 3})

    assert answer.status_code == 200
    told = [
        (each["act"], each["user_id"], [subject["user_id"] for subject in each["subjects"]])
        for each in answer.json()["items"]
    ]
    assert told == [
        ("user.removed", primary.user_id, [secondary.user_id]),
        ("code.redeemed", secondary.user_id, [secondary.user_id]),
        ("user.added", primary.user_id, []),
    ]
    assert "origin" not in answer.json()["items"][0], "where somebody sat is the carrier's to know"
    further = await primary.api.get(f"/v1/groups/{group}/audit", params={"after": answer.json()["next"]})
    assert [each["act"] for each in further.json()["items"]][:1] == ["code.issued"]


async def test_staff_read_all_of_it_by_group_and_by_account(story: Story) -> None:
    group = await story.group()
    primary = await story.primary(group)
    other = await story.primary(await story.group())

    of_group = (await story.covey.api.get("/v1/audit", params={"group_id": str(group)})).json()["items"]
    of_account = (await story.covey.api.get("/v1/audit", params={"account_id": str(other.account_id)})).json()["items"]

    assert {each["group_id"] for each in of_group} == {str(group)}
    assert {each["act"] for each in of_group} >= {"request.approved", "code.issued", "code.redeemed"}
    assert of_account
    who = str(other.account_id)
    assert all(
        who in (each["account_id"], *(subject["account_id"] for subject in each["subjects"])) for each in of_account
    )
    assert str(primary.account_id) not in {each["account_id"] for each in of_account}
    assert {each["origin"] for each in of_account} == {"127.0.0.1"}
    ((all_of_it,),) = await run(story.covey, "SELECT count(*) FROM audit_entry")
    listed = (await story.covey.api.get("/v1/audit", params={"limit": 200})).json()["items"]
    assert len(listed) == all_of_it


async def test_an_act_on_several_groups_is_read_in_each_of_them(story: Story) -> None:
    """Somebody leaves a firm, and what they had of their own in its groups goes too."""
    groups = [await story.group(broker="F-1") for _ in range(2)]
    broker, firm = await story.person("Broker"), await story.firm("F-1")
    await story.joins(broker, firm)
    primaries = [await story.primary(group) for group in groups]
    for group, primary in zip(groups, primaries, strict=True):
        await story.secondary(primary, group, person=broker)

    left = await story.covey.api.delete(f"/v1/firms/{firm}/members/{broker.account_id}", headers=command())
    assert left.status_code == 204

    for group, primary in zip(groups, primaries, strict=True):
        (latest, *_) = (await primary.api.get(f"/v1/groups/{group}/audit")).json()["items"]
        assert (latest["act"], [each["user_id"] for each in latest["subjects"]]) == ("firm.left", [broker.user_id])
    (entry, *_) = (await story.covey.api.get("/v1/audit", params={"account_id": str(broker.account_id)})).json()[
        "items"
    ]
    assert (entry["group_id"], entry["groups"]) == (None, 2)


@pytest.mark.parametrize("on", ["9999-12-31", "0001-01-01", "2026-02-30"])
async def test_a_day_that_no_calendar_of_ours_has_is_refused(story: Story, on: str) -> None:
    group = await story.group()
    primary = await story.primary(group)

    assert (await primary.api.get(f"/v1/groups/{group}/seen-by", params={"on": on})).status_code == 422
