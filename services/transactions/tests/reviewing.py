"""What is there to review, and who reviews it: told to the service's own domain, so that a test begins where it begins."""

from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

import httpx
from covey_chassis.access import Right, StaffRight
from covey_chassis.access.facts import Fact, FactKind
from covey_chassis.access.signing import key_id
from covey_chassis.db import load
from covey_chassis.ids import new_id
from covey_chassis.outbox import emit
from covey_chassis.testing import Harness
from covey_chassis.testing.signing import new_key, sign
from covey_contracts.programs import ReviewDecision
from covey_contracts.renewals import RenewalStatus
from covey_contracts.transactions import ReviewDecisionAnswered, TransactionState
from covey_transactions.domain.changes import Draft
from covey_transactions.domain.renewal import Group, Renewal
from covey_transactions.domain.representative import Contact
from covey_transactions.domain.transaction import Transaction, TransactionNotFound
from covey_transactions.use_cases.add_representative import add_representative
from joserfc.jwk import OKPKey
from sqlalchemy import text

from .story import a_draft, command, until_waiting

DRAFT = Draft.model_validate(a_draft())


@dataclass(frozen=True)
class Reviewer:
    """Somebody who reviews, or would."""

    account_id: UUID
    api: httpx.AsyncClient

    async def read(self, transaction_id: UUID) -> httpx.Response:
        return await self.api.get(f"/v1/reviews/{transaction_id}")

    async def queue(self, **asked: Any) -> list[dict[str, Any]]:
        answer = await self.api.get("/v1/reviews", params=asked)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    async def claim(self, transaction_id: UUID) -> httpx.Response:
        return await self.api.post(f"/v1/reviews/{transaction_id}/claim", headers=command())

    async def release(self, transaction_id: UUID) -> httpx.Response:
        return await self.api.delete(f"/v1/reviews/{transaction_id}/claim", headers=command())

    async def approve(self, transaction_id: UUID, *, number: int = 1) -> httpx.Response:
        return await self.decide(transaction_id, "approval", round=number)

    async def decline(self, transaction_id: UUID, *, number: int = 1, reason: str = "Too small.") -> httpx.Response:
        return await self.decide(transaction_id, "decline", round=number, reason=reason)

    async def send_back(self, transaction_id: UUID, representative_id: UUID, *, number: int = 1) -> httpx.Response:
        said = {"instructions": "Add what is missing.", "required_items": ["W-9"]}
        return await self.decide(
            transaction_id, "return", round=number, representative_id=str(representative_id), **said
        )

    async def decide(self, transaction_id: UUID, decision: str, **said: Any) -> httpx.Response:
        return await self.api.post(f"/v1/reviews/{transaction_id}/{decision}", json=said, headers=command())


@dataclass(frozen=True)
class Program:
    """A program with a key of its own."""

    account_id: UUID
    key: OKPKey

    def sign(self, about: UUID, decision: str = "approve", *, number: object = 1, **claims: Any) -> str:
        """Its command. What is given stands instead of what is usual."""
        usual = {"transaction_id": str(about), "decision": decision, "round": number}
        return sign(self.key, self.account_id, audience="covey-transactions", **usual | claims)


@dataclass
class Reviewing:
    """The service's part of a review."""

    covey: Harness
    owner_id: UUID = field(default_factory=new_id)

    # --- what there is ---

    async def submitted(
        self, name: str = "Acme", *, market_region: str = "California", owner_id: UUID | None = None
    ) -> UUID:
        """A group, its available renewal, and changes to it that were submitted once."""
        transaction_id = await self.saved(name, market_region=market_region, owner_id=owner_id)
        await self.submit(transaction_id)
        return transaction_id

    async def saved(
        self, name: str = "Acme", *, market_region: str = "California", owner_id: UUID | None = None
    ) -> UUID:
        owner_id = owner_id or self.owner_id
        group = Group(
            group_id=new_id(), sequence=1, group_number=f"G-{name}", legal_name=name, market_region=market_region
        )
        renewal = Renewal(
            renewal_id=new_id(),
            sequence=1,
            group_id=group.group_id,
            plan_year=2100,
            effective_date=date(2100, 4, 1),
            status=RenewalStatus.AVAILABLE,
        )
        async with self.covey.transaction() as session:
            at = self.covey.context.clock.now()
            session.add_all([group, renewal])
            await session.flush()
            transaction = Transaction.open(renewal, by=owner_id, at=at)
            session.add(transaction)
            opened = transaction.save(DRAFT, by=owner_id, at=at)
            assert opened is not None
            emit(session, transaction, opened)
        return transaction.id

    async def submit(self, transaction_id: UUID, *, by: UUID | None = None) -> None:
        async with self.covey.transaction() as session:
            transaction = await load(session, Transaction, transaction_id, missing=TransactionNotFound)
            at = self.covey.context.clock.now()
            emit(session, transaction, transaction.submit(by=by or self.owner_id, at=at))

    async def withdraw(self, transaction_id: UUID) -> httpx.Response:
        """Its owner takes it back."""
        ((group_id,),) = await self.run("SELECT group_id FROM transaction WHERE id = :id", id=transaction_id)
        owner = await self.covey.person({group_id: [Right.RENEWALS_CHANGE]})
        return await owner.post(f"/v1/groups/{group_id}/transactions/{transaction_id}/withdrawal", headers=command())

    async def let_claim_lapse(self, transaction_id: UUID) -> None:
        await self.run(
            "UPDATE transaction SET claimed_until = now() - interval '1 second' WHERE id = :id", id=transaction_id
        )

    async def representative(self, name: str = "Rosa Diaz") -> UUID:
        async with self.covey.transaction() as session:
            contact = Contact(name=name, phone="(555) 010-0100", email="rosa@carrier.example")
            return (await add_representative(session, contact)).id

    # --- who reviews ---

    async def reviewer(self, *rights: StaffRight) -> Reviewer:
        account_id = new_id()
        await self.covey.know(_staff(account_id, rights or (StaffRight.REVIEW_DECIDE,)))
        return Reviewer(account_id, self.covey.client(account_id))

    async def program(self, *rights: StaffRight, registered: bool = True) -> Program:
        program = Program(new_id(), new_key())
        await self.covey.know(_staff(program.account_id, rights or (StaffRight.REVIEW_DECIDE,)))
        if registered:
            await self.covey.know(key_of(program))
        return program

    async def told(self, transaction_id: UUID, signed: str) -> ReviewDecisionAnswered:
        """The message with the command arrives; what it is answered."""
        before = len(await self.answers())
        await self.covey.deliver(ReviewDecision(transaction_id=transaction_id, signed=signed))
        (answer,) = (await self.answers())[before:]
        return answer

    # --- what came of it ---

    async def answers(self) -> list[ReviewDecisionAnswered]:
        found = await self.covey.published(ReviewDecisionAnswered)
        assert all(each.sequence is None and each.key == str(each.event.transaction_id) for each in found)  # type: ignore[attr-defined]
        return [each.event for each in found if isinstance(each.event, ReviewDecisionAnswered)]

    async def history(self, transaction_id: UUID) -> list[str]:
        """The kinds of what was told of the transaction, in order, which its sequence must be without a gap."""
        told = [
            each
            for each in await self.covey.published()
            if isinstance(each.event, TransactionState) and each.key == str(transaction_id)
        ]
        assert [each.sequence for each in told] == list(range(1, len(told) + 1))
        return [type(each.event).__name__ for each in told]

    async def state(self, transaction_id: UUID) -> tuple[str, list[str | None]]:
        """Its status, and what became of each of its rounds."""
        ((status,),) = await self.run("SELECT status FROM transaction WHERE id = :id", id=transaction_id)
        rounds = await self.run(
            "SELECT outcome FROM round WHERE transaction_id = :id ORDER BY number", id=transaction_id
        )
        return status, [outcome for (outcome,) in rounds]

    async def run(self, statement: str, **values: Any) -> list[Any]:
        async with self.covey.transaction() as session:
            found = await session.execute(text(statement), values)
            return list(found.all()) if found.returns_rows else []

    async def until_waiting(self, number: int) -> None:
        await until_waiting(self.covey, number)


def _staff(account_id: UUID, rights: tuple[StaffRight, ...]) -> Fact:
    return Fact(kind=FactKind.STAFF, id=account_id, account_id=account_id, rights=rights, active=True)


def key_of(program: Program, *, active: bool = True) -> Fact:
    return Fact(kind=FactKind.KEY, id=key_id(program.key), account_id=program.account_id, active=active)
