"""A mail server that does as it is told, a service that uses it, and groups to write about."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from uuid import UUID

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from covey_chassis.access import Right
from covey_chassis.access.facts import Fact, FactKind
from covey_chassis.ids import new_id
from covey_chassis.parking import retry_one
from covey_chassis.testing import Harness
from covey_contracts import Event
from covey_contracts.identity import (
    AccessChanged,
    AccessCodeIssued,
    AccountRegistered,
    AccountState,
    AppointmentChanged,
    CodeLetter,
    GrantRole,
    GrantStatus,
    Letter,
    MailRequested,
    Person,
)
from covey_contracts.membership import Address, BrokerOfRecord, Contact, GroupContacts, GroupRegistered, GroupState
from covey_contracts.renewals import RenewalAvailable, RenewalStatus
from covey_contracts.transactions import (
    ClassPlans,
    Contribution,
    ContributionBasis,
    DeclineLetter,
    RenewalChanges,
    Representative,
    ReturnLetter,
    ReviewApproved,
    ReviewDeclined,
    ReviewReturned,
    TransactionKind,
    TransactionState,
    TransactionStatus,
    TransactionSubmitted,
    TransactionWithdrawn,
)
from covey_notifications.app import service
from covey_notifications.domain.notification import REQUESTED, Kind
from sqlalchemy import text

logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # the tests' own mail server tells of everybody


@dataclass(frozen=True)
class Mail:
    """One message that the server took."""

    sender: str
    recipient: str
    raw: bytes

    @property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.raw, policy=default)  # type: ignore[return-value]  # by that policy

    @property
    def message_id(self) -> str:
        return str(self.message["Message-ID"])

    @property
    def texts(self) -> list[str]:
        """What it says as plain text and as HTML."""
        return [each.get_content().replace("\r\n", "\n") for each in self.message.iter_parts()]


@dataclass
class MailServer:
    """A real SMTP server on a port of its own. ``refuse`` answers for a recipient, ``stall`` answers not at all."""

    port: int = 0
    tls: ssl.SSLContext | None = None
    password: bytes | None = None
    inbox: list[Mail] = field(default_factory=list)
    refuse: dict[str, str] = field(default_factory=dict)
    refuse_data: str | None = None
    stall: set[str] = field(default_factory=set)
    stalled: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    _server: asyncio.Server | None = None

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, recipient: str, options: list[str]
    ) -> str:
        if recipient in self.stall:
            self.stalled.set()
            await self.go_on.wait()
        if recipient in self.refuse:
            return self.refuse[recipient]
        envelope.rcpt_tos.append(recipient)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.refuse_data:
            return self.refuse_data
        assert isinstance(envelope.content, bytes)
        self.inbox += [Mail(str(envelope.mail_from), to, envelope.content) for to in envelope.rcpt_tos]
        return "250 OK"

    def _authenticate(self, server, session, envelope, mechanism, data) -> AuthResult:
        return AuthResult(success=data.password == self.password, handled=False)

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: SMTP(
                self,
                loop=loop,
                enable_SMTPUTF8=True,
                tls_context=self.tls,
                require_starttls=self.tls is not None,
                authenticator=self._authenticate if self.password else None,
                auth_required=self.password is not None,
            ),
            "127.0.0.1",
            self.port,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server:
            self._server.close()
            self._server = None

    @property
    def message_ids(self) -> list[str]:
        return [mail.message_id for mail in self.inbox]


@pytest.fixture
async def mail() -> AsyncIterator[MailServer]:
    server = MailServer()
    await server.start()
    yield server
    server.go_on.set()
    await server.stop()


@pytest.fixture
async def covey(service_harness, mail) -> AsyncIterator[Harness]:
    async with service_harness(service, **smtp_settings(mail)) as harness:
        yield harness


@pytest.fixture
def settings_for() -> Callable[[MailServer], dict[str, object]]:
    return smtp_settings


def smtp_settings(server: MailServer) -> dict[str, object]:
    return {
        "smtp_host": "127.0.0.1",
        "smtp_port": server.port,
        "smtp_tls": "none",
        "mail_from": "Covey <no-reply@carrier.example>",
    }


ANN = Contact(name="Ann Signer", email="ann@bakery.example")
BOB = Contact(name="Bob Broker", email="bob@brokers.example")
CODE = "7F3K-9QWD-2MXR-V0TA"
TOKEN = "wq3Zr0-kT9_n4mVYb2xJtoken"
PRIMARY = "pat@bakery.example"
SECONDARY = "sam@bakery.example"
OWNER = "olga@bakery.example"
REPRESENTATIVE = "rita@carrier.example"
INSTRUCTIONS = "Please correct the contribution.\n\nThen submit again."
REASON = "The group has moved away."
OFFERED = {"Full-time": ("GOLD-1", "SILVER-1", "BRONZE-1"), "Part-time": ("BRONZE-1",)}

ABOUT_TRANSACTIONS: dict[Kind, type[TransactionState]] = {
    Kind.SUBMISSION_RECEIVED: TransactionSubmitted,
    Kind.ACTION_REQUIRED: ReviewReturned,
    Kind.TRANSACTION_ASSIGNED: ReviewReturned,
    Kind.TRANSACTION_APPROVED: ReviewApproved,
    Kind.TRANSACTION_DECLINED: ReviewDeclined,
    Kind.TRANSACTION_WITHDRAWN: TransactionWithdrawn,
}


@dataclass(frozen=True)
class Story:
    """What happens to groups, told to a service under test."""

    covey: Harness

    def group(
        self,
        *,
        group_id: UUID | None = None,
        legal_name: str = "Oak Street Bakery, Inc.",
        signer: Contact = ANN,
        broker: Contact | None = None,
        has_broker: bool | None = None,
        firm_number: str = "F-1",
        kind: type[GroupState] = GroupRegistered,
    ) -> GroupState:
        """A group as membership tells of it; with a broker of record when there is a broker's contact."""
        contacts = GroupContacts(contract_signer=signer, billing_contact=signer, broker=broker)
        return kind(
            group_id=group_id or new_id(),
            group_number="G-100042",
            legal_name=legal_name,
            ein="12-3456789",
            market_region="California",
            principal_address=Address(street="1 Oak St", city="Fresno", county="Fresno", state="CA", zip="93650"),
            billing_units=(),
            effective_date=date(2020, 7, 1),
            renewal_date=date(2027, 7, 1),
            plans=(),
            broker=BrokerOfRecord(firm_number=firm_number, firm_name="Brokers LLC", acquired_date=date(2020, 1, 1))
            if (broker is not None if has_broker is None else has_broker)
            else None,
            sealed=self.covey.context.keyring.seal(contacts),
        )

    def renewal(self, group: GroupState) -> RenewalAvailable:
        return RenewalAvailable(
            renewal_id=new_id(),
            group_id=group.group_id,
            plan_year=2027,
            effective_date=date(2027, 7, 1),
            status=RenewalStatus.AVAILABLE,
            available_on=date(2027, 4, 17),
        )

    def appointment(
        self, group: GroupState, *, firm: str | None = "F-1", in_book: bool = True, ended: bool = False
    ) -> AppointmentChanged:
        """A firm is, or was, the group's broker of record, as identity tells of it."""
        begun = date(2026, 3, 1)
        return AppointmentChanged(
            appointment_id=new_id(),
            group_id=group.group_id,
            firm_id=new_id(),
            starts_on=begun,
            ends_on=begun if ended else None,
            acquired_on=begun,
            in_book=in_book,
            firm_number=firm,
        )

    async def renewals_become_available(self, *signers: str) -> None:
        """Of one group for each signer's address, none with a broker."""
        for email in signers:
            group = self.group(signer=Contact(name="Ann Signer", email=email))
            await self.covey.deliver(group)
            await self.covey.deliver(self.renewal(group))

    def account(
        self,
        *,
        account_id: UUID | None = None,
        first_name: str = "Sam",
        last_name: str = "Secondary",
        address: str = SECONDARY,
        language: str = "en",
        user_id: str = "s00002",
        kind: type[AccountState] = AccountRegistered,
    ) -> AccountState:
        """An account as identity tells of it."""
        person = Person(first_name=first_name, last_name=last_name, address=address, language=language, user_id=user_id)
        return kind(
            account_id=account_id or new_id(),
            market_region="California",
            sealed=self.covey.context.keyring.seal(person),
        )

    def access(
        self,
        group: GroupState,
        holder: UUID | None,
        *,
        status: GrantStatus = GrantStatus.ACTIVE,
        grant_id: UUID | None = None,
        given_by: UUID | None = None,
        rights: tuple[str, ...] = ("members.view", "billing.view"),
        billing_units: tuple[str, ...] | None = None,
        role: GrantRole = GrantRole.SECONDARY,
        firm_id: UUID | None = None,
    ) -> AccessChanged:
        """A grant as identity tells of it after a change."""
        return AccessChanged(
            grant_id=grant_id or new_id(),
            group_id=group.group_id,
            account_id=holder,
            firm_id=firm_id,
            role=role,
            rights=rights,
            billing_units=billing_units,
            status=status,
            given_by=given_by,
        )

    def code(
        self,
        group: GroupState,
        *,
        first_name: str = "Sam",
        language: str = "en",
        role: GrantRole = GrantRole.SECONDARY,
        good_for: timedelta = timedelta(hours=168),
    ) -> AccessCodeIssued:
        """An access code that identity issued."""
        letter = CodeLetter(
            first_name=first_name, last_name="Secondary", address=SECONDARY, language=language, code=CODE
        )
        return AccessCodeIssued(
            access_code_id=new_id(),
            grant_id=new_id(),
            group_id=group.group_id,
            role=role,
            expires_at=datetime.now(UTC) + good_for,
            sealed=self.covey.context.keyring.seal(letter),
        )

    def requested(
        self,
        purpose: str,
        *,
        language: str = "en",
        token: str | None = TOKEN,
        user_id: str | None = "s00002",
        good_for: timedelta | None = None,
    ) -> MailRequested:
        """Mail that identity asks for."""
        letter = Letter(
            first_name="Sam",
            last_name="Secondary",
            address=SECONDARY,
            language=language,
            token=token,
            user_id=user_id,
        )
        return MailRequested(
            mail_id=new_id(),
            purpose=purpose,
            expires_at=None if good_for is None else datetime.now(UTC) + good_for,
            sealed=self.covey.context.keyring.seal(letter),
        )

    async def may_see_renewals(self, group: GroupState, *account_ids: UUID, active: bool = True) -> None:
        """They hold `renewals.view` in the group, or no longer."""
        facts = (
            Fact(
                kind=FactKind.GRANT,
                id=account_id,  # the same one again
                group_id=group.group_id,
                account_id=account_id,
                rights=(Right.RENEWALS_VIEW,),
                active=active,
            )
            for account_id in account_ids
        )
        await self.covey.know(*facts)

    def transaction(
        self,
        kind: type[TransactionState],
        group: GroupState,
        owner: UUID,
        *,
        by: UUID | None = None,
        round: int = 1,  # noqa: A002 - the contract's name
        instructions: str = INSTRUCTIONS,
        required_items: tuple[str, ...] = ("The signed form",),
        representative: str = "Rita Representative",
        reason: str = REASON,
    ) -> TransactionState:
        """Renewal changes as transactions tells of them; ``by`` whoever submitted or withdrew them, if not the owner."""
        seal = self.covey.context.keyring.seal
        helper = Representative(
            representative_id=new_id(), name=representative, phone="(555) 010-0199", email=REPRESENTATIVE
        )
        letter = ReturnLetter(instructions=instructions, required_items=required_items, representative=helper)
        own: dict[type[TransactionState], dict[str, object]] = {
            TransactionSubmitted: {
                "status": TransactionStatus.PENDING_REVIEW,
                "submitted_by": by or owner,
                "submitted_at": datetime.now(UTC),
            },
            TransactionWithdrawn: {"status": TransactionStatus.WITHDRAWN, "withdrawn_by": by or owner},
            ReviewReturned: {
                "status": TransactionStatus.ACTION_REQUIRED,
                "reviewer_id": new_id(),
                "representative_id": helper.representative_id,
                "sealed": seal(letter),
            },
            ReviewDeclined: {
                "status": TransactionStatus.DECLINED,
                "reviewer_id": new_id(),
                "sealed": seal(DeclineLetter(reason=reason)),
            },
            ReviewApproved: {"status": TransactionStatus.COMPLETED, "reviewer_id": new_id()},
        }
        contribution = Contribution(basis=ContributionBasis.PERCENT, employee=Decimal(50), dependents=Decimal(0))
        return kind.model_validate(
            {
                "transaction_id": new_id(),
                "kind": TransactionKind.RENEWAL_CHANGES,
                "group_id": group.group_id,
                "owner_id": owner,
                "round": round,
                "renewal_changes": RenewalChanges(
                    renewal_id=new_id(),
                    plan_year=2027,
                    effective_date=date(2027, 7, 1),
                    classes=tuple(
                        ClassPlans(employee_class=name, plan_ids=plans, contribution=contribution)
                        for name, plans in OFFERED.items()
                    ),
                    enrollments=4,
                    terminations=1,
                ),
                **own[kind],
            }
        )

    async def everything_before(
        self, kind: Kind, *, language: str = "en", group: GroupState | None = None
    ) -> tuple[Event, int]:
        """All has happened up to the event that such a message is about; that event, and its sequence."""
        group = group or self.group()
        await self.covey.deliver(group)
        if kind is Kind.RENEWAL_AVAILABLE:
            return self.renewal(group), 1
        if kind is Kind.ACCESS_CODE:
            return self.code(group, language=language), 1
        if kind in REQUESTED:
            return self.requested(kind, language=language), 1
        if kind in ABOUT_TRANSACTIONS:
            owner = self.account(
                first_name="Olga", last_name="Owner", address=OWNER, language=language, user_id="o00003"
            )
            other = self.account(language=language)
            for event in (owner, other):
                await self.covey.deliver(event)
            await self.may_see_renewals(group, owner.account_id, other.account_id)
            by = other.account_id
            return self.transaction(ABOUT_TRANSACTIONS[kind], group, owner.account_id, by=by), 2
        giver = self.account(first_name="Pat", address=PRIMARY, language=language, user_id="p00001")
        holder = self.account(language=language)
        grant_id = new_id()
        invited = self.access(group, None, grant_id=grant_id, given_by=giver.account_id, status=GrantStatus.INVITED)
        active = invited.model_copy(update={"account_id": holder.account_id, "status": GrantStatus.ACTIVE})
        for event in (giver, holder, invited):
            await self.covey.deliver(event)
        if kind is Kind.USER_ADDED:
            return active, 2
        await self.covey.deliver(active, sequence=2)
        await self.covey.work("mailer-1")
        if kind is Kind.RIGHTS_CHANGED:
            return active.model_copy(update={"rights": ("members.update",), "billing_units": ("001",)}), 3
        assert kind is Kind.ACCESS_REMOVED
        return active.model_copy(update={"status": GrantStatus.REMOVED}), 3

    async def happens(self, kind: Kind, *, language: str = "en", group: GroupState | None = None) -> str:
        """What such a message is about, with everything before it; the event's ID."""
        event, sequence = await self.everything_before(kind, language=language, group=group)
        return await self.covey.deliver(event, sequence=sequence)

    async def notifications(self, **query: str) -> list[dict]:
        """What the service says about its notifications, newest first."""
        response = await self.covey.api.get("/v1/notifications", params=query)
        assert response.status_code == 200, response.text
        return response.json()["items"]

    async def pauses_pass(self) -> None:
        """Whatever waits for its next try is due."""
        async with self.covey.transaction() as session:
            await session.execute(text("UPDATE notification SET next_at = now() WHERE status = 'waiting'"))

    async def parked_records_are_tried_again(self) -> None:
        async with self.covey.transaction() as session:
            await session.execute(text("UPDATE parked_key SET next_at = now()"))
        consumers = {consumer.name: consumer for consumer in self.covey.service.consumers}
        await retry_one(self.covey.context.workers, consumers)


@pytest.fixture
def story(covey) -> Story:
    return Story(covey)


@pytest.fixture
def told() -> Callable[[Harness], Story]:
    return Story


@pytest.fixture
def ann() -> Contact:
    return ANN


@pytest.fixture
def bob() -> Contact:
    return BOB
