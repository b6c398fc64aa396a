"""From a notification to its email: who gets it, in which language, and what it says.

What is sealed is opened here, in memory, for as long as it takes to write the message.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.headerregistry import Address
from typing import TypeVar
from zoneinfo import ZoneInfo

from covey_chassis.sealing import Keyring
from covey_contracts import SealedBody
from covey_contracts.identity import CodeLetter, Person
from covey_contracts.identity import Letter as RequestedLetter
from covey_contracts.membership import Contact, GroupContacts
from covey_contracts.transactions import DeclineLetter, ReturnLetter

from covey_notifications.domain.account import AccountCopy
from covey_notifications.domain.appointment import BrokersContact
from covey_notifications.domain.group import GroupCopy
from covey_notifications.domain.notification import REQUESTED, Kind, Notification, Recipient
from covey_notifications.letter import Letter, compose
from covey_notifications.links import link_of
from covey_notifications.mailbox import UnusableAddress, address, lines
from covey_notifications.smtp import NotSent
from covey_notifications.texts import DEFAULT_LANGUAGE, Value, render, spoken

Body = TypeVar("Body", bound=SealedBody)
Words = Mapping[str, Value]

ACCOUNT_PATIENCE = timedelta(hours=1)
"""How long an account's own event may be behind one that names the account. A program's never comes."""


@dataclass(frozen=True)
class Copies:
    """What is known of the group and the accounts that a message names, sealed as it came."""

    group: GroupCopy | None = None
    brokers_contact: BrokersContact = BrokersContact.THEIRS
    account: AccountCopy | None = None
    holder: AccountCopy | None = None


@dataclass(frozen=True)
class Reader:
    """Who gets a message."""

    name: str
    email: str
    language: str = DEFAULT_LANGUAGE


def write(
    notification: Notification,
    copies: Copies,
    keyring: Keyring,
    *,
    sender: Address,
    zone: ZoneInfo,
    at: datetime,
    portal_url: str | None = None,
) -> Letter:
    """The email.

    Raises:
        NotSent: nobody has the role, the address is unusable, or what is sealed cannot be opened.
    """
    if notification.account_id is not None and copies.account is None:
        raise NotSent("no-account", lasting=at - notification.created_at >= ACCOUNT_PATIENCE)
    reader, words = KINDS[notification.kind](notification, copies, keyring)
    try:
        to = address(reader.name, reader.email)
    except UnusableAddress:
        raise NotSent("unusable-address", lasting=True) from None
    reference = str(notification.id)
    expires_at = notification.expires_at
    text = render(
        notification.kind,
        spoken(reader.language),
        name=reader.name,
        reference=reference,
        link=link_of(notification, portal_url, words.get("token")),
        recipient=notification.recipient,
        group_number=notification.group_number,
        legal_name=notification.legal_name,
        effective_date=notification.effective_date,
        plan_year=notification.plan_year,
        role=notification.role,
        rights=notification.rights,
        billing_units=notification.billing_units,
        transaction_id=None if notification.transaction_id is None else str(notification.transaction_id),
        round=notification.round,
        plans_by_class=notification.plans_by_class,
        enrollments=notification.enrollments,
        terminations=notification.terminations,
        expires_at=None if expires_at is None else expires_at.astimezone(zone),
        **words,
    )
    return compose(text, message_id=notification.message_id, reference=reference, sender=sender, to=to, at=at)


# --- who gets it, and what only its own kind says ---


def _to_role_in_group(notification: Notification, copies: Copies, keyring: Keyring) -> tuple[Reader, Words]:
    """Who has the role now: whoever took it over since the event gets the message."""
    assert copies.group is not None
    contacts = _opened(keyring, copies.group.sealed_contacts, GroupContacts, "contacts-unreadable")
    contact = _broker(contacts, copies) if notification.recipient is Recipient.BROKER else contacts.contract_signer
    if contact is None:
        raise NotSent("no-contact", lasting=True)
    return Reader(contact.name, contact.email), {}


def _broker(contacts: GroupContacts, copies: Copies) -> Contact | None:
    if copies.brokers_contact is BrokersContact.UNSETTLED:
        raise NotSent("broker-unsettled")
    return contacts.broker if copies.brokers_contact is BrokersContact.THEIRS else None


def _with_code(notification: Notification, copies: Copies, keyring: Keyring) -> tuple[Reader, Words]:
    letter = _opened(keyring, notification.sealed_letter, CodeLetter, "letter-unreadable")
    return _reader(letter), {"code": letter.code}


def _with_token(notification: Notification, copies: Copies, keyring: Keyring) -> tuple[Reader, Words]:
    letter = _opened(keyring, notification.sealed_letter, RequestedLetter, "letter-unreadable")
    return _reader(letter), {"token": letter.token, "user_id": letter.user_id}


def _to_giver(notification: Notification, copies: Copies, keyring: Keyring) -> tuple[Reader, Words]:
    giver, holder = _person(copies.account, keyring), _person(copies.holder, keyring)
    return _reader(giver), {"holder": _reader(holder).name, "holder_user_id": holder.user_id}


def _to_account(notification: Notification, copies: Copies, keyring: Keyring) -> tuple[Reader, Words]:
    return _reader(_person(copies.account, keyring)), {}


def _with_instructions(notification: Notification, copies: Copies, keyring: Keyring) -> tuple[Reader, Words]:
    letter = _opened(keyring, notification.sealed_letter, ReturnLetter, "letter-unreadable")
    helper = letter.representative
    is_helper = notification.recipient is Recipient.REPRESENTATIVE
    reader = Reader(helper.name, helper.email) if is_helper else _reader(_person(copies.account, keyring))
    return reader, {
        "instructions": lines(letter.instructions),
        "required_items": letter.required_items,
        "representative_name": helper.name,
        "representative_phone": helper.phone,
        "representative_email": helper.email,
    }


def _with_reason(notification: Notification, copies: Copies, keyring: Keyring) -> tuple[Reader, Words]:
    letter = _opened(keyring, notification.sealed_letter, DeclineLetter, "letter-unreadable")
    return _reader(_person(copies.account, keyring)), {"reason": lines(letter.reason)}


def _to_owner_or_signer(notification: Notification, copies: Copies, keyring: Keyring) -> tuple[Reader, Words]:
    to = _to_account if notification.recipient is Recipient.OWNER else _to_role_in_group
    return to(notification, copies, keyring)


KINDS: dict[Kind, Callable[[Notification, Copies, Keyring], tuple[Reader, Words]]] = {
    Kind.RENEWAL_AVAILABLE: _to_role_in_group,
    Kind.ACCESS_CODE: _with_code,
    **dict.fromkeys(REQUESTED, _with_token),
    Kind.USER_ADDED: _to_giver,
    Kind.RIGHTS_CHANGED: _to_account,
    Kind.ACCESS_REMOVED: _to_account,
    Kind.SUBMISSION_RECEIVED: _to_account,
    Kind.ACTION_REQUIRED: _with_instructions,
    Kind.TRANSACTION_ASSIGNED: _with_instructions,
    Kind.TRANSACTION_APPROVED: _to_owner_or_signer,
    Kind.TRANSACTION_DECLINED: _with_reason,
    Kind.TRANSACTION_WITHDRAWN: _to_account,
}


def _reader(person: Person | CodeLetter | RequestedLetter) -> Reader:
    return Reader(f"{person.first_name} {person.last_name}", person.address, person.language)


def _person(account: AccountCopy | None, keyring: Keyring) -> Person:
    assert account is not None
    return _opened(keyring, account.sealed_person, Person, "account-unreadable")


def _opened(keyring: Keyring, sealed: str | None, kind: type[Body], otherwise: str) -> Body:
    try:
        return keyring.open(sealed or "", kind)
    except Exception:  # a key that is missing here, or contents of another kind: neither says why in public
        raise NotSent(otherwise) from None
