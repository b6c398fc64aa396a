"""Who may do what in a group: given by its primary, changed, taken away."""

import asyncio
from uuid import UUID, uuid4

import pytest
from covey_chassis.access import Right, see_group
from covey_contracts.identity import AccessChanged, AppointmentChanged, FirmRegistered
from sqlalchemy import text

from .accounts import command


async def test_an_officers_request_makes_a_primary_who_holds_everything(story):
    group = await story.group()

    primary = await story.primary(group)

    assert (await story.sees(primary))[group] == sorted(Right)
    (invited, active) = [each.event for each in await story.covey.published(AccessChanged)]
    assert (invited.status, invited.account_id, invited.role) == ("invited", None, "primary")
    assert (active.status, active.account_id) == ("active", primary.account_id)
    assert Right.ACCESS_MANAGE not in active.rights


async def test_a_primary_gives_rights_which_are_there_once_the_code_is_redeemed(story):
    group = await story.group()
    primary = await story.primary(group)
    person = await story.person("Sec")

    added = await story.add(primary, group, person.email, [Right.RENEWALS_CHANGE], ["001"])

    assert added.status_code == 201
    assert added.json()["status"] == "invited"
    assert await story.sees(person) == {}
    await story.redeem(person, await story.code())
    assert await story.sees(person) == {group: ["renewals.change", "renewals.view"]}
    user = (await primary.api.get(added.headers["Location"])).json()
    assert (user["status"], user["user_id"], user["billing_units"]) == ("active", person.user_id, ["001"])


async def test_nobody_but_the_primary_manages_access(story):
    group = await story.group()
    primary = await story.primary(group)
    secondary, grant = await story.secondary(primary, group, [*Right][:-1])
    stranger = await story.person("Stranger")

    for person in (secondary, stranger):
        users = f"/v1/groups/{group}/users"
        answers = [
            await person.api.get(users),
            await story.add(person, group, "x@y.example"),
            await story.remove(person, group, grant),
            await person.api.post(f"{users}/{grant}/code", headers=command()),
            await person.api.put(
                f"{users}/{grant}/rights", json={"rights": ["billing.view"]}, headers=command(If_Match='"2"')
            ),
        ]
        assert [answer.status_code for answer in answers] == [403] * 5
        assert {answer.json()["code"] for answer in answers} == {"not-yours"}


async def test_managing_access_cannot_be_given(story):
    group = await story.group()
    primary = await story.primary(group)

    answer = await story.add(primary, group, "x@y.example", [Right.ACCESS_MANAGE])

    assert answer.status_code == 422


async def test_one_address_is_added_once_and_never_the_primarys_own(story):
    group = await story.group()
    primary = await story.primary(group)
    await story.add(primary, group, "sec@people.example")

    again = await story.add(primary, group, "SEC@people.example")
    own = await story.add(primary, group, primary.email)

    assert [again.json()["code"], own.json()["code"]] == ["user-already-there"] * 2


async def test_a_billing_unit_that_the_group_does_not_have_is_refused(story):
    group = await story.group(units=["001"])
    primary = await story.primary(group)

    answer = await story.add(primary, group, "x@y.example", units=["001", "999"])

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/billing_units"


async def test_rights_are_changed_on_the_version_that_was_read(story):
    group = await story.group()
    primary = await story.primary(group)
    secondary, grant = await story.secondary(primary, group, [Right.RENEWALS_VIEW])
    path = f"/v1/groups/{group}/users/{grant}"
    etag = (await primary.api.get(path)).headers["ETag"]

    changed = await primary.api.put(f"{path}/rights", json={"rights": ["billing.pay"]}, headers=command(If_Match=etag))
    late = await primary.api.put(f"{path}/rights", json={"rights": ["group.update"]}, headers=command(If_Match=etag))

    assert (changed.status_code, late.status_code) == (200, 412)
    assert await story.sees(secondary) == {group: ["billing.pay", "billing.view"]}


async def test_a_removed_user_sees_nothing_and_their_codes_are_void(story):
    group = await story.group()
    primary = await story.primary(group)
    secondary, grant = await story.secondary(primary, group)

    removed = await story.remove(primary, group, grant)

    assert removed.status_code == 202
    assert await story.sees(secondary) == {}
    assert (await primary.api.get(f"/v1/groups/{group}/users/{grant}")).status_code == 404
    assert (await story.covey.published(AccessChanged))[-1].event.status == "removed"


async def test_removing_somebody_who_was_only_invited_voids_the_code(story):
    group = await story.group()
    primary = await story.primary(group)
    person = await story.person("Sec")
    added = await story.add(primary, group, person.email)
    code = await story.code()

    await story.remove(primary, group, added.json()["grant_id"])
    answer = await story.redeem(person, code)

    assert (answer.status_code, answer.json()["code"]) == (422, "code-not-good")
    assert await story.sees(person) == {}


async def test_a_person_has_one_grant_in_a_group_whatever_address_they_were_added_by(story):
    """Else to take a right from one of them would take nothing."""
    group = await story.group()
    primary = await story.primary(group)
    person, _ = await story.secondary(primary, group, [Right.BILLING_VIEW])
    await story.add(primary, group, "other-address@people.example", [Right.RENEWALS_VIEW])

    again = await story.redeem(person, await story.code())

    assert (again.status_code, again.json()["code"]) == (409, "already-has-access")
    assert (await story.sees(person))[group] == ["billing.view"]


async def test_an_address_is_the_same_however_it_is_written(story):
    group = await story.group()
    primary = await story.primary(group)
    await story.add(primary, group, "STRAßE@people.example")

    again = await story.add(primary, group, "strasse@People.example")

    assert again.json()["code"] == "user-already-there"


async def test_removing_an_invitation_to_somebodys_own_address_removes_the_person(story):
    """They saw the group through their firm already: removed is removed."""
    group = await story.group(broker="F-1")
    primary = await story.primary(group)
    person = await story.person("Broker")
    await story.joins(person, await story.firm("F-1"))
    added = await story.add(primary, group, person.email)

    removed = await story.remove(primary, group, added.json()["grant_id"])

    assert removed.json()["account_id"] == str(person.account_id)
    assert await story.sees(person) == {}


async def test_taking_back_an_invitation_does_not_tell_whether_the_address_has_an_account(story):
    group = await story.group()
    primary = await story.primary(group)
    stranger = await story.person("Stranger")
    answers = {}
    for email in (stranger.email, "nobody@people.example"):
        added = (await story.add(primary, group, email)).json()
        answers[email] = (await story.remove(primary, group, added["grant_id"])).json()

    acts = (await primary.api.get(f"/v1/groups/{group}/audit")).json()["items"]

    assert {(each["account_id"], each["status"]) for each in answers.values()} == {(None, "pending")}
    removed = [each for each in acts if each["act"] == "user.removed"]
    assert [(each["subjects"], [grant["email"] for grant in each["grants"]]) for each in removed] == [
        ([], ["nobody@people.example"]),
        ([], [stranger.email]),
    ]


async def test_two_addresses_that_are_invited_do_not_tell_that_they_are_one_persons(story):
    group = await story.group()
    primary = await story.primary(group)
    person = await story.person("Two")
    other_group = await story.group()
    await story.add(await story.primary(other_group), other_group, "two@another.example")
    await story.redeem(person, await story.code())  # both are theirs

    first = await story.add(primary, group, person.email)
    second = await story.add(primary, group, "two@another.example")
    await story.remove(primary, group, first.json()["grant_id"])

    users = (await primary.api.get(f"/v1/groups/{group}/users")).json()["items"]
    assert (first.status_code, second.status_code) == (201, 201)
    assert [user["email"] for user in users if user["role"] == "secondary"] == ["two@another.example"]


async def test_an_address_that_is_somebody_elses_by_now_takes_nothing_with_it(story):
    """Whoever was invited at an office keeps what they hold when a colleague has the address."""
    group = await story.group()
    primary = await story.primary(group)
    former = await story.person("Former")
    await story.add(primary, group, "office@oak.example")
    await story.redeem(former, await story.code())
    dropped = {"email": "office@oak.example", "password": "quillfern-9-thistle"}
    answer = await (await story.signed_on(former)).post("/v1/account/addresses/removal", json=dropped)
    assert answer.status_code == 200
    colleague = await story.person("Colleague", "office@oak.example")

    _, grant = await story.secondary(primary, group, [Right.BILLING_VIEW], person=colleague)
    await story.remove(primary, group, grant)

    assert await story.sees(colleague) == {}
    assert await story.sees(former) == {group: ["renewals.view"]}


async def test_what_was_offered_at_another_address_goes_when_its_holder_takes_an_offer(story):
    group = await story.group()
    primary = await story.primary(group)
    person = await story.person("Sec")
    for email in (person.email, "sec@another.example"):
        await story.add(primary, group, email)
        code = await story.code()
    other_group = await story.group()
    await story.add(await story.primary(other_group), other_group, "sec@another.example")
    await story.redeem(person, await story.code())  # the address is theirs since

    assert (await story.redeem(person, code)).status_code == 200

    users = (await primary.api.get(f"/v1/groups/{group}/users")).json()["items"]
    assert [user["email"] for user in users if user["role"] == "secondary"] == ["sec@another.example"]


async def test_whoever_was_only_invited_when_they_became_the_primary_has_one_grant(story):
    group = await story.group()
    former = await story.primary(group)
    next_primary = await story.person("Next")
    await story.add(former, group, next_primary.email)
    as_user = await story.code()
    await story.approve(group, await story.request(group, next_primary))

    await story.redeem(next_primary, await story.code())

    users = (await story.covey.api.get(f"/v1/groups/{group}/users")).json()["items"]
    assert [(user["role"], user["account_id"]) for user in users] == [("primary", str(next_primary.account_id))]
    assert (await story.redeem(next_primary, as_user)).json()["code"] == "code-not-good"


@pytest.mark.parametrize("by", ["primary", "staff"])
async def test_what_the_primary_was_offered_before_is_taken_back_alone(story, by):
    """An address that they prove later was invited: to take that back must not take the group from them."""
    group = await story.group()
    primary = await story.primary(group)
    secondary, _ = await story.secondary(primary, group)
    added = await story.add(primary, group, "prim@another.example")
    other_group = await story.group()
    await story.add(await story.primary(other_group), other_group, "prim@another.example")
    await story.redeem(primary, await story.code())

    api = primary.api if by == "primary" else story.covey.api
    removed = await api.delete(f"/v1/groups/{group}/users/{added.json()['grant_id']}", headers=command())

    assert (removed.status_code, removed.json()["kind"]) == (202, "changed")
    assert (await story.sees(primary))[group] == sorted(Right)
    assert (await story.sees(secondary))[group] == ["renewals.view"]


async def test_the_carriers_invitation_of_a_next_primary_binds_nobodys_hands(story):
    group = await story.group()
    primary = await story.primary(group)
    person, grant = await story.secondary(primary, group)
    await story.approve(group, await story.request(group, person))
    code = await story.code()

    removed = await story.remove(primary, group, grant)

    assert removed.status_code == 202
    assert await story.sees(person) == {}
    assert (await story.redeem(person, code)).status_code == 200, "what the carrier decided stands"
    assert (await story.sees(person))[group] == sorted(Right)


async def test_taking_back_an_invitation_as_the_next_primary_takes_nothing_else(story):
    group = await story.group()
    primary = await story.primary(group)
    person, _ = await story.secondary(primary, group, [Right.BILLING_VIEW])
    await story.approve(group, await story.request(group, person))
    users = (await story.covey.api.get(f"/v1/groups/{group}/users")).json()["items"]
    (invited,) = [user["grant_id"] for user in users if user["role"] == "primary" and user["status"] == "invited"]

    await story.covey.api.delete(f"/v1/groups/{group}/users/{invited}", headers=command())

    assert await story.sees(person) == {group: ["billing.view"]}


async def test_a_program_is_no_primary_administrator(story):
    group = await story.group()
    made = await story.covey.api.post("/v1/programs", json={"name": "Payroll"})
    program = story.covey.client(UUID(made.json()["account_id"]))
    await story.approve(group, await story.request(group, "nobody@people.example"))

    headers = command(Prefer="wait=0")
    answer = await program.post("/v1/access-codes/redemption", json={"code": await story.code()}, headers=headers)

    assert answer.json()["code"] == "code-not-good"


# --- what is told of a removal ---


async def test_a_removal_that_was_superseded_stays_so_when_the_person_is_removed_again(story, at_work):
    """Else the first one would say "removed" while the second is still on its way."""
    group = await story.group()
    primary = await story.primary(group)
    person, grant = await story.secondary(primary, group)
    first = (await story.remove(primary, group, grant, Prefer="wait=10")).json()
    assert first["status"] == "removed"
    _, grant = await story.secondary(primary, group, person=person)
    await story.remove(primary, group, grant)

    again = (await primary.api.get(f"/v1/access-changes/{first['id']}")).json()

    assert again["status"] == "superseded"


async def test_a_former_primary_is_told_nothing_more_of_a_removal(story):
    group = await story.group()
    former = await story.primary(group, "Former")
    _, grant = await story.secondary(former, group)
    change = await story.remove(former, group, grant)
    await story.primary(group, "New")

    assert (await former.api.get(change.headers["Location"])).status_code == 404
    assert (await story.covey.api.get(change.headers["Location"])).status_code == 200


async def test_the_primary_sees_who_has_access_through_the_firm(story):
    group = await story.group(broker="F-1")
    primary = await story.primary(group)
    one, other = await story.person("One"), await story.person("Other")
    for member in (one, other):
        await story.joins(member, await story.firm("F-1"))
    await primary.api.post(f"/v1/groups/{group}/exclusions/{one.account_id}", headers=command())

    people = (await primary.api.get(f"/v1/groups/{group}/firm-people")).json()

    assert {each["user_id"]: each["excluded"] for each in people} == {one.user_id: True, other.user_id: False}


async def test_removing_somebody_voids_a_request_that_would_make_them_the_primary(story):
    group = await story.group()
    primary = await story.primary(group)
    secondary, grant = await story.secondary(primary, group)
    reference = await story.request(group, secondary)

    await story.remove(primary, group, grant)

    assert (await story.covey.client(None).get(f"/v1/access-requests/{reference}")).json()["status"] == "voided"
    assert (await story.approve(group, reference)).json()["code"] == "illegal-move"
    by_staff = (await story.covey.api.get("/v1/audit")).json()["items"]
    by_primary = (await primary.api.get(f"/v1/groups/{group}/audit")).json()["items"]
    assert [each["details"].keys() for each in by_staff if each["act"] == "request.voided"] == [{"request"}]
    assert "request.voided" not in {each["act"] for each in by_primary}, (
        "what officers ask for is the carrier's to know"
    )


async def test_a_new_primary_takes_over_and_what_was_delegated_passes_on(story):
    group = await story.group()
    former = await story.primary(group, "Former")
    secondary, grant = await story.secondary(former, group, [Right.BILLING_PAY])

    new = await story.primary(group, "New")

    assert await story.sees(former) == {}
    assert (await story.sees(new))[group] == sorted(Right)
    assert await story.sees(secondary) == {group: ["billing.pay", "billing.view"]}
    assert (await new.api.get(f"/v1/groups/{group}/users/{grant}")).json()["given_by"] == str(new.account_id)
    assert (await story.remove(former, group, grant)).status_code == 403
    assert (await story.remove(new, group, grant)).status_code == 202


async def test_until_the_new_primary_redeems_the_code_the_former_one_stays(story):
    group = await story.group()
    former = await story.primary(group, "Former")
    await story.approve(group, await story.request(group, "next@people.example"))

    assert (await story.sees(former))[group] == sorted(Right)


async def test_a_secondary_who_becomes_the_primary_has_one_grant(story):
    group = await story.group()
    former = await story.primary(group)
    secondary, _ = await story.secondary(former, group)
    await story.approve(group, await story.request(group, secondary))

    assert (await story.redeem(secondary, await story.code())).status_code == 200

    users = (await story.covey.api.get(f"/v1/groups/{group}/users")).json()["items"]
    assert [(user["role"], user["account_id"]) for user in users] == [("primary", str(secondary.account_id))]


async def test_a_primary_is_removed_by_staff_alone_with_all_that_was_delegated(story):
    group = await story.group()
    primary = await story.primary(group)
    secondary, _ = await story.secondary(primary, group)
    users = (await primary.api.get(f"/v1/groups/{group}/users")).json()["items"]
    (own,) = [user["grant_id"] for user in users if user["role"] == "primary"]

    refused = await story.remove(primary, group, own)
    removed = await story.covey.api.delete(f"/v1/groups/{group}/users/{own}", headers=command())

    assert (refused.status_code, refused.json()["code"]) == (403, "primary-is-the-carriers")
    assert removed.status_code == 202
    assert await story.sees(primary) == await story.sees(secondary) == {}


# --- firms ---


async def test_the_book_appoints_firms_and_their_members_see_the_renewals(story):
    group = await story.group(broker="F-1")
    member = await story.person("Broker")
    await story.joins(member, await story.firm("F-1"))

    assert await story.sees(member) == {group: ["renewals.view"]}
    assert len(await story.covey.published(FirmRegistered)) == 1
    (appointed,) = await story.covey.published(AppointmentChanged)
    assert (appointed.event.group_id, str(appointed.event.acquired_on)) == (group, "2024-06-17")


async def test_a_former_firm_loses_sight_at_once_with_its_grants_and_its_peoples(story):
    group = await story.group(broker="F-1")
    primary = await story.primary(group)
    firm = await story.firm("F-1")
    member, own = await story.person("Broker"), [Right.BILLING_VIEW]
    await story.joins(member, firm)
    given = await primary.api.post(
        f"/v1/groups/{group}/firm-grants", json={"firm_id": str(firm), "rights": ["members.view"]}, headers=command()
    )
    assert given.status_code == 201
    await story.secondary(primary, group, own, person=member)
    assert (await story.sees(member))[group] == ["billing.view", "members.view", "renewals.view"]

    await story.changes_broker(group, "F-2")

    assert await story.sees(member) == {}
    assert (await story.sees(primary))[group] == sorted(Right)
    ended, begun = [each.event for each in await story.covey.published(AppointmentChanged)][1:]
    assert (ended.firm_id, ended.ends_on is None, begun.ends_on) == (firm, False, None)


async def test_only_the_broker_of_record_is_given_rights_as_a_firm(story):
    group, _ = await story.group(broker="F-1"), await story.group(broker="F-2")
    primary = await story.primary(group)

    other = await story.firm("F-2")
    answer = await primary.api.post(
        f"/v1/groups/{group}/firm-grants", json={"firm_id": str(other), "rights": ["members.view"]}, headers=command()
    )

    assert answer.json()["code"] == "not-broker-of-record"


async def test_one_person_of_the_firm_is_removed_and_let_in_again(story):
    group = await story.group(broker="F-1")
    primary = await story.primary(group)
    one, other = await story.person("One"), await story.person("Other")
    for member in (one, other):
        await story.joins(member, await story.firm("F-1"))
    exclusion = f"/v1/groups/{group}/exclusions/{one.account_id}"

    excluded = await primary.api.post(exclusion, headers=command())
    assert excluded.status_code == 202
    assert await story.sees(one) == {}
    assert await story.sees(other) == {group: ["renewals.view"]}

    await primary.api.delete(exclusion, headers=command())
    assert await story.sees(one) == {group: ["renewals.view"]}


async def test_exclusions_and_forms_of_a_group_are_shown_by_the_database_to_whoever_was_checked_for_it_alone(story):
    group, other = await story.group(broker="F-1"), await story.group()
    primary, person = await story.primary(group), await story.person()
    await story.joins(person, await story.firm("F-1"))
    await primary.api.post(f"/v1/groups/{group}/exclusions/{person.account_id}", headers=command())

    async def shown(checked_for: UUID | None) -> list[UUID]:
        async with story.covey.context.requests.session() as session:
            await see_group(session, checked_for)
            return [
                *await session.scalars(text("SELECT group_id FROM exclusion")),
                *await session.scalars(text("SELECT group_id FROM access_request")),
            ]

    assert await shown(group) == [group, group]
    assert await shown(other) == await shown(None) == []


async def test_what_is_another_groups_is_not_found_in_ones_own(story):
    own, elsewhere = await story.group(), await story.group(broker="F-1")
    primary, other_primary = await story.primary(own), await story.primary(elsewhere)
    person, grant = await story.secondary(other_primary, elsewhere, [Right.BILLING_VIEW])
    broker = await story.person("Bro")
    await story.joins(broker, await story.firm("F-1"))
    before = await story.sees(person), await story.sees(broker)

    body = {"rights": ["billing.view"], "billing_units": None}
    for method, path, theirs in (
        ("GET", "users/{}", grant),
        ("DELETE", "users/{}", grant),
        ("POST", "users/{}/code", grant),
        ("PUT", "users/{}/rights", grant),
        ("POST", "exclusions/{}", broker.account_id),
    ):
        said = []
        for asked_about in (theirs, uuid4()):
            answer = await primary.api.request(
                method,
                f"/v1/groups/{own}/{path.format(asked_about)}",
                json=body if method == "PUT" else None,
                headers=command(If_Match='"1"'),
            )
            said.append((answer.status_code, answer.json()["code"]))
        assert said == [(404, "user-not-found")] * 2, path
    assert (await story.sees(person), await story.sees(broker)) == before


async def test_removing_a_user_whose_firm_still_gives_sight_excludes_them_from_it(story):
    group = await story.group(broker="F-1")
    primary = await story.primary(group)
    person, grant = await story.secondary(primary, group, [Right.BILLING_VIEW])
    await story.joins(person, await story.firm("F-1"))

    await story.remove(primary, group, grant)

    assert await story.sees(person) == {}


async def test_leaving_a_firm_takes_its_sight_and_what_was_given_in_its_groups(story):
    group, elsewhere = await story.group(broker="F-1"), await story.group()
    primary, other_primary = await story.primary(group), await story.primary(elsewhere)
    person, _ = await story.secondary(primary, group, [Right.BILLING_VIEW])
    await story.secondary(other_primary, elsewhere, [Right.BILLING_VIEW], person=person)
    firm = await story.firm("F-1")
    await story.joins(person, firm)

    answer = await story.covey.api.delete(f"/v1/firms/{firm}/members/{person.account_id}", headers=command())

    assert answer.status_code == 204
    assert await story.sees(person) == {elsewhere: ["billing.view"]}


async def test_the_same_group_told_again_changes_nothing(story):
    group = await story.group(broker="F-1")
    before = len(await story.covey.published())

    await story.changes_broker(group, "F-1")

    assert len(await story.covey.published()) == before


# --- races ---


async def test_a_delegation_while_its_giver_goes_is_either_refused_or_goes_too(story, at_work):
    """Whichever decides first: afterwards nobody holds what a former primary gave."""
    for _ in range(5):
        group = await story.group()
        primary = await story.primary(group)
        (own,) = (await primary.api.get(f"/v1/groups/{group}/users")).json()["items"]

        delegation, removal = await asyncio.gather(
            story.add(primary, group, "sec@people.example"),
            story.covey.api.delete(f"/v1/groups/{group}/users/{own['grant_id']}", headers=command()),
        )

        assert removal.status_code == 202
        assert delegation.status_code in (201, 403)
        assert (await story.covey.api.get(f"/v1/groups/{group}/users")).json()["items"] == []
        async with story.covey.transaction() as session:
            out = text(
                "SELECT count(*) FROM access_code JOIN access_grant ON access_grant.id = grant_id"
                " WHERE group_id = :group AND access_code.status = 'issued'"
            )
            assert await session.scalar(out, {"group": group}) == 0


async def test_of_two_requests_approved_at_once_one_invitation_is_left(story):
    group = await story.group()
    references = [await story.request(group, f"p{number}@people.example") for number in range(4)]

    answers = await asyncio.gather(*(story.approve(group, reference) for reference in references))

    assert [answer.status_code for answer in answers] == [200] * 4
    users = (await story.covey.api.get(f"/v1/groups/{group}/users")).json()["items"]
    assert [user["status"] for user in users] == ["invited"]


@pytest.mark.parametrize("path", ["users", "users/{grant}"])
async def test_a_group_that_is_not_there_and_one_that_is_not_yours_answer_alike(story, path):
    group = await story.group()
    stranger = await story.person("Stranger")

    answers = [await stranger.api.get(f"/v1/groups/{each}/{path.format(grant=uuid4())}") for each in (group, uuid4())]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert answers[0].json()["code"] == answers[1].json()["code"]
