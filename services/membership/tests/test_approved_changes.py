"""What a group offers once the carrier has approved its renewal changes."""

import asyncio
from datetime import date
from uuid import UUID

import pytest
from covey_chassis.ids import new_id
from covey_chassis.outbox import emit
from covey_chassis.parking import retry_one
from covey_chassis.testing.broker import eventually
from covey_contracts.membership import GroupChanged, GroupContacts
from covey_contracts.transactions import (
    ClassPlans,
    Contribution,
    ContributionBasis,
    RenewalChanges,
    ReviewApproved,
    TransactionKind,
    TransactionStatus,
)
from covey_membership.domain.group import Group
from covey_membership.domain.profile import NewGroup
from pydantic import TypeAdapter
from sqlalchemy import text


def approval(group_id, *plans_of_classes, plan_year=2027, transaction_id=None, about_renewal=True):
    """The carrier approved these plan IDs for each of the group's classes."""
    contribution = Contribution(basis=ContributionBasis.PERCENT, employee="75", dependents="0")
    changes = RenewalChanges(
        renewal_id=new_id(),
        plan_year=plan_year,
        effective_date=date(2027, 2, 1),
        classes=tuple(
            ClassPlans(employee_class=f"Class {number}", plan_ids=tuple(plan_ids), contribution=contribution)
            for number, plan_ids in enumerate(plans_of_classes)
        ),
        enrollments=0,
        terminations=0,
    )
    return ReviewApproved(
        transaction_id=transaction_id or new_id(),
        kind=TransactionKind.RENEWAL_CHANGES if about_renewal else TransactionKind.ENROLLMENT,
        status=TransactionStatus.COMPLETED,
        group_id=group_id,
        owner_id=new_id(),
        round=1,
        renewal_changes=changes if about_renewal else None,
        reviewer_id=new_id(),
    )


@pytest.fixture
async def acme(register):
    """The ID of a group with plans for two years."""
    plans = [
        {"plan_year": 2026, "plan_id": "GOLD-80"},
        {"plan_year": 2027, "plan_id": "GOLD-80"},
        {"plan_year": 2027, "plan_id": "BRONZE-60"},
    ]
    return UUID((await register(plans=plans)).json()["group_id"])


@pytest.fixture
def put_plans(covey):
    """``await put_plans(group_id, (2027, "GOLD-80"))``: the carrier says which plans the group has."""

    async def put(group_id, *plans):
        read = await covey.api.get(f"/v1/groups/{group_id}")
        names = ("legal_name", "market_region", "effective_date", "renewal_date", "broker")
        said = {name: read.json()[name] for name in names} | {
            "plans": [{"plan_year": year, "plan_id": plan_id} for year, plan_id in plans]
        }
        headers = {"If-Match": read.headers["ETag"], "Idempotency-Key": str(new_id())}
        answer = await covey.api.put(f"/v1/groups/{group_id}/carrier-data", json=said, headers=headers)
        assert answer.status_code == 200, answer.text

    return put


async def plans_of(covey, group_id):
    read = await covey.api.get(f"/v1/groups/{group_id}")
    return [(plan["plan_year"], plan["plan_id"]) for plan in read.json()["plans"]]


async def test_the_plan_years_plans_become_those_of_all_classes_and_the_world_is_told(covey, acme):
    event_id = await covey.deliver(approval(acme, ["GOLD-80", "SILVER-70"], ["SILVER-70", "PLATINUM-90"]))

    expected = [(2026, "GOLD-80"), (2027, "GOLD-80"), (2027, "PLATINUM-90"), (2027, "SILVER-70")]
    (changed,) = await covey.published(GroupChanged)
    assert await plans_of(covey, acme) == expected
    assert [(plan.plan_year, plan.plan_id) for plan in changed.event.plans] == expected
    assert (changed.key, changed.sequence, changed.causation_id) == (str(acme), 2, event_id)
    assert covey.context.keyring.open(changed.event.sealed, GroupContacts).contract_signer.name == "Marisol Abenayo"
    assert (await covey.api.get(f"/v1/groups/{acme}")).headers["ETag"] == '"2"'


async def test_nothing_else_about_the_group_changes(covey, acme):
    before = (await covey.api.get(f"/v1/groups/{acme}")).json()

    await covey.deliver(approval(acme, ["SILVER-70"]))

    after = (await covey.api.get(f"/v1/groups/{acme}")).json()
    assert {name for name in before if before[name] != after[name]} == {"plans"}


async def test_plans_that_the_group_has_already_change_nothing_and_say_nothing(covey, acme):
    await covey.deliver(approval(acme, ["GOLD-80"], ["BRONZE-60"]))

    assert await covey.published(GroupChanged) == []
    assert (await covey.api.get(f"/v1/groups/{acme}")).headers["ETag"] == '"1"'


async def test_an_approval_that_comes_twice_or_again_in_another_event_is_taken_once(covey, acme):
    approved = approval(acme, ["SILVER-70"])

    await covey.deliver_twice(approved, sequence=4)
    await covey.deliver(approved, sequence=4)
    await covey.deliver(approved, sequence=1004)

    assert len(await covey.published(GroupChanged)) == 1


@pytest.mark.parametrize("plan_ids", [["SILVER-70"], ["GOLD-80", "BRONZE-60"]], ids=["a change", "no change"])
async def test_what_the_carrier_changed_afterwards_is_not_undone_when_the_approval_is_read_again(
    covey, acme, put_plans, plan_ids
):
    approved = approval(acme, plan_ids)
    await covey.deliver(approved)
    await put_plans(acme, (2027, "PLATINUM-90"))
    async with covey.transaction() as session:
        await session.execute(text("DELETE FROM inbox"))  # as after thirty days

    await covey.deliver(approved)

    assert await plans_of(covey, acme) == [(2027, "PLATINUM-90")]
    assert await covey.parked() == []


async def test_each_approved_transaction_is_taken(covey, acme):
    await covey.deliver(approval(acme, ["SILVER-70"]))
    await covey.deliver(approval(acme, ["GOLD-80"], plan_year=2028))

    assert await plans_of(covey, acme) == [(2026, "GOLD-80"), (2027, "SILVER-70"), (2028, "GOLD-80")]
    assert [each.sequence for each in await covey.published(GroupChanged)] == [2, 3]


async def test_what_changes_no_renewal_is_passed_over(covey, acme):
    await covey.deliver(approval(acme, ["SILVER-70"], about_renewal=False))
    await covey.deliver(approval(new_id(), ["SILVER-70"], about_renewal=False))

    assert await covey.published(GroupChanged) == []
    assert await covey.parked() == []


async def test_the_approval_of_a_group_that_is_not_registered_waits_until_it_is(covey, body):
    """Only a database that was restored to an earlier state has that; its groups come back with their IDs."""
    new = TypeAdapter(NewGroup).validate_python(body(plans=[]))
    group, _ = Group.register(new.group_number, new.profile, seal=covey.context.keyring.seal)
    await covey.deliver(approval(group.group_id, ["SILVER-70"]))
    (parked,) = await covey.parked()

    async with covey.transaction() as session:
        session.add(group)
    await retry(covey)

    assert (parked.consumer, "GroupNotKnownYet" in parked.error) == ("membership.approvals", True)
    assert await plans_of(covey, group.group_id) == [(2027, "SILVER-70")]
    assert await covey.parked() == []


@pytest.mark.parametrize(
    ("plan_ids", "plan_year", "said"),
    [
        ([f"PLAN-{number}" for number in range(200)], 2027, "must name at most 200 plans"),
        ([""], 2027, "must not be blank"),
        (["GOLD\x0080"], 2027, "must not have control characters"),
        (["G" * 51], 2027, "must have 50 characters at most"),
        (["GOLD-80"], 1899, "must be a year between 1900 and 2199"),
    ],
)
async def test_plans_that_no_group_can_have_wait_for_an_operator_and_change_nothing(
    covey, acme, plan_ids, plan_year, said
):
    before = await plans_of(covey, acme)

    await covey.deliver(approval(acme, plan_ids, plan_year=plan_year))

    (parked,) = await covey.parked()
    assert parked.error == f"PlansNotAcceptable: No group can have such plans. /plans: {said}"
    assert await plans_of(covey, acme) == before
    assert await covey.published(GroupChanged) == []


async def test_two_hundred_plans_in_all_years_are_as_many_as_a_group_can_have(covey, acme):
    await covey.deliver(approval(acme, [f"PLAN-{number}" for number in range(199)]))

    assert len(await plans_of(covey, acme)) == 200
    assert await covey.parked() == []


async def test_what_was_refused_is_taken_once_it_can_be(covey, acme, put_plans):
    await covey.deliver(approval(acme, [f"PLAN-{number}" for number in range(200)]))

    await put_plans(acme)
    await retry(covey)

    assert len(await plans_of(covey, acme)) == 200
    assert await covey.parked() == []


async def test_an_approval_that_comes_while_the_group_is_changed_has_the_last_word(covey, acme):
    async with covey.transaction() as editing:
        group = await editing.get(Group, acme, with_for_update=True)
        changed = group.change(group.profile.offering(2027, ["PLATINUM-90"]), seal=covey.context.keyring.seal)
        emit(editing, group, changed)
        await editing.flush()
        taking = asyncio.create_task(covey.deliver(approval(acme, ["GOLD-80", "BRONZE-60"])))
        await eventually(covey.somebody_waits)
    await taking

    assert await plans_of(covey, acme) == [(2026, "GOLD-80"), (2027, "BRONZE-60"), (2027, "GOLD-80")]
    assert [each.sequence for each in await covey.published(GroupChanged)] == [2, 3]


async def retry(covey):
    """Try what is parked again, now, until nothing is due."""
    async with covey.transaction() as session:
        await session.execute(text("UPDATE parked_key SET next_at = now()"))
    while await retry_one(covey.context.workers, {each.name: each for each in covey.service.consumers}):
        pass
