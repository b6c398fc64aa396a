from covey_contracts.membership import Contact, GroupChanged
from covey_notifications.consumers import groups, reactions
from sqlalchemy import text


async def test_a_renewal_is_announced_to_the_contract_signer_and_the_broker(covey, story, bob):
    group = story.group(broker=bob)
    await covey.deliver(group)

    event_id = await covey.deliver(story.renewal(group))

    signer, broker = sorted(await story.notifications(), key=lambda each: each["recipient"], reverse=True)
    assert (signer["recipient"], broker["recipient"]) == ("contract-signer", "broker")
    for each in (signer, broker):
        assert each["about_event_id"] == event_id
        assert each["status"] == "waiting"
        assert each["legal_name"] == "Oak Street Bakery, Inc."
        assert each["effective_date"] == "2027-07-01"
    assert signer["message_id"] != broker["message_id"]


async def test_a_group_without_a_broker_has_one_message(covey, story):
    group = story.group()
    await covey.deliver(group)

    await covey.deliver(story.renewal(group))

    assert [each["recipient"] for each in await story.notifications()] == ["contract-signer"]


async def test_an_event_that_comes_twice_is_announced_once(covey, story, bob):
    group = story.group(broker=bob)
    await covey.deliver_twice(group)

    await covey.deliver_twice(story.renewal(group))

    assert len(await story.notifications()) == 2


async def test_an_event_that_comes_again_after_the_inbox_has_forgotten_it_is_announced_once(covey, story, bob):
    group = story.group(broker=bob)
    await covey.deliver(group)
    event_id = await covey.deliver(story.renewal(group))
    async with covey.transaction() as session:
        await session.execute(text("DELETE FROM inbox"))

    await covey.deliver(story.renewal(group), event_id=event_id)

    assert len(await story.notifications()) == 2
    assert await covey.parked() == []


async def test_of_shuffled_changes_the_newest_is_kept(covey, story):
    first = story.group(legal_name="Name 1")
    changes = [
        (story.group(group_id=first.group_id, legal_name=f"Name {n}", kind=GroupChanged), n) for n in range(2, 9)
    ]

    await covey.deliver_shuffled([(first, 1), *changes], seed=3)
    await covey.deliver(story.renewal(first))

    assert [each["legal_name"] for each in await story.notifications()] == ["Name 8"]


async def test_what_a_message_says_is_what_was_true_at_the_event(covey, story):
    group = story.group(legal_name="Old Name")
    await covey.deliver(group)
    await covey.deliver(story.renewal(group))

    await covey.deliver(story.group(group_id=group.group_id, legal_name="New Name", kind=GroupChanged), sequence=2)

    assert [each["legal_name"] for each in await story.notifications()] == ["Old Name"]


async def test_a_renewal_that_comes_before_its_group_waits_for_it_and_is_sent(covey, story, mail):
    group = story.group()
    await covey.deliver(story.renewal(group))
    (parked,) = await covey.parked()
    assert parked.consumer == "notifications.reactions"
    assert "GroupNotKnownYet" in parked.error
    assert await story.notifications() == []

    await covey.deliver(group)
    await story.parked_records_are_tried_again()
    await covey.work("mailer-1")

    assert await covey.parked() == []
    assert len(mail.inbox) == 1


async def test_copies_begin_with_the_first_event_and_reactions_with_the_next():
    assert groups.since == "beginning"
    assert reactions.since == "now"


async def test_whoever_holds_the_role_when_it_is_sent_gets_the_message(covey, story, mail):
    group = story.group()
    await covey.deliver(group)
    await covey.deliver(story.renewal(group))
    newcomer = Contact(name="New Signer", email="new@bakery.example")
    await covey.deliver(story.group(group_id=group.group_id, signer=newcomer, kind=GroupChanged), sequence=2)

    await covey.work("mailer-1")

    assert [each.recipient for each in mail.inbox] == ["new@bakery.example"]
