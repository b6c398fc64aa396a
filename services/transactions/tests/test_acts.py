"""What transactions tells the audit: commands, looks at who joins and leaves, and refusals, by people and by programs."""

from uuid import UUID

import pytest
from covey_chassis.access import Right, StaffRight
from covey_chassis.ids import new_id
from covey_chassis.testing import Harness
from covey_chassis.testing.signing import new_key
from covey_contracts.transactions import TransactionsActRecorded

from .reviewing import Program, Reviewing
from .story import Story


@pytest.fixture
def reviewing(covey: Harness) -> Reviewing:
    return Reviewing(covey)


async def acts(covey: Harness) -> list[TransactionsActRecorded]:
    found = [each.event for each in await covey.published(TransactionsActRecorded)]
    return [each for each in found if isinstance(each, TransactionsActRecorded)]


async def group_of(reviewing: Reviewing, transaction_id: UUID) -> UUID:
    ((group_id,),) = await reviewing.run("SELECT group_id FROM transaction WHERE id = :id", id=transaction_id)
    return UUID(str(group_id))


async def test_each_command_of_an_owner_is_an_act(story: Story) -> None:
    owner = await story.begin()
    made = await story.submitted(owner)

    told = await acts(story.covey)

    assert [each.act for each in told] == ["open_one", "save", "submit"]
    assert {each.group_id for each in told} == {owner.group_id}
    assert {str(each.about["transaction_id"]) for each in told} == {made.transaction_id}


async def test_a_reviewers_acts_name_the_group_that_their_routes_do_not(reviewing: Reviewing) -> None:
    transaction_id, reviewer = await reviewing.submitted(), await reviewing.reviewer()
    group_id = await group_of(reviewing, transaction_id)

    await reviewer.queue()
    await reviewer.claim(transaction_id)
    await reviewer.read(transaction_id)
    await reviewer.approve(transaction_id)

    told = await acts(reviewing.covey)
    assert [(each.act, each.authority) for each in told] == [
        ("claim", "staff"),
        ("read_review", "staff"),
        ("approve", "staff"),
    ]
    assert {(each.account_id, each.group_id) for each in told} == {(reviewer.account_id, group_id)}
    assert {each.about["transaction_id"] for each in told} == {transaction_id}


async def test_a_look_is_an_act_for_whoever_is_shown_the_persons_and_for_nobody_else(reviewing: Reviewing) -> None:
    transaction_id = await reviewing.submitted()
    group_id = await group_of(reviewing, transaction_id)
    path = f"/v1/groups/{group_id}/transactions/{transaction_id}"

    for rights in ([Right.RENEWALS_VIEW], [Right.RENEWALS_VIEW, Right.MEMBERS_VIEW]):
        answer = await (await reviewing.covey.person({group_id: rights})).get(path)
        assert answer.status_code == 200, answer.text

    assert [each.act for each in await acts(reviewing.covey)] == ["read_one"]


async def test_a_programs_decision_is_an_act_once(reviewing: Reviewing) -> None:
    transaction_id, program = await reviewing.submitted(), await reviewing.program()
    command_id = new_id()

    for _ in range(2):
        await reviewing.told(transaction_id, program.sign(transaction_id, jti=str(command_id)))

    (told,) = await acts(reviewing.covey)
    assert (told.act, told.outcome, told.authority) == ("decide", "done", "staff")
    assert (told.account_id, told.session_id) == (program.account_id, None)
    assert told.group_id == await group_of(reviewing, transaction_id)
    assert told.about == {"transaction_id": transaction_id, "command_id": command_id}


async def test_a_program_that_may_not_decide_is_told_of_too(reviewing: Reviewing) -> None:
    transaction_id, program = await reviewing.submitted(), await reviewing.program(StaffRight.OPERATIONS)

    await reviewing.told(transaction_id, program.sign(transaction_id))

    (told,) = await acts(reviewing.covey)
    assert (told.account_id, told.outcome, told.why) == (program.account_id, "refused", "not-yours")


async def test_nobody_is_accused_by_a_command_that_they_have_not_signed(reviewing: Reviewing) -> None:
    transaction_id, victim = await reviewing.submitted(), await reviewing.program()
    forged = Program(victim.account_id, new_key())

    answer = await reviewing.told(transaction_id, forged.sign(transaction_id))

    assert answer.refusal == "key-not-registered"
    assert await acts(reviewing.covey) == []


async def test_a_command_that_does_not_fit_is_no_act(reviewing: Reviewing) -> None:
    transaction_id, program = await reviewing.submitted(), await reviewing.program()

    await reviewing.told(transaction_id, program.sign(transaction_id, number=2))

    assert await acts(reviewing.covey) == []
