import asyncio
import ssl
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from covey_chassis.failpoints import Failpoint
from covey_chassis.testing import armed
from covey_contracts.membership import Contact, GroupChanged
from covey_contracts.notifications import NotificationDelivered, NotificationFailed
from covey_notifications.app import service
from covey_notifications.mailbox import parsed
from covey_notifications.smtp import MailServer as WayToServer
from covey_notifications.use_cases.send_next import send_next
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from sqlalchemy import text


async def test_one_mail_for_each_recipient_with_its_fixed_message_id(covey, story, mail, ann, bob):
    group = story.group(broker=bob)
    await covey.deliver(group)
    event_id = await covey.deliver(story.renewal(group))

    await covey.work("mailer-1")

    assert {each.recipient for each in mail.inbox} == {ann.email, bob.email}
    for each in mail.inbox:
        assert b"\r\nMessage-ID: <" in b"\r\n" + each.raw
    assert {each.sender for each in mail.inbox} == {"no-reply@carrier.example"}
    notifications = await story.notifications()
    assert sorted(mail.message_ids) == sorted(each["message_id"] for each in notifications)
    assert all(each["status"] == "delivered" and each["attempts"] == 1 for each in notifications)
    published = await covey.published(NotificationDelivered)
    assert sorted(each.event.message_id for each in published) == sorted(mail.message_ids)
    assert {(each.sequence, each.causation_id) for each in published} == {(1, event_id)}


async def test_what_was_sent_is_not_sent_again(covey, story, mail):
    await story.renewals_become_available("ann@bakery.example")
    await covey.work("mailer-1")
    await story.pauses_pass()

    await covey.work("mailer-1")

    assert len(mail.inbox) == 1


async def test_a_crash_after_the_server_took_it_sends_the_same_message_id_again_and_tells_once(covey, story, mail):
    await story.renewals_become_available("ann@bakery.example")

    with armed("mailer.after_taken:raise"), pytest.raises(Failpoint):
        await covey.work("mailer-1")
    assert await covey.published() == []
    await covey.work("mailer-1")

    assert len(mail.message_ids) == 2
    assert len(set(mail.message_ids)) == 1
    assert len(await covey.published(NotificationDelivered)) == 1


async def test_a_server_that_is_busy_is_asked_again_after_a_pause(covey, story, mail):
    await story.renewals_become_available("ann@bakery.example")
    mail.refuse["ann@bakery.example"] = "450 4.2.1 <ann@bakery.example> is busy"
    before = datetime.now(UTC)

    await covey.work("mailer-1")

    (waiting,) = await story.notifications()
    assert (waiting["status"], waiting["attempts"], waiting["reason"]) == ("waiting", 1, "smtp-450-4.2.1")
    assert datetime.fromisoformat(waiting["next_at"]) >= before + timedelta(seconds=5)
    assert await covey.published() == []

    mail.refuse.clear()
    await covey.work("mailer-1")
    assert mail.inbox == []

    await story.pauses_pass()
    await covey.work("mailer-1")
    (delivered,) = await story.notifications()
    assert (delivered["status"], delivered["attempts"], delivered["reason"]) == ("delivered", 2, None)
    assert mail.message_ids == [waiting["message_id"]]


async def test_a_server_that_refuses_for_good_fails_the_message_at_once(covey, story, mail):
    await story.renewals_become_available("ann@bakery.example")
    mail.refuse["ann@bakery.example"] = "550 5.1.1 <ann@bakery.example>: user unknown"

    await covey.work("mailer-1")

    (failed,) = await story.notifications(status="failed")
    assert (failed["attempts"], failed["reason"], failed["next_at"]) == (1, "smtp-550-5.1.1", None)
    (published,) = await covey.published()
    assert isinstance(published.event, NotificationFailed)
    assert published.event.reason == "smtp-550-5.1.1"


async def test_refused_contents_fail_the_message_at_once(covey, story, mail):
    await story.renewals_become_available("ann@bakery.example")
    mail.refuse_data = "554 no"

    await covey.work("mailer-1")

    (failed,) = await story.notifications(status="failed")
    assert failed["reason"] == "smtp-554"


async def test_one_refused_message_does_not_disturb_the_others(covey, story, mail):
    addresses = [f"signer-{n}@bakery.example" for n in range(5)]
    await story.renewals_become_available(*addresses)
    mail.refuse[addresses[2]] = "550 no"

    await covey.work("mailer-1")

    assert [each.recipient for each in mail.inbox] == [*addresses[:2], *addresses[3:]]


async def test_a_server_that_is_away_gets_the_messages_when_it_is_back(covey, story, mail):
    await story.renewals_become_available("ann@bakery.example", "bob@bakery.example")
    await mail.stop()
    await covey.work("mailer-1")
    assert {each["reason"] for each in await story.notifications(status="waiting")} == {"connection-refused"}

    await mail.start()
    await story.pauses_pass()
    await covey.work("mailer-1")

    assert len(mail.inbox) == 2
    assert len(await covey.published(NotificationDelivered)) == 2


async def test_a_message_that_nobody_ever_takes_fails_in_the_end(covey, story, mail):
    await story.renewals_become_available("ann@bakery.example")
    await mail.stop()
    async with covey.transaction() as session:
        await session.execute(text("UPDATE notification SET attempts = 99"))

    await covey.work("mailer-1")

    (failed,) = await covey.published(NotificationFailed)
    assert (failed.event.attempts, failed.event.reason) == (100, "connection-refused")


async def test_several_mailers_at_once_send_every_message_once(covey, story, mail):
    await story.renewals_become_available(*(f"signer-{n}@bakery.example" for n in range(40)))

    await asyncio.gather(*(covey.work(f"mailer-{lane}") for lane in (1, 2, 3, 4)))

    assert set(Counter(mail.message_ids).values()) == {1}
    assert len(mail.inbox) == 40
    assert len(await covey.published(NotificationDelivered)) == 40


async def test_a_stalled_server_holds_up_no_other_message(covey, story, mail):
    mail.stall.add("stalled@bakery.example")
    await story.renewals_become_available("stalled@bakery.example")
    stalled = asyncio.create_task(covey.work("mailer-1"))
    await mail.stalled.wait()
    await story.renewals_become_available(*(f"signer-{n}@bakery.example" for n in range(5)))

    await covey.work("mailer-2")

    assert sorted(each.recipient for each in mail.inbox) == [f"signer-{n}@bakery.example" for n in range(5)]
    assert not stalled.done()
    mail.go_on.set()
    await stalled
    assert mail.inbox[-1].recipient == "stalled@bakery.example"


async def test_new_messages_do_not_wait_behind_those_that_were_tried_before(covey, story, mail):
    old = [f"old-{n}@bakery.example" for n in range(3)]
    mail.refuse = dict.fromkeys(old, "450 busy")
    await story.renewals_become_available(*old)
    await covey.work("mailer-1")
    await story.pauses_pass()
    mail.refuse.clear()
    await story.renewals_become_available("new@bakery.example")

    await covey.work("mailer-2")

    assert [each.recipient for each in mail.inbox] == ["new@bakery.example", *old]


async def test_a_server_that_does_not_answer_in_time_is_asked_again_later(service_harness, mail, settings_for, told):
    mail.stall.add("stalled@bakery.example")
    async with service_harness(service, **settings_for(mail), smtp_timeout_s=0.2) as covey:
        await told(covey).renewals_become_available("stalled@bakery.example", "ann@bakery.example")

        await covey.work("mailer-1")

        assert [each.recipient for each in mail.inbox] == ["ann@bakery.example"]
        (waiting,) = await told(covey).notifications(status="waiting")
        assert (waiting["attempts"], waiting["reason"]) == (1, "timed-out")


async def test_a_broker_of_record_whose_contact_nobody_knows_cannot_be_told(covey, story, mail, ann, bob):
    group = story.group(has_broker=True)
    await covey.deliver(group)
    await covey.deliver(story.renewal(group))

    await covey.work("mailer-1")

    assert [each.recipient for each in mail.inbox] == [ann.email]
    (failed,) = await story.notifications(status="failed")
    assert (failed["recipient"], failed["reason"]) == ("broker", "no-contact")
    assert len(await covey.published(NotificationFailed)) == 1

    await covey.deliver(story.group(group_id=group.group_id, broker=bob, kind=GroupChanged), sequence=2)
    await covey.api.post(f"/v1/notifications/{failed['id']}/resend", headers={"Idempotency-Key": "1"})
    await covey.work("mailer-1")
    assert [each.recipient for each in mail.inbox] == [ann.email, bob.email]


BOOKS, ITS_OWN = "F-1", "F-2"


@pytest.mark.parametrize(
    ("lives", "reason"),
    [
        pytest.param([{}], None, id="as-the-book-says"),
        pytest.param([{"firm": ITS_OWN, "in_book": False}], "no-contact", id="appointed-by-the-group"),
        pytest.param([{"ended": True}], "no-contact", id="ended-by-the-group"),
        pytest.param([{"ended": True}, {"firm": ITS_OWN, "in_book": False}], "no-contact", id="replaced-by-the-group"),
        pytest.param([{"firm": ITS_OWN, "ended": True}, {}], None, id="replaced-by-the-book"),
        pytest.param([{"firm": ITS_OWN}], "broker-unsettled", id="the-groups-own-event-is-on-its-way"),
        pytest.param([{"firm": ITS_OWN, "ended": True}], "broker-unsettled", id="the-next-appointment-is-on-its-way"),
        pytest.param([{"firm": ITS_OWN, "in_book": False, "ended": True}], "no-contact", id="the-groups-own-was-ended"),
        pytest.param([{"in_book": False}], None, id="the-book-has-caught-up-and-identity-not-yet"),
        pytest.param([{"firm": None}], None, id="told-before-numbers-were"),
        pytest.param([{"firm": None, "ended": True}], "no-contact", id="ended-before-numbers-were-told"),
    ],
)
async def test_the_books_contact_is_written_to_only_while_its_firm_is_the_broker(
    covey, story, mail, ann, bob, lives, reason
):
    """Asked when the message is sent: a firm that the group has left meanwhile hears nothing more of it."""
    group = story.group(broker=bob)
    await covey.deliver(group)
    await covey.deliver(story.renewal(group))
    for life in lives:
        await covey.deliver(story.appointment(group, **life))

    await covey.work("mailer-1")

    assert {each.recipient for each in mail.inbox} == ({ann.email} if reason else {ann.email, bob.email})
    left = [each for each in await story.notifications() if each["status"] != "delivered"]
    assert [(each["recipient"], each["reason"]) for each in left] == ([("broker", reason)] if reason else [])
    assert [each["status"] for each in left] == {None: [], "no-contact": ["failed"]}.get(reason, ["waiting"])


async def test_a_mail_to_the_broker_goes_once_both_events_are_here(covey, story, mail, ann, bob):
    """The book has caught up with the group's own choice: its appointment is heard of first, its contact afterwards."""
    group = story.group(broker=ann)
    await covey.deliver(group)
    await covey.deliver(story.renewal(group))
    await covey.deliver(story.appointment(group, firm=ITS_OWN))
    await covey.work("mailer-1")
    assert len(mail.inbox) == 1

    named = story.group(group_id=group.group_id, broker=bob, firm_number=ITS_OWN, kind=GroupChanged)
    await covey.deliver(named, sequence=2)
    await story.pauses_pass()
    await covey.work("mailer-1")

    assert [each.recipient for each in mail.inbox][1:] == [bob.email]


async def test_an_older_word_of_an_appointment_is_no_news(covey, story, mail, bob):
    group = story.group(broker=bob)
    await covey.deliver(group)
    named = story.appointment(group)
    await covey.deliver(named, sequence=2)
    await covey.deliver(named.model_copy(update={"ends_on": named.starts_on}), sequence=1)
    await covey.deliver(story.renewal(group))

    await covey.work("mailer-1")

    assert bob.email in [each.recipient for each in mail.inbox]


@pytest.mark.parametrize(
    "email", ["nobody", "ann@bakery.example\r\nBcc: all@bakery.example", "a@b.example, c@d.example"]
)
async def test_what_is_no_address_fails_the_message_at_once(covey, story, mail, email):
    await story.renewals_become_available(email)

    await covey.work("mailer-1")

    assert mail.inbox == []
    assert [each["reason"] for each in await story.notifications(status="failed")] == ["unusable-address"]


async def test_contacts_that_cannot_be_opened_are_tried_again(covey, story, mail):
    await story.renewals_become_available("ann@bakery.example")
    async with covey.transaction() as session:
        await session.execute(text("UPDATE group_copy SET sealed_contacts = 'a.b.c.d.e'"))

    await covey.work("mailer-1")

    (waiting,) = await story.notifications()
    assert (waiting["status"], waiting["reason"]) == ("waiting", "contacts-unreadable")


async def test_a_defect_in_one_message_holds_up_no_other_and_quotes_nobody(covey, story, mail, logged):
    await story.renewals_become_available("ann@bakery.example")

    class Broken(WayToServer):
        async def send(self, letter):
            raise RuntimeError(f"cannot write to {letter.recipient}")

    async with covey.transaction() as session:
        found = await send_next(
            session,
            Broken(covey.context.settings),
            covey.context.keyring,
            sender=parsed("no-reply@carrier.example"),
            new_first=False,
            clock=covey.context.clock,
        )

    assert found
    (waiting,) = await story.notifications()
    assert (waiting["status"], waiting["reason"], waiting["attempts"]) == ("waiting", "defect", 1)
    said = logged()
    assert "RuntimeError" in said
    assert "ann@" not in said


async def test_header_lines_in_a_group_name_or_contact_stay_words(covey, story, mail):
    evil = "=?utf-8?q?x=0D=0ABcc:_all@mail.example?=\r\nBcc: all@mail.example"
    group = story.group(legal_name=evil, signer=Contact(name=evil, email="ann@bakery.example"))
    await covey.deliver(group)
    await covey.deliver(story.renewal(group))

    await covey.work("mailer-1")

    (sent,) = mail.inbox
    assert sent.recipient == "ann@bakery.example"
    assert "Bcc" not in sent.message
    assert len(sent.message["To"].addresses) == 1


async def test_a_server_without_starttls_gets_nothing_unless_that_was_said(service_harness, mail, settings_for, told):
    async with service_harness(service, **settings_for(mail) | {"smtp_tls": "starttls"}) as covey:
        await told(covey).renewals_become_available("ann@bakery.example")

        await covey.work("mailer-1")

        assert mail.inbox == []
        (waiting,) = await told(covey).notifications()
        assert waiting["status"] == "waiting"


@pytest.fixture
def certificate(tmp_path):
    """A certificate of its own for 127.0.0.1: the paths of certificate and key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (tmp_path / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return tmp_path / "cert.pem", tmp_path / "key.pem"


@pytest.fixture
async def strict_mail(mail, certificate):
    """The mail server, which now wants STARTTLS and a password."""
    await mail.stop()
    mail.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    mail.tls.load_cert_chain(*certificate)
    mail.password = b"a mail password"
    await mail.start()
    return mail


def strict(settings, **more):
    signed_on = {"smtp_tls": "starttls", "smtp_username": "covey", "smtp_password": "a mail password"}
    return settings | {"smtp_host": "localhost"} | signed_on | more


async def test_with_starttls_and_password_the_message_is_sent(
    service_harness, strict_mail, certificate, settings_for, told, monkeypatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    async with service_harness(service, **strict(settings_for(strict_mail))) as covey:
        await told(covey).renewals_become_available("ann@bakery.example")

        await covey.work("mailer-1")

        assert [each.recipient for each in strict_mail.inbox] == ["ann@bakery.example"]


async def test_a_wrong_password_is_ours_to_mend_so_the_message_waits(
    service_harness, strict_mail, certificate, settings_for, told, monkeypatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    async with service_harness(service, **strict(settings_for(strict_mail), smtp_password="wrong")) as covey:
        await told(covey).renewals_become_available("ann@bakery.example")

        await covey.work("mailer-1")

        (waiting,) = await told(covey).notifications()
        assert (waiting["status"], waiting["reason"]) == ("waiting", "smtp-535-5.7.8")


async def test_a_certificate_that_nobody_vouches_for_gets_no_message(service_harness, strict_mail, settings_for, told):
    async with service_harness(service, **strict(settings_for(strict_mail))) as covey:
        await told(covey).renewals_become_available("ann@bakery.example")

        await covey.work("mailer-1")

        assert strict_mail.inbox == []
        (waiting,) = await told(covey).notifications()
        assert (waiting["status"], waiting["reason"]) == ("waiting", "tls-failed")
