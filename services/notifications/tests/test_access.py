"""What concerns somebody's access and sign-on, from the event to the email."""

from datetime import UTC, datetime, timedelta

import pytest
from covey_chassis.consuming import Span, take
from covey_chassis.envelope import Envelope, to_headers
from covey_chassis.ids import new_id
from covey_chassis.testing import ArrivedRecord
from covey_contracts.identity import AccountChanged, GrantRole, GrantStatus, Letter
from covey_contracts.notifications import NotificationFailed
from covey_notifications.consumers import accounts, reactions
from covey_notifications.domain.notification import Kind
from sqlalchemy import text

CODE = "7F3K-9QWD-2MXR-V0TA"
TOKEN = "wq3Zr0-kT9_n4mVYb2xJtoken"
PRIMARY = "pat@bakery.example"
SECONDARY = "sam@bakery.example"


async def stored(covey, query):
    async with covey.transaction() as session:
        return (await session.execute(text(query))).all()


async def one_batch(covey, events):
    """All of them in one batch of the reactions, as Kafka hands them over, after what the topic has had."""
    topic = events[0][0].topic.name
    (start,) = await stored(covey, f"SELECT next_offset FROM position WHERE topic = '{topic}'")
    records = []
    for offset, (event, sequence) in enumerate(events, start=start.next_offset):
        envelope = Envelope(
            id=str(new_id()),
            source="/identity",
            type=topic,
            time=datetime.now(UTC),
            subject=event.key,
            sequence=sequence,
            correlation_id=str(new_id()),
            causation_id=None,
            traceparent=None,
        )
        value = event.model_dump_json().encode()
        records.append(ArrivedRecord(topic, 0, offset, event.key.encode(), value, to_headers(envelope)))
    span = Span(topic, 0, start.next_offset, start.next_offset + len(records))
    await take(reactions, covey.context.workers, records, [span])


# --- access codes ---


@pytest.mark.parametrize(
    ("role", "whom_to_ask"),
    [(GrantRole.SECONDARY, "ask the group's primary administrator"), (GrantRole.PRIMARY, "ask the carrier")],
)
async def test_an_access_code_comes_with_all_that_it_takes_to_use_it(covey, story, mail, role, whom_to_ask):
    other = story.group(legal_name="Another Group, LLC")
    group = story.group()
    for each in (other, group):
        await covey.deliver(each)
    await covey.deliver(story.code(other))
    event = story.code(group, role=role)
    await covey.deliver(event)

    await covey.work("mailer-1")

    (sent,) = [each for each in mail.inbox if "Oak Street" in each.message["Subject"]]
    until = event.expires_at.astimezone(covey.context.clock.zone)
    for part in sent.texts:
        words = " ".join(part.replace("&#39;", "'").split())
        assert CODE in words
        assert "Oak Street Bakery, Inc." in words
        assert "Sam Secondary" in words
        assert "register, or sign on" in words
        assert "Enter your access code" in words
        assert "works once" in words
        assert "168 hours" in words
        assert f"{until:%B} {until.day}, {until.year}, {until.hour % 12 or 12}:{until:%M %p %Z}" in words
        assert whom_to_ask in words
        assert "Another Group" not in words
    assert CODE not in sent.message["Subject"]


async def test_a_code_for_a_group_that_is_not_known_yet_waits_for_it_sealed(covey, story, mail):
    group = story.group()
    await covey.deliver(story.code(group))
    (parked,) = await covey.parked()
    assert "GroupNotKnownYet" in parked.error

    await covey.deliver(group)
    await story.parked_records_are_tried_again()
    await covey.work("mailer-1")

    assert await covey.parked() == []
    assert CODE in mail.inbox[0].texts[0]


@pytest.mark.parametrize("kind", [Kind.ACCESS_CODE, Kind.VERIFY_ADDRESS])
async def test_what_is_of_no_use_any_more_is_not_sent_and_not_kept(covey, story, mail, kind):
    group = story.group()
    await covey.deliver(group)
    over = timedelta(seconds=-1)
    await covey.deliver(
        story.code(group, good_for=over) if kind is Kind.ACCESS_CODE else story.requested(kind, good_for=over)
    )

    await covey.work("mailer-1")

    assert mail.inbox == []
    (failed,) = await story.notifications(status="failed")
    assert (failed["kind"], failed["reason"], failed["attempts"]) == (kind, "expired", 1)
    (published,) = await covey.published(NotificationFailed)
    assert published.event.reason == "expired"
    assert await stored(covey, "SELECT sealed_letter FROM notification") == [(None,)]

    await covey.api.post(f"/v1/notifications/{failed['id']}/resend", headers={"Idempotency-Key": "1"})
    await covey.work("mailer-1")
    assert mail.inbox == []
    assert [each["reason"] for each in await story.notifications(status="failed")] == ["expired"]


async def test_a_code_that_expires_while_the_mail_server_is_away_is_not_sent(covey, story, mail):
    await story.happens(Kind.ACCESS_CODE)
    await mail.stop()
    await covey.work("mailer-1")
    (waiting,) = await story.notifications(status="waiting")
    assert waiting["reason"] == "connection-refused"
    assert await stored(covey, "SELECT sealed_letter IS NOT NULL FROM notification") == [(True,)]

    await stored(covey, "UPDATE notification SET expires_at = now() RETURNING 1")
    await mail.start()
    await story.pauses_pass()
    await covey.work("mailer-1")

    assert mail.inbox == []
    assert [each["reason"] for each in await story.notifications()] == ["expired"]


async def test_a_letter_is_kept_sealed_until_it_is_delivered_and_then_gone(covey, story, mail):
    event, sequence = await story.everything_before(Kind.ACCESS_CODE)
    await covey.deliver(event, sequence=sequence)
    assert await stored(covey, "SELECT sealed_letter FROM notification") == [(event.sealed,)]

    await covey.work("mailer-1")

    assert await stored(covey, "SELECT sealed_letter FROM notification") == [(None,)]


@pytest.mark.parametrize("kind", [Kind.ACCESS_CODE, Kind.USER_ADDED, Kind.ACCESS_REMOVED])
async def test_what_cannot_be_opened_is_tried_again(covey, story, mail, kind):
    event_id = await story.happens(kind)
    await stored(covey, "UPDATE notification SET sealed_letter = 'a.b.c.d.e' WHERE sealed_letter <> '' RETURNING 1")
    await stored(covey, "UPDATE account_copy SET sealed_person = 'a.b.c.d.e' RETURNING 1")

    await covey.work("mailer-1")

    (waiting,) = [each for each in await story.notifications() if each["about_event_id"] == event_id]
    assert waiting["status"] == "waiting"
    assert waiting["reason"] == ("letter-unreadable" if kind is Kind.ACCESS_CODE else "account-unreadable")


# --- mail that identity asks for ---


async def test_what_proves_the_address_is_there_to_be_pasted(covey, story, mail):
    await covey.deliver(story.requested("verify-address", good_for=timedelta(hours=24)))

    await covey.work("mailer-1")

    for part in mail.inbox[0].texts:
        assert TOKEN in part
        assert "It works once, until " in part
    (notification,) = await story.notifications()
    assert (notification["group_id"], notification["legal_name"]) == (None, None)


async def test_whoever_has_an_account_already_is_told_their_user_id_and_no_token(covey, story, mail):
    await covey.deliver(story.requested("already-registered"))

    await covey.work("mailer-1")

    for part in mail.inbox[0].texts:
        assert "s00002" in part
        assert TOKEN not in part
        assert "None" not in part


@pytest.mark.parametrize(
    ("purpose", "token", "user_id"),
    [
        (Kind.RESET_PASSWORD, True, True),
        (Kind.VERIFY_NEW_ADDRESS, True, True),
        (Kind.FORGOTTEN_USER_ID, False, True),
        (Kind.PASSWORD_CHANGED, False, True),
        (Kind.ADDRESS_CHANGED, False, True),
        (Kind.SECOND_FACTOR_ON, False, True),
        (Kind.SECOND_FACTOR_OFF, False, True),
        (Kind.RECOVERY_CODE_USED, False, True),
        (Kind.RECOVERY_CODES_RENEWED, False, True),
        (Kind.ADDRESS_ADDED, False, True),
        (Kind.PASSKEY_ADDED, False, True),
        (Kind.PASSKEY_REMOVED, False, True),
        (Kind.NO_ACCOUNT, False, False),
        (Kind.ADDRESS_REMOVED, False, False),
    ],
)
async def test_what_somebody_has_forgotten_or_changed_says_what_they_need(covey, story, mail, purpose, token, user_id):
    await covey.deliver(story.requested(purpose, good_for=timedelta(minutes=60) if token else None))

    await covey.work("mailer-1")

    for part in mail.inbox[0].texts:
        assert ("s00002" in part, TOKEN in part, "It works once, until " in part) == (user_id, token, token)


async def test_somebody_without_a_name_is_greeted_without_one(covey, story, mail):
    letter = Letter(first_name="", last_name="", address=SECONDARY, language="en")
    sealed = covey.context.keyring.seal(letter)
    await covey.deliver(story.requested(Kind.NO_ACCOUNT).model_copy(update={"sealed": sealed}))

    await covey.work("mailer-1")

    (sent,) = mail.inbox
    assert sent.message["To"] == SECONDARY
    for part in sent.texts:
        assert "Hello," in part


async def test_mail_for_a_purpose_that_is_not_known_here_is_counted_and_passed_over(covey, story, mail):
    def counted(metrics):
        name = "covey_notifications_passed_over_total "
        return next(float(line.removeprefix(name)) for line in metrics.splitlines() if line.startswith(name))

    before = counted((await covey.api.get("/metrics")).text)
    await covey.deliver(story.requested("wish-a-happy-birthday"))
    await covey.deliver(story.requested("verify-address"))

    await covey.work("mailer-1")

    assert len(mail.inbox) == 1
    assert await covey.parked() == []
    assert counted((await covey.api.get("/metrics")).text) == before + 1


# --- changes of access ---


async def test_whoever_added_a_user_reads_who_it_is_and_what_they_may_do(covey, story, mail):
    await story.happens(Kind.USER_ADDED)

    await covey.work("mailer-1")

    for part in mail.inbox[0].texts:
        assert "Sam Secondary" in part
        assert "s00002" in part
        assert "Members: view; Billing: view" in part
        assert "All, later ones too" in part


async def test_whose_rights_have_changed_reads_what_they_are_now(covey, story, mail):
    await story.happens(Kind.RIGHTS_CHANGED)

    await covey.work("mailer-1")

    for part in mail.inbox[-1].texts:
        assert "Members: view, update" in part
        assert "Billing: view" not in part
        assert "001" in part


async def test_a_life_of_access_makes_one_mail_for_each_change(covey, story, mail):
    removed, _ = await story.everything_before(Kind.ACCESS_REMOVED)
    active = removed.model_copy(update={"status": GrantStatus.ACTIVE})
    fewer = active.model_copy(update={"rights": ("members.view",)})
    passed_on = fewer.model_copy(update={"given_by": new_id()})

    for sequence, event in enumerate((fewer, passed_on, passed_on, removed, removed), start=3):
        await covey.deliver(event, sequence=sequence)

    assert [each["kind"] for each in reversed(await story.notifications())] == [
        "user-added",
        "rights-changed",
        "access-removed",
    ]


async def test_several_changes_in_one_batch_are_told_by_what_was_before_each(covey, story):
    removed, _ = await story.everything_before(Kind.ACCESS_REMOVED)
    first = removed.model_copy(update={"grant_id": new_id(), "status": GrantStatus.ACTIVE})
    fewer = first.model_copy(update={"rights": ("members.view",)})
    gone = fewer.model_copy(update={"status": GrantStatus.REMOVED})

    await one_batch(covey, [(first, 1), (fewer, 2), (gone, 4), (fewer, 3)])

    kinds = [each["kind"] for each in reversed(await story.notifications())]
    assert kinds == ["user-added", "user-added", "rights-changed", "access-removed"]
    assert await covey.parked() == []


async def test_states_that_are_published_again_with_a_higher_sequence_mail_nobody(covey, story, mail):
    event, sequence = await story.everything_before(Kind.RIGHTS_CHANGED)
    await covey.deliver(event, sequence=sequence)
    before = len(await story.notifications())

    await covey.deliver(event, sequence=sequence + 1000)

    assert len(await story.notifications()) == before


async def test_a_new_deployment_tells_nobody_what_it_has_not_seen_and_everybody_who_lost_access(covey, story, mail):
    group, holder = story.group(), story.account()
    for event in (group, holder):
        await covey.deliver(event)
    old, gone = (story.access(group, holder.account_id, given_by=holder.account_id) for _ in range(2))

    await covey.deliver(old, sequence=7)
    await covey.deliver(gone.model_copy(update={"status": GrantStatus.REMOVED}), sequence=7)
    assert [each["kind"] for each in await story.notifications()] == ["access-removed"]

    await covey.deliver(old.model_copy(update={"rights": ()}), sequence=8)
    assert [each["kind"] for each in await story.notifications()] == ["rights-changed", "access-removed"]


async def test_a_firms_grant_and_an_invitation_mail_nobody(covey, story):
    group = story.group()
    await covey.deliver(group)
    firm = story.access(group, None, firm_id=new_id(), given_by=new_id())
    invited = story.access(group, None, status=GrantStatus.INVITED, given_by=new_id())

    for sequence, status in enumerate((GrantStatus.ACTIVE, GrantStatus.REMOVED), start=1):
        await covey.deliver(firm.model_copy(update={"status": status}), sequence=sequence)
    await covey.deliver(invited)
    await covey.deliver(invited.model_copy(update={"status": GrantStatus.REMOVED}), sequence=2)

    assert await story.notifications() == []
    assert await covey.parked() == []


@pytest.mark.parametrize("missing", ["giver", "holder"])
async def test_a_message_about_an_account_that_is_not_known_yet_waits_for_it_and_its_order_is_kept(
    covey, story, mail, missing
):
    group, giver, holder = story.group(), story.account(address=PRIMARY), story.account()
    accounts_of = {"giver": giver, "holder": holder}
    late = accounts_of.pop(missing)
    for event in (group, *accounts_of.values()):
        await covey.deliver(event)
    active = story.access(group, holder.account_id, given_by=giver.account_id)
    await covey.deliver(active)
    await covey.deliver(active.model_copy(update={"status": GrantStatus.REMOVED}), sequence=2)
    (parked,) = await covey.parked()
    assert (parked.consumer, parked.key) == ("notifications.reactions", str(active.grant_id))
    assert "AccountNotKnownYet" in parked.error
    assert await story.notifications() == []

    await covey.deliver(late)
    await story.parked_records_are_tried_again()
    await story.parked_records_are_tried_again()
    await covey.work("mailer-1")

    assert await covey.parked() == []
    assert [each.recipient for each in mail.inbox] == [PRIMARY, SECONDARY]


async def test_who_has_moved_gets_the_message_at_the_new_address(covey, story, mail):
    group, holder = story.group(), story.account()
    for event in (group, holder):
        await covey.deliver(event)
    await covey.deliver(story.access(group, holder.account_id, status=GrantStatus.REMOVED), sequence=3)
    moved = story.account(
        account_id=holder.account_id, address="new@bakery.example", language="es", kind=AccountChanged
    )
    await covey.deliver(moved, sequence=2)
    await covey.deliver(holder, sequence=1)

    await covey.work("mailer-1")

    assert [each.recipient for each in mail.inbox] == ["new@bakery.example"]
    assert mail.inbox[0].message["Content-Language"] == "es"


async def test_absurd_names_stay_words(covey, story, mail):
    evil = "=?utf-8?q?x=0D=0ABcc:_all@mail.example?=\r\nBcc: all@mail.example <script>alert(1)</script>"
    group = story.group(legal_name=evil)
    giver = story.account(first_name=evil, last_name=evil, address=PRIMARY)
    holder = story.account(first_name=evil, last_name=evil, user_id=evil)
    for event in (group, giver, holder):
        await covey.deliver(event)
    active = story.access(group, holder.account_id, given_by=giver.account_id, billing_units=(evil,), rights=(evil,))
    await covey.deliver(active)
    await covey.deliver(active.model_copy(update={"rights": ("billing.pay",)}), sequence=2)
    await covey.deliver(active.model_copy(update={"status": GrantStatus.REMOVED}), sequence=3)
    await covey.deliver(story.code(group, first_name=evil))

    await covey.work("mailer-1")

    assert sorted(each.recipient for each in mail.inbox) == [PRIMARY, *[SECONDARY] * 3]
    for sent in mail.inbox:
        assert "Bcc" not in sent.message
        assert len(sent.message["To"].addresses) == 1
        assert not sent.message.defects
        plain, html = sent.texts
        assert "\nBcc" not in plain + html
        assert "<script>" not in html
        assert "&lt;script&gt;" in html


async def test_copies_of_accounts_begin_with_the_first_event_and_reactions_with_the_next():
    assert accounts.since == "beginning"
    assert "covey.access.changed.v1" in reactions.topics
    assert reactions.since == "now"
    assert not set(accounts.topics) & set(reactions.topics)


async def test_when_the_message_was_of_use_is_said_to_those_who_look_after_it(covey, story):
    event, sequence = await story.everything_before(Kind.ACCESS_CODE)
    await covey.deliver(event, sequence=sequence)

    (notification,) = await story.notifications()

    assert datetime.fromisoformat(notification["expires_at"]) == event.expires_at
    assert datetime.fromisoformat(notification["expires_at"]).tzinfo is not None
    assert datetime.fromisoformat(notification["created_at"]) <= datetime.now(UTC)
