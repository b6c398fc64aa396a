"""What becomes of a transaction, from the event to the email."""

from datetime import timedelta
from html import unescape

import pytest
from covey_chassis.access.facts import Fact, FactKind
from covey_chassis.ids import new_id
from covey_contracts.membership import Contact
from covey_contracts.transactions import (
    ReviewApproved,
    ReviewClaimed,
    ReviewDeclined,
    ReviewReleased,
    ReviewReturned,
    TransactionKind,
    TransactionOpened,
    TransactionSubmitted,
    TransactionWithdrawn,
)
from covey_notifications.consumers import reactions
from covey_notifications.domain.notification import Kind
from covey_notifications.domain.transaction import News, news_about
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

OWNER = "olga@bakery.example"
SUBMITTER = "sam@bakery.example"
SIGNER = "ann@bakery.example"
REPRESENTATIVE = "rita@carrier.example"

# Drawn by hand: what happened, who did it, and who is told what.
GRID = """
  submitted  by-owner     submitter:submission-received
  submitted  by-another   submitter:submission-received
  returned   -            owner:action-required           representative:transaction-assigned
  approved   -            owner:transaction-approved      contract-signer:transaction-approved
  declined   -            owner:transaction-declined
  withdrawn  by-owner
  withdrawn  by-another   owner:transaction-withdrawn
"""
HAPPENED = {
    "submitted": TransactionSubmitted,
    "returned": ReviewReturned,
    "approved": ReviewApproved,
    "declined": ReviewDeclined,
    "withdrawn": TransactionWithdrawn,
}


@pytest.fixture
async def people(covey, story):
    """A group, and the accounts of who owns its transaction and of somebody else who has access."""
    group = story.group()
    owner = story.account(first_name="Olga", last_name="Owner", address=OWNER)
    other = story.account(address=SUBMITTER)
    for event in (group, owner, other):
        await covey.deliver(event)
    await story.may_see_renewals(group, owner.account_id, other.account_id)
    return group, owner.account_id, other.account_id


async def stored(covey, query):
    async with covey.transaction() as session:
        return (await session.execute(text(query))).all()


@pytest.mark.parametrize("line", GRID.strip().splitlines())
def test_who_is_told_what(story, line):
    happened, who, *told = line.split()
    owner, other = new_id(), new_id()
    accounts = {"owner": owner, "submitter": owner if who == "by-owner" else other}

    event = story.transaction(
        HAPPENED[happened], story.group(), owner, by={"by-owner": owner, "by-another": other}.get(who)
    )

    expected = [each.split(":") for each in told]
    assert news_about(event) == [News(Kind(kind), to, accounts.get(to)) for to, kind in expected]


def test_nobody_is_told_of_what_is_the_reviewers_own_affair():
    assert {each.topic.name for each in HAPPENED.values()} <= set(reactions.topics)
    for each in (TransactionOpened, ReviewClaimed, ReviewReleased):
        assert each.topic.name not in reactions.topics


async def test_what_was_submitted_is_said_in_numbers(covey, story, mail, people):
    group, owner, other = people
    event = story.transaction(TransactionSubmitted, group, owner, by=other)
    await covey.deliver(event)

    await covey.work("mailer-1")

    (sent,) = mail.inbox
    assert sent.recipient == SUBMITTER
    for part in sent.texts:
        for fact in (
            "Oak Street Bakery, Inc.",
            "G-100042",
            str(event.transaction_id),
            "July 1, 2027",
            "Full-time: 3",
            "Part-time: 1",
            "you submitted these changes",
        ):
            assert fact in part
        assert "GOLD-1" not in part
        assert "Round" not in part
    plain = " ".join(sent.texts[0].split())
    assert "Plan year: 2027 Begins on: July 1, 2027 Employee classes: 2" in plain
    assert "Enrollments: 4 Terminations: 1" in plain


async def test_from_the_second_round_on_it_is_said_which_it_is(covey, story, mail, people):
    group, owner, _ = people
    await covey.deliver(story.transaction(TransactionSubmitted, group, owner, round=2))

    await covey.work("mailer-1")

    plain, html = mail.inbox[0].texts
    assert "Round:            2\n" in plain
    assert "<bdi>2</bdi>" in html.split("Round")[1].split("</tr>")[0]


async def test_whoever_has_to_act_reads_what_to_do_and_who_helps_and_the_helper_what_was_asked(
    covey, story, mail, people
):
    group, owner, _ = people
    await covey.deliver(story.transaction(ReviewReturned, group, owner))

    await covey.work("mailer-1")

    sent = {each.recipient: each for each in mail.inbox}
    assert set(sent) == {OWNER, REPRESENTATIVE}
    for each in sent.values():
        for part in each.texts:
            assert "Please correct the contribution." in part
            assert "Then submit again." in part
            assert "The signed form" in part
            assert "G-100042" in part
    for part in sent[OWNER].texts:
        assert "Olga Owner" in part
        for contact in ("Rita Representative", "(555) 010-0199", REPRESENTATIVE):
            assert contact in part
    for part in sent[REPRESENTATIVE].texts:
        assert "Rita Representative" in part
        assert "you are the representative for this transaction" in part
        assert "Olga" not in part


async def test_without_required_items_nothing_is_said_to_be_needed(covey, story, mail, people):
    group, owner, _ = people
    await covey.deliver(story.transaction(ReviewReturned, group, owner, required_items=()))

    await covey.work("mailer-1")

    for each in mail.inbox:
        for part in each.texts:
            assert "What is needed" not in part


async def test_the_owner_and_the_contract_signer_each_read_why_they_are_told_of_the_approval(
    covey, story, mail, people
):
    group, owner, _ = people
    await covey.deliver(story.transaction(ReviewApproved, group, owner))

    await covey.work("mailer-1")

    sent = {each.recipient: each for each in mail.inbox}
    assert set(sent) == {OWNER, SIGNER}
    assert "because you opened this transaction" in sent[OWNER].texts[0]
    assert "because you are the group's contract signer" in sent[SIGNER].texts[0]


async def test_whose_transaction_was_declined_reads_the_reason(covey, story, mail, people):
    group, owner, _ = people
    await covey.deliver(story.transaction(ReviewDeclined, group, owner, reason="The group has moved away."))

    await covey.work("mailer-1")

    assert [each.recipient for each in mail.inbox] == [OWNER]
    for part in mail.inbox[0].texts:
        assert "The group has moved away." in part


async def test_who_took_their_own_transaction_back_is_not_told(covey, story, mail, people):
    group, owner, other = people
    await covey.deliver(story.transaction(TransactionWithdrawn, group, owner))
    assert await story.notifications() == []

    await covey.deliver(story.transaction(TransactionWithdrawn, group, owner, by=other))
    await covey.work("mailer-1")

    assert [each.recipient for each in mail.inbox] == [OWNER]


async def test_each_round_is_told_of_anew(covey, story, mail, people):
    group, owner, _ = people
    first = story.transaction(TransactionSubmitted, group, owner)
    again = first.model_copy(update={"round": 2})

    await covey.deliver(first, sequence=2)
    await covey.deliver(again, sequence=5)
    await covey.work("mailer-1")

    assert [each.recipient for each in mail.inbox] == [OWNER, OWNER]
    assert {each["transaction_id"] for each in await story.notifications()} == {str(first.transaction_id)}


# --- what is written by people ---


async def test_words_that_people_wrote_stay_words(covey, story, mail, people):
    group, owner, _ = people
    evil = (
        "<script>alert(1)</script> <a href='https://evil.example'>here</a> {{ 7 * 7 }} https://evil.example\r\n"
        "\r\n\r\n\r\n"
        "يرجى تصحيح المساهمة\u202e ثم الإرسال\n"
        "Bcc: all@mail.example\x0b=?utf-8?q?x=0D=0ABcc:_all@mail.example?=\x1b[31m\n"
    )
    await covey.deliver(
        story.transaction(ReviewReturned, group, owner, instructions=evil, required_items=(evil,), representative=evil)
    )
    await covey.deliver(story.transaction(ReviewDeclined, group, owner, reason=evil))

    await covey.work("mailer-1")

    assert [each.recipient for each in mail.inbox] == [OWNER, REPRESENTATIVE, OWNER]
    for sent in mail.inbox:
        assert not sent.message.defects
        assert sent.message["Bcc"] is None
        assert "evil" not in sent.message["Subject"]
        plain, html = sent.texts
        assert "\nBcc" not in plain
        assert "{{ 7 * 7 }} https://evil.example" in " ".join(plain.split())
        assert "\n\n    يرجى تصحيح المساهمة ثم الإرسال\n    Bcc: all@mail.example\n" in plain
        for tag in ("<script", "<a ", "href='"):
            assert tag not in html
        assert '<div dir="auto" style="text-align: start;">يرجى تصحيح المساهمة ثم الإرسال</div>' in html
        for part in (plain, html):
            assert "\u202e" not in part
            assert "\x1b" not in part
            assert "\n\n\n" not in plain


async def test_the_longest_instructions_arrive_whole(covey, story, mail, people):
    group, owner, _ = people
    words = "correct the contribution " * 150
    long = f"{words}\n{'x' * (4999 - len(words))}"
    assert len(long) == 5000
    await covey.deliver(story.transaction(ReviewReturned, group, owner, instructions=long))

    await covey.work("mailer-1")

    sent = next(each for each in mail.inbox if each.recipient == OWNER)
    assert max(map(len, sent.raw.split(b"\r\n"))) <= 998
    plain, html = sent.texts
    assert " ".join(long.split()) in " ".join(plain.split())
    assert " ".join(words.split()) in html
    assert "x" * (4999 - len(words)) in unescape(html)


# --- who may not know it any more ---


@pytest.mark.parametrize(
    ("kind", "others"),
    [
        (TransactionSubmitted, []),
        (ReviewReturned, [REPRESENTATIVE]),
        (ReviewDeclined, []),
        (ReviewApproved, [SIGNER]),
        (TransactionWithdrawn, []),
    ],
)
async def test_who_was_removed_from_the_group_reads_no_more_of_its_transactions_by_mail(
    covey, story, mail, people, kind, others
):
    group, owner, other = people
    by = owner if kind is TransactionSubmitted else other
    await covey.deliver(story.transaction(kind, group, owner, by=by))
    await story.may_see_renewals(group, owner, active=False)

    await covey.work("mailer-1")

    assert [each.recipient for each in mail.inbox] == others
    (failed,) = await story.notifications(status="failed")
    assert (failed["recipient"] in ("owner", "submitter"), failed["reason"]) == (True, "no-access")


async def test_while_access_cannot_be_verified_a_message_waits(covey, story, mail, people):
    group, owner, _ = people
    await covey.deliver(story.transaction(ReviewReturned, group, owner))
    await stored(covey, "UPDATE access_applier SET authority = false RETURNING 1")
    await covey.work("mailer-1")
    assert [each.recipient for each in mail.inbox] == [REPRESENTATIVE]

    await stored(covey, "UPDATE access_applier SET authority = true RETURNING 1")
    await story.pauses_pass()
    await covey.work("mailer-1")

    assert [each.recipient for each in mail.inbox] == [REPRESENTATIVE, OWNER]


async def test_whose_account_is_locked_gets_no_message_about_a_transaction(covey, story, mail, people):
    group, owner, _ = people
    await covey.know(Fact(kind=FactKind.ACCOUNT, id=owner, account_id=owner, active=False))
    await covey.deliver(story.transaction(ReviewDeclined, group, owner))

    await covey.work("mailer-1")

    assert mail.inbox == []
    assert [each["reason"] for each in await story.notifications(status="failed")] == ["account-locked"]


# --- letters ---


@pytest.mark.parametrize("kind", [ReviewReturned, ReviewDeclined])
async def test_a_letter_is_kept_sealed_in_each_message_until_that_is_delivered(covey, story, mail, people, kind):
    group, owner, _ = people
    event = story.transaction(kind, group, owner)
    await covey.deliver(event)
    messages = 2 if kind is ReviewReturned else 1
    assert await stored(covey, "SELECT sealed_letter FROM notification") == [(event.sealed,)] * messages
    mail.refuse[REPRESENTATIVE] = "550 5.1.1 unknown"

    await covey.work("mailer-1")

    assert await stored(covey, "SELECT sealed_letter FROM notification WHERE status = 'delivered'") == [(None,)]
    failed = await stored(covey, "SELECT recipient, sealed_letter FROM notification WHERE status = 'failed'")
    assert failed == ([("representative", event.sealed)] if kind is ReviewReturned else [])


@pytest.mark.parametrize("kind", [TransactionSubmitted, ReviewApproved, TransactionWithdrawn])
async def test_a_message_without_words_of_people_holds_no_letter(covey, story, people, kind):
    group, owner, other = people
    await covey.deliver(story.transaction(kind, group, owner, by=other))

    with pytest.raises(IntegrityError, match="notification_has_a_letter"):
        await stored(covey, "UPDATE notification SET sealed_letter = 'a.b.c.d.e' RETURNING 1")


async def test_a_letter_that_cannot_be_opened_is_tried_again(covey, story, mail, people):
    group, owner, _ = people
    await covey.deliver(story.transaction(ReviewReturned, group, owner))
    await covey.deliver(story.transaction(ReviewDeclined, group, owner))
    await stored(covey, "UPDATE notification SET sealed_letter = 'a.b.c.d.e' RETURNING 1")

    await covey.work("mailer-1")

    assert mail.inbox == []
    assert [each["reason"] for each in await story.notifications(status="waiting")] == ["letter-unreadable"] * 3


async def test_a_representative_whose_address_is_none_is_seen_as_failed_and_the_owner_is_told(
    covey, story, mail, people
):
    group, owner, _ = people
    event = story.transaction(ReviewReturned, group, owner)
    keyring = covey.context.keyring
    letter = keyring.open(event.sealed, ReviewReturned.sealed_body)
    nowhere = letter.model_copy(update={"representative": letter.representative.model_copy(update={"email": "none"})})
    await covey.deliver(event.model_copy(update={"sealed": keyring.seal(nowhere)}))

    await covey.work("mailer-1")

    assert [each.recipient for each in mail.inbox] == [OWNER]
    (failed,) = await story.notifications(status="failed")
    assert (failed["recipient"], failed["reason"]) == ("representative", "unusable-address")


# --- what is not known here, yet or ever ---


async def test_what_comes_before_its_group_waits_for_it(covey, story, mail, bob):
    group, owner = story.group(signer=Contact(name="Ann Signer", email=SIGNER)), story.account(address=OWNER)
    await covey.deliver(owner)
    await story.may_see_renewals(group, owner.account_id)
    event = story.transaction(ReviewApproved, group, owner.account_id)
    await covey.deliver(event)
    (parked,) = await covey.parked()
    assert (parked.consumer, parked.key) == ("notifications.reactions", str(event.transaction_id))
    assert "GroupNotKnownYet" in parked.error

    await covey.deliver(group)
    await story.parked_records_are_tried_again()
    await covey.work("mailer-1")

    assert await covey.parked() == []
    assert {each.recipient for each in mail.inbox} == {OWNER, SIGNER}


async def test_a_message_to_an_account_that_is_not_known_yet_waits_and_holds_up_nobody_elses(covey, story, mail):
    group, owner = story.group(), story.account(address=OWNER)
    await covey.deliver(group)
    await story.may_see_renewals(group, owner.account_id)
    await covey.deliver(story.transaction(ReviewApproved, group, owner.account_id))

    await covey.work("mailer-1")

    assert await covey.parked() == []
    assert [each.recipient for each in mail.inbox] == [SIGNER]
    (waiting,) = await story.notifications(status="waiting")
    assert (waiting["recipient"], waiting["reason"]) == ("owner", "no-account")

    await covey.deliver(owner)
    await story.pauses_pass()
    await covey.work("mailer-1")

    assert [each.recipient for each in mail.inbox] == [SIGNER, OWNER]


async def test_a_programs_transaction_is_told_to_everybody_else_and_its_own_message_fails(covey, story, mail):
    group, program = story.group(), new_id()
    await covey.deliver(group)
    await story.may_see_renewals(group, program)
    await covey.deliver(story.transaction(ReviewReturned, group, program))
    await covey.work("mailer-1")
    assert [each.recipient for each in mail.inbox] == [REPRESENTATIVE]

    await stored(
        covey,
        f"UPDATE notification SET created_at = created_at - interval '{timedelta(hours=1).seconds} s' RETURNING 1",
    )
    await story.pauses_pass()
    await covey.work("mailer-1")

    assert [each.recipient for each in mail.inbox] == [REPRESENTATIVE]
    (failed,) = await story.notifications(status="failed")
    assert (failed["recipient"], failed["reason"], failed["attempts"]) == ("owner", "no-account", 2)


async def test_a_kind_of_transaction_that_there_are_no_texts_for_is_counted_and_passed_over(covey, story, mail, people):
    def counted(metrics):
        name = "covey_notifications_passed_over_total "
        return next(float(line.removeprefix(name)) for line in metrics.splitlines() if line.startswith(name))

    group, owner, _ = people
    before = counted((await covey.api.get("/metrics")).text)
    quote = story.transaction(TransactionSubmitted, group, owner)
    await covey.deliver(
        quote.model_copy(update={"kind": TransactionKind.QUOTE, "group_id": None, "renewal_changes": None})
    )

    await covey.work("mailer-1")

    assert mail.inbox == []
    assert await covey.parked() == []
    assert counted((await covey.api.get("/metrics")).text) == before + 1
