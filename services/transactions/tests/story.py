"""What owners do, in one line each: a group with an available renewal, somebody who changes it, what came of it."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
from covey_chassis.access import Right
from covey_chassis.access.facts import Fact, FactKind
from covey_chassis.clock import Clock
from covey_chassis.db import load
from covey_chassis.ids import new_id
from covey_chassis.outbox import emit
from covey_chassis.testing import Harness
from covey_chassis.testing.broker import eventually
from covey_contracts.renewals import RenewalStatus
from covey_contracts.transactions import DeclineLetter, Representative, ReturnLetter, TransactionState
from covey_transactions.domain.transaction import Transaction, TransactionNotFound
from sqlalchemy import text

Json = dict[str, Any]
Answers = list[httpx.Response]

TODAY, EFFECTIVE_DATE, PLAN_YEAR = date(2100, 2, 1), date(2100, 4, 1), 2100
"""Far ahead, so that the date can be moved there whatever day it really is."""

RETURN = ReturnLetter(
    instructions="Add what is missing.",
    required_items=("W-9",),
    representative=Representative(
        representative_id=UUID(int=7), name="Rosa Diaz", phone="(555) 010-0100", email="rosa@carrier.example"
    ),
)


def a_draft(**different: Any) -> Json:
    """One that can be submitted."""
    return {
        "classes": [
            {
                "employee_class": "Full-time",
                "plan_ids": ["GOLD-80", "SILVER-70"],
                "contribution": {"basis": "percent", "employee": "75.00", "dependents": "50"},
            }
        ],
        "enrollments": [
            {
                "subscriber": {"first_name": "Ada", "last_name": "Lovelace", "date_of_birth": "1990-12-10"},
                "employee_class": "Full-time",
                "plan_id": "GOLD-80",
                "dependents": [
                    {
                        "first_name": "Anne",
                        "last_name": "Lovelace",
                        "date_of_birth": "2015-09-22",
                        "relationship": "child",
                    }
                ],
            }
        ],
        "terminations": [
            {
                "subscriber": {"first_name": "Kurt", "last_name": "Weill", "date_of_birth": "1980-03-02"},
                "reason": "left employment",
            }
        ],
    } | different


def command(**headers: str) -> dict[str, str]:
    return {"Idempotency-Key": uuid4().hex} | {name.replace("_", "-"): value for name, value in headers.items()}


async def until_waiting(covey: Harness, number: int) -> None:
    """Until so many sessions wait for a lock."""

    async def waiting() -> bool:
        async with covey.transaction() as session:
            return await session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")) == number

    await eventually(waiting)


@dataclass
class Owner:
    """Somebody who works on transactions of one group, or would."""

    account_id: UUID
    group_id: UUID
    renewal_id: UUID
    api: httpx.AsyncClient

    def path(self, transaction_id: str, *more: str) -> str:
        return "/".join((f"/v1/groups/{self.group_id}/transactions/{transaction_id}", *more))

    async def open(self, **different: Any) -> httpx.Response:
        body = {"renewal_id": str(self.renewal_id)} | different
        return await self.api.post(f"/v1/groups/{self.group_id}/transactions", json=body, headers=command())

    async def read(self, transaction_id: str) -> httpx.Response:
        return await self.api.get(self.path(transaction_id))

    async def whole(self, made: "Made") -> Json:
        """All of it, as it is read now: answers of commands name no persons."""
        answer = await self.read(made.transaction_id)
        assert answer.is_success, answer.text
        body: Json = answer.json()
        return body

    async def save(self, transaction_id: str, draft: Json, etag: str, **headers: str) -> httpx.Response:
        headers = command(If_Match=etag) | headers
        return await self.api.put(self.path(transaction_id, "draft"), json=draft, headers=headers)

    async def submit(self, transaction_id: str, etag: str, **headers: str) -> httpx.Response:
        headers = command(If_Match=etag) | headers
        return await self.api.post(self.path(transaction_id, "submission"), headers=headers)

    async def withdraw(self, transaction_id: str) -> httpx.Response:
        return await self.api.post(self.path(transaction_id, "withdrawal"), headers=command())


@dataclass(frozen=True)
class Made:
    """A transaction as it was answered last."""

    transaction_id: str
    etag: str
    body: Json

    @classmethod
    def of(cls, answer: httpx.Response) -> "Made":
        assert answer.is_success, answer.text
        return cls(answer.json()["transaction_id"], answer.headers["ETag"], answer.json())


@dataclass
class Story:
    """The platform as transactions sees it."""

    covey: Harness
    group_event: Callable[..., Any]
    renewal_event: Callable[..., Any]
    _heard: dict[UUID, int] = field(default_factory=dict)

    # --- what there is ---

    async def group(self, name: str = "Acme", **different: Any) -> UUID:
        """A group with an available renewal."""
        event = self.group_event(name, **different)
        await self.covey.deliver(event)
        await self.renewal(name)
        return UUID(event.key)

    async def renewal(self, name: str = "Acme", status: str = "available", **different: Any) -> UUID:
        """Renewals tells how the group's coming plan year stands."""
        event = self.renewal_event(name, status=RenewalStatus(status), **different)
        sequence = self._heard[event.renewal_id] = self._heard.get(event.renewal_id, 0) + 1
        await self.covey.deliver(event, sequence=sequence)
        return UUID(event.key)

    async def renewal_made_again(self, status: str = "available") -> UUID:
        """Renewals has forgotten that it made one for the group and plan year, and tells of another."""
        event = self.renewal_event("Acme", status=RenewalStatus(status))
        again = event.model_copy(update={"renewal_id": UUID(int=(1 << 128) - 1)})  # IDs go by time: a later one
        sequence = self._heard[again.renewal_id] = self._heard.get(again.renewal_id, 0) + 1
        await self.covey.deliver(again, sequence=sequence)
        return again.renewal_id

    async def owner(self, name: str = "Acme", *rights: Right) -> Owner:
        """Somebody with these rights in the group that was told of; by default those of an owner."""
        account_id, renewal = new_id(), self.renewal_event(name)
        await self.grant(account_id, renewal.group_id, *(rights or (Right.RENEWALS_VIEW, Right.RENEWALS_CHANGE)))
        return Owner(account_id, renewal.group_id, renewal.renewal_id, self.covey.client(account_id))

    async def grant(
        self, account_id: UUID, group_id: UUID, *rights: Right, units: tuple[str, ...] | None = None
    ) -> None:
        """They hold these rights in the group, or in these of its billing units."""
        await self.covey.know(
            Fact(
                kind=FactKind.GRANT,
                id=new_id(),
                group_id=group_id,
                account_id=account_id,
                rights=rights,
                billing_units=units,
                active=True,
            )
        )

    async def begin(self, name: str = "Acme") -> Owner:
        """A group with an available renewal, and its owner."""
        await self.group(name)
        return await self.owner(name)

    # --- what owners do ---

    async def opened(self, owner: Owner, **different: Any) -> Made:
        return Made.of(await owner.open(**different))

    async def saved(self, owner: Owner, draft: Json | None = None) -> Made:
        made = await self.opened(owner)
        return Made.of(await owner.save(made.transaction_id, draft or a_draft(), made.etag))

    async def submitted(self, owner: Owner, draft: Json | None = None) -> Made:
        made = await self.saved(owner, draft)
        return Made.of(await owner.submit(made.transaction_id, made.etag))

    async def withdrawn(self, owner: Owner) -> Made:
        made = await self.saved(owner)
        return Made.of(await owner.withdraw(made.transaction_id))

    # --- what the carrier decides ---

    async def sent_back(self, transaction_id: str) -> str:
        """It is returned with instructions; its ETag since."""
        return await self._decided(
            transaction_id,
            lambda it, by, at: it.send_back(it.rounds[-1].number, RETURN, by=by, at=at, seal=lambda _: "e30.a.b.c.d"),
        )

    async def approved(self, transaction_id: str) -> str:
        return await self._decided(transaction_id, lambda it, by, at: it.approve(it.rounds[-1].number, by=by, at=at))

    async def declined(self, transaction_id: str) -> str:
        return await self._decided(
            transaction_id,
            lambda it, by, at: it.decline(
                it.rounds[-1].number, DeclineLetter(reason="Too small."), by=by, at=at, seal=lambda _: "e30.a.b.c.d"
            ),
        )

    async def _decided(
        self, transaction_id: str, decide: Callable[[Transaction, UUID, datetime], TransactionState]
    ) -> str:
        async with self.covey.transaction() as session:
            transaction = await load(session, Transaction, UUID(transaction_id), missing=TransactionNotFound)
            emit(session, transaction, decide(transaction, new_id(), Clock.now()))
            await session.flush()
            return f'"{transaction.version}"'

    # --- what happens at once ---

    async def at_once(self, table: str, row_id: UUID | str, *requests: Coroutine[Any, Any, httpx.Response]) -> Answers:
        """The answers to requests that have all come as far as this row before any goes on."""
        column = {"transaction": "id", "renewal_copy": "renewal_id"}[table]
        async with asyncio.TaskGroup() as tasks, self.covey.transaction() as session:
            await session.execute(text(f"SELECT FROM {table} WHERE {column} = :id FOR UPDATE"), {"id": row_id})
            sent = [tasks.create_task(each) for each in requests]
            await until_waiting(self.covey, len(sent))
        return [each.result() for each in sent]

    # --- what came of it ---

    async def told(self, transaction_id: str) -> list[TransactionState]:
        """What the world heard of it, in order; its sequence has no gap."""
        found = [each for each in await self.covey.published() if each.key == transaction_id]
        assert [each.sequence for each in found] == list(range(1, len(found) + 1))
        return [each.event for each in found if isinstance(each.event, TransactionState)]
