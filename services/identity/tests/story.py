"""What happens to groups and people, told to the service over its own edges."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import count
from typing import Any
from uuid import UUID

import httpx
from covey_chassis.access import Right
from covey_chassis.ids import new_id
from covey_chassis.testing import Harness
from covey_contracts.identity import AccessCodeIssued, CodeLetter, Letter, MailRequested
from covey_contracts.membership import (
    Address,
    BillingUnit,
    BrokerOfRecord,
    Contact,
    GroupChanged,
    GroupContacts,
    GroupRegistered,
    GroupState,
)

from .accounts import Somebody, client_of, command, session_of

Json = dict[str, Any]
_numbers = count(1)
ACQUIRED = date(2024, 6, 17)
"""When a broker's firm acquired a group, by the carrier's book."""


@dataclass(frozen=True)
class Person:
    """Somebody who has an account, and their client."""

    account_id: UUID
    user_id: str
    email: str
    api: httpx.AsyncClient


@dataclass
class Story:
    """The platform as identity sees it."""

    covey: Harness
    _groups: dict[UUID, int] = field(default_factory=dict)

    # --- groups and firms ---

    async def group(self, *, broker: str | None = None, units: Sequence[str] = ("001", "002")) -> UUID:
        """A group is registered, with a broker of record by firm number."""
        group_id = new_id()
        self._groups[group_id] = 1
        await self.covey.deliver(self.state(GroupRegistered, group_id, broker, units), sequence=1)
        return group_id

    async def changes_broker(
        self,
        group_id: UUID,
        broker: str | None,
        units: Sequence[str] = ("001", "002"),
        acquired: date = ACQUIRED,
    ) -> None:
        """The carrier's book says another broker of record, or none."""
        self._groups[group_id] += 1
        state = self.state(GroupChanged, group_id, broker, units, acquired)
        await self.covey.deliver(state, sequence=self._groups[group_id])

    def state(
        self,
        kind: type[GroupState],
        group_id: UUID,
        broker: str | None,
        units: Sequence[str] = ("001", "002"),
        acquired: date = ACQUIRED,
    ) -> GroupState:
        """What the carrier's book says of a group."""
        contact = Contact(name="Ann Signer", email="ann@bakery.example")
        sealed = self.covey.context.keyring.seal(GroupContacts(contract_signer=contact, billing_contact=contact))
        return kind(
            group_id=group_id,
            group_number=number_of(group_id),
            legal_name="Oak Street Bakery, Inc.",
            ein="12-3456789",
            market_region="California",
            principal_address=Address(street="1 Oak St", city="Fresno", county="Fresno", state="CA", zip="93650"),
            billing_units=tuple(BillingUnit(code=code, name=f"Unit {code}") for code in units),
            effective_date=date(2020, 7, 1),
            renewal_date=date(2027, 7, 1),
            plans=(),
            broker=broker
            and BrokerOfRecord(firm_number=broker, firm_name=f"{broker} Benefits", acquired_date=acquired),
            sealed=sealed,
        )

    async def firm(self, firm_number: str) -> UUID:
        """The firm's ID."""
        found = await self.covey.api.get("/v1/firms", params={"firm_number": firm_number})
        return UUID(found.json()["items"][0]["id"])

    async def joins(self, person: Person, firm_id: UUID) -> None:
        answer = await self.covey.api.post(
            f"/v1/firms/{firm_id}/members", json={"account_id": str(person.account_id)}, headers=command()
        )
        assert answer.status_code == 201, answer.text

    # --- people ---

    async def person(self, first_name: str = "Pat", email: str | None = None) -> Person:
        """Somebody registers and verifies their address."""
        number = next(_numbers)
        email = email or f"{first_name.lower()}{number}@people.example"
        anybody = self.covey.client(None)
        form = {
            "market_region": "California",
            "first_name": first_name,
            "last_name": f"Ostby-{number}",
            "company": "Oak Street Bakery",
            "email": email,
            "terms_version": "2026-01",
            "terms_accepted": True,
        }
        asked = await anybody.post("/v1/registrations", json=form, headers=command())
        assert asked.status_code == 202, asked.text
        token = (await self.letter(MailRequested, Letter)).token
        verified = await anybody.post(
            "/v1/registrations/verification",
            json={"token": token, "password": "quillfern-9-thistle"},
            headers=command(),
        )
        assert verified.status_code == 201, verified.text
        account_id = UUID(verified.json()["account_id"])
        return Person(account_id, verified.json()["user_id"], email, self.covey.client(account_id))

    async def signed_on(self, person: Person) -> httpx.AsyncClient:
        """Their client in a session of their own: for what takes their password once more."""
        who = Somebody(person.account_id, person.user_id, person.email, "quillfern-9-thistle")
        return await client_of(self.covey, await session_of(self.covey, who))

    async def letter(self, kind: type[Any], body: type[Any]) -> Any:
        """What was sealed in the newest event of this kind."""
        return self.covey.context.keyring.open((await self.covey.published(kind))[-1].event.sealed, body)

    async def code(self) -> str:
        """The access code that was sent last."""
        return str((await self.letter(AccessCodeIssued, CodeLetter)).code)

    # --- access ---

    async def request(self, group_id: UUID, person: Person | str) -> str:
        """An officer asks for somebody to be the primary; the reference."""
        email = person if isinstance(person, str) else person.email
        form = {
            "group_number": number_of(group_id),
            "company": "Oak Street Bakery",
            "officer_first_name": "Olu",
            "officer_last_name": "Officer",
            "officer_email": "olu@bakery.example",
            "first_name": "Prim",
            "last_name": "Ary",
            "email": email,
        }
        answer = await self.covey.client(None).post("/v1/access-requests", json=form, headers=command())
        assert answer.status_code == 202, answer.text
        return str(answer.json()["reference"])

    async def approve(self, group_id: UUID, reference: str) -> httpx.Response:
        return await self.covey.api.post(
            f"/v1/access-requests/{reference}/approval", json={"group_id": str(group_id)}, headers=command()
        )

    async def redeem(self, person: Person, code: str, **headers: str) -> httpx.Response:
        """Without waiting for the services, unless ``Prefer`` says so."""
        headers = command(**({"Prefer": "wait=0"} | headers))
        return await person.api.post("/v1/access-codes/redemption", json={"code": code}, headers=headers)

    async def primary(self, group_id: UUID, first_name: str = "Prim") -> Person:
        """Somebody becomes the group's primary administrator, all the way."""
        person = await self.person(first_name)
        answer = await self.approve(group_id, await self.request(group_id, person))
        assert answer.status_code == 200, answer.text
        redeemed = await self.redeem(person, await self.code())
        assert redeemed.status_code == 200, redeemed.text
        return person

    async def add(
        self,
        primary: Person,
        group_id: UUID,
        email: str,
        rights: Iterable[Right] = (Right.RENEWALS_VIEW,),
        units: Sequence[str] | None = None,
    ) -> httpx.Response:
        body: Json = {"first_name": "Sec", "last_name": "Ondary", "email": email, "rights": list(rights)}
        return await primary.api.post(
            f"/v1/groups/{group_id}/users", json=body | {"billing_units": units}, headers=command()
        )

    async def secondary(
        self,
        primary: Person,
        group_id: UUID,
        rights: Iterable[Right] = (Right.RENEWALS_VIEW,),
        units: Sequence[str] | None = None,
        person: Person | None = None,
    ) -> tuple[Person, str]:
        """Somebody is added and redeems their code; with the ID of their grant."""
        person = person or await self.person("Sec")
        added = await self.add(primary, group_id, person.email, rights, units)
        assert added.status_code == 201, added.text
        redeemed = await self.redeem(person, await self.code())
        assert redeemed.status_code == 200, redeemed.text
        return person, str(added.json()["grant_id"])

    async def remove(self, by: Person, group_id: UUID, grant_id: str, **headers: str) -> httpx.Response:
        return await by.api.delete(f"/v1/groups/{group_id}/users/{grant_id}", headers=command(**headers))

    async def sees(self, person: Person) -> dict[UUID, list[str]]:
        """What somebody holds, by group, as the service tells them."""
        answer = await person.api.get("/v1/access/groups", params={"limit": 200})
        assert answer.status_code == 200, answer.text
        return {UUID(each["group_id"]): each["rights"] for each in answer.json()["items"]}


def number_of(group_id: UUID) -> str:
    return f"G-{group_id.hex[-8:]}"
