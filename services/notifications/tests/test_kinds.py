"""What is so of every kind of message, from the event to the email."""

import pytest
from covey_chassis.failpoints import Failpoint
from covey_chassis.testing import armed
from covey_contracts.notifications import NotificationDelivered
from covey_notifications.domain.notification import Kind
from sqlalchemy import text

PRIMARY = "pat@bakery.example"
SECONDARY = "sam@bakery.example"
OWNER = "olga@bakery.example"

RECIPIENTS = {
    Kind.RENEWAL_AVAILABLE: {("contract-signer", "ann@bakery.example")},
    Kind.ACCESS_CODE: {("addressee", SECONDARY)},
    Kind.VERIFY_ADDRESS: {("addressee", SECONDARY)},
    Kind.ALREADY_REGISTERED: {("addressee", SECONDARY)},
    Kind.FORGOTTEN_USER_ID: {("addressee", SECONDARY)},
    Kind.RESET_PASSWORD: {("addressee", SECONDARY)},
    Kind.NO_ACCOUNT: {("addressee", SECONDARY)},
    Kind.VERIFY_NEW_ADDRESS: {("addressee", SECONDARY)},
    Kind.PASSWORD_CHANGED: {("addressee", SECONDARY)},
    Kind.ADDRESS_CHANGED: {("addressee", SECONDARY)},
    Kind.SECOND_FACTOR_ON: {("addressee", SECONDARY)},
    Kind.SECOND_FACTOR_OFF: {("addressee", SECONDARY)},
    Kind.RECOVERY_CODE_USED: {("addressee", SECONDARY)},
    Kind.RECOVERY_CODES_RENEWED: {("addressee", SECONDARY)},
    Kind.ADDRESS_ADDED: {("addressee", SECONDARY)},
    Kind.ADDRESS_REMOVED: {("addressee", SECONDARY)},
    Kind.PASSKEY_ADDED: {("addressee", SECONDARY)},
    Kind.PASSKEY_REMOVED: {("addressee", SECONDARY)},
    Kind.USER_ADDED: {("giver", PRIMARY)},
    Kind.RIGHTS_CHANGED: {("holder", SECONDARY)},
    Kind.ACCESS_REMOVED: {("holder", SECONDARY)},
    Kind.SUBMISSION_RECEIVED: {("submitter", SECONDARY)},
    Kind.ACTION_REQUIRED: {("owner", OWNER)},
    Kind.TRANSACTION_ASSIGNED: {("representative", "rita@carrier.example")},
    Kind.TRANSACTION_APPROVED: {("owner", OWNER), ("contract-signer", "ann@bakery.example")},
    Kind.TRANSACTION_DECLINED: {("owner", OWNER)},
    Kind.TRANSACTION_WITHDRAWN: {("owner", OWNER)},
}
SUBJECTS = {
    "en": {
        Kind.RENEWAL_AVAILABLE: "Renewal available: Oak Street Bakery, Inc.",
        Kind.ACCESS_CODE: "Your access code for Oak Street Bakery, Inc.",
        Kind.VERIFY_ADDRESS: "Please confirm your email address",
        Kind.ALREADY_REGISTERED: "You have an account already",
        Kind.FORGOTTEN_USER_ID: "Your user ID",
        Kind.RESET_PASSWORD: "Choose a new password",
        Kind.NO_ACCOUNT: "No account has this address",
        Kind.VERIFY_NEW_ADDRESS: "Please confirm your new email address",
        Kind.PASSWORD_CHANGED: "Your password has changed",
        Kind.ADDRESS_CHANGED: "Your email address has changed",
        Kind.SECOND_FACTOR_ON: "A second factor is on",
        Kind.SECOND_FACTOR_OFF: "Your second factor is off",
        Kind.RECOVERY_CODE_USED: "A recovery code was used",
        Kind.RECOVERY_CODES_RENEWED: "You have new recovery codes",
        Kind.ADDRESS_ADDED: "An email address was added",
        Kind.ADDRESS_REMOVED: "An email address was taken out",
        Kind.PASSKEY_ADDED: "A passkey was added",
        Kind.PASSKEY_REMOVED: "A passkey was removed",
        Kind.USER_ADDED: "User added: Oak Street Bakery, Inc.",
        Kind.RIGHTS_CHANGED: "Your access has changed: Oak Street Bakery, Inc.",
        Kind.ACCESS_REMOVED: "Your access has ended: Oak Street Bakery, Inc.",
        Kind.SUBMISSION_RECEIVED: "Submission received: Oak Street Bakery, Inc.",
        Kind.ACTION_REQUIRED: "Action required: Oak Street Bakery, Inc.",
        Kind.TRANSACTION_ASSIGNED: "Assigned to you: Oak Street Bakery, Inc.",
        Kind.TRANSACTION_APPROVED: "Renewal changes approved: Oak Street Bakery, Inc.",
        Kind.TRANSACTION_DECLINED: "Renewal changes declined: Oak Street Bakery, Inc.",
        Kind.TRANSACTION_WITHDRAWN: "Renewal changes withdrawn: Oak Street Bakery, Inc.",
    },
    "es": {
        Kind.ACCESS_CODE: "Su código de acceso para Oak Street Bakery, Inc.",
        Kind.VERIFY_ADDRESS: "Confirme su dirección de correo electrónico",
        Kind.ALREADY_REGISTERED: "Usted ya tiene una cuenta",
        Kind.FORGOTTEN_USER_ID: "Su ID de usuario",
        Kind.RESET_PASSWORD: "Elija una contraseña nueva",
        Kind.NO_ACCOUNT: "Ninguna cuenta tiene esta dirección",
        Kind.VERIFY_NEW_ADDRESS: "Confirme su nueva dirección de correo electrónico",
        Kind.PASSWORD_CHANGED: "Su contraseña ha cambiado",
        Kind.ADDRESS_CHANGED: "Su dirección de correo electrónico ha cambiado",
        Kind.SECOND_FACTOR_ON: "El segundo factor está activado",
        Kind.SECOND_FACTOR_OFF: "El segundo factor está desactivado",
        Kind.RECOVERY_CODE_USED: "Se usó un código de recuperación",
        Kind.RECOVERY_CODES_RENEWED: "Tiene códigos de recuperación nuevos",
        Kind.ADDRESS_ADDED: "Se agregó una dirección de correo electrónico",
        Kind.ADDRESS_REMOVED: "Se quitó una dirección de correo electrónico",
        Kind.PASSKEY_ADDED: "Se agregó una llave de acceso",
        Kind.PASSKEY_REMOVED: "Se quitó una llave de acceso",
        Kind.USER_ADDED: "Usuario agregado: Oak Street Bakery, Inc.",
        Kind.RIGHTS_CHANGED: "Su acceso ha cambiado: Oak Street Bakery, Inc.",
        Kind.ACCESS_REMOVED: "Su acceso ha terminado: Oak Street Bakery, Inc.",
        Kind.SUBMISSION_RECEIVED: "Envío recibido: Oak Street Bakery, Inc.",
        Kind.ACTION_REQUIRED: "Acción requerida: Oak Street Bakery, Inc.",
        Kind.TRANSACTION_APPROVED: "Cambios de renovación aprobados: Oak Street Bakery, Inc.",
        Kind.TRANSACTION_DECLINED: "Cambios de renovación rechazados: Oak Street Bakery, Inc.",
        Kind.TRANSACTION_WITHDRAWN: "Cambios de renovación retirados: Oak Street Bakery, Inc.",
    },
}
"""Of a contact, and of a representative, no language is known."""


@pytest.mark.parametrize("kind", Kind)
async def test_an_event_that_comes_twice_is_one_mail_to_each_whom_it_concerns(covey, story, mail, kind):
    event, sequence = await story.everything_before(kind)
    before = len(mail.inbox)

    event_id = await covey.deliver_twice(event, sequence=sequence)
    await covey.work("mailer-1")

    written = [each for each in await story.notifications() if each["about_event_id"] == event_id]
    recipient_of = {each["message_id"]: each["recipient"] for each in written if each["kind"] == kind}
    reached = [(recipient_of.get(each.message_id), each.recipient) for each in mail.inbox[before:]]
    assert {each for each in reached if each[0]} == RECIPIENTS[kind]
    assert len(reached) == len(written)
    assert {each["status"] for each in written} == {"delivered"}
    assert await covey.parked() == []


@pytest.mark.parametrize("kind", Kind)
async def test_an_event_that_the_inbox_has_forgotten_is_not_mailed_again(covey, story, mail, kind):
    event, sequence = await story.everything_before(kind)
    event_id = await covey.deliver(event, sequence=sequence)
    await covey.work("mailer-1")
    sent = len(mail.inbox)
    async with covey.transaction() as session:
        await session.execute(text("DELETE FROM inbox"))

    await covey.deliver(event, sequence=sequence, event_id=event_id)
    await covey.work("mailer-1")

    assert len(mail.inbox) == sent
    assert await covey.parked() == []


@pytest.mark.parametrize("kind", Kind)
async def test_a_message_that_was_taken_before_a_crash_goes_out_with_the_same_message_id(covey, story, mail, kind):
    event_id = await story.happens(kind)
    before = len(mail.inbox)

    with armed("mailer.after_taken:raise"), pytest.raises(Failpoint):
        await covey.work("mailer-1")
    await covey.work("mailer-1")

    sent = mail.message_ids[before:]
    assert len(sent) == len(set(sent)) + 1
    told = [each.event for each in await covey.published(NotificationDelivered)]
    assert sorted(each.message_id for each in told if each.about_event_id == event_id) == sorted(set(sent))


@pytest.mark.parametrize(
    ("language", "kind"), [(language, kind) for language in SUBJECTS for kind in SUBJECTS[language]]
)
async def test_everybody_is_written_to_in_their_own_language(covey, story, mail, kind, language):
    await story.happens(kind, language=language)

    await covey.work("mailer-1")

    sent = [each for each in mail.inbox if each.message["Subject"] == SUBJECTS[language][kind]]
    assert {each.recipient for each in sent} <= {address for _, address in RECIPIENTS[kind]}
    assert sent
    for each in sent:
        assert each.message["Content-Language"] == language
        for part in each.texts:
            assert ("Hello" if language == "en" else "Hola") in part


async def test_a_language_that_there_are_no_texts_in_is_english_and_a_variant_is_its_language(covey, story, mail):
    await story.happens(Kind.VERIFY_ADDRESS, language="tlh")
    await story.happens(Kind.VERIFY_ADDRESS, language="es-MX")

    await covey.work("mailer-1")

    assert [each.message["Content-Language"] for each in mail.inbox] == ["en", "es"]
