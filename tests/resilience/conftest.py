"""The service that owns access, one that listens to it, and a person in a group."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from covey_chassis.access import Right
from covey_chassis.access.applier import Applier, acknowledge
from covey_chassis.access.facts import Fact, FactKind
from covey_chassis.ids import new_id
from covey_chassis.testing import Harness, ServiceHarness
from covey_identity import feed
from covey_identity.app import service as identity_service
from covey_identity.audit import Author
from covey_identity.domain.access_change import ChangeKind
from covey_identity.ledger import lock_ledger
from covey_identity.progress import settle, start_change
from covey_membership.app import service as membership_service
from sqlalchemy import text

CREDENTIAL = "a credential of a test"
GROUP = {
    "group_number": "G-0001",
    "legal_name": "Quillfern Ceramics LLC",
    "ein": "12-3456789",
    "market_region": "California",
    "principal_address": {
        "street": "2410 Example Street",
        "city": "Fresno",
        "state": "CA",
        "county": "Fresno",
        "zip": "93721",
    },
    "contract_signer": {"name": "Marisol Abenayo", "email": "marisol@quillfern.example.org"},
    "billing_contact": {"name": "Dev Ranganath", "email": "billing@quillfern.example.org"},
    "billing_units": [{"code": "001", "name": "Studio"}],
    "effective_date": "2021-02-01",
    "renewal_date": "2027-02-01",
    "plans": [],
    "broker": None,
}


@dataclass
class World:
    """The owner of the facts, a listener, and a person with a grant in one of its groups."""

    owner: Harness
    listener: Harness
    group_id: UUID
    person_id: UUID = field(default_factory=new_id)
    grant_id: UUID = field(default_factory=new_id)
    http: httpx.AsyncClient = field(default_factory=httpx.AsyncClient)
    applier: Applier = field(init=False)
    _eins: int = 0

    def __post_init__(self) -> None:
        self.applier = self.new_applier()

    @property
    def person(self) -> httpx.AsyncClient:
        return self.listener.client(self.person_id)

    # --- what the owner does ---

    async def give(self, *rights: Right) -> UUID:
        """The person holds these rights in the group, from this commit on."""
        return await self.record(ChangeKind.GRANTED, [self.grant(rights or (Right.GROUP_UPDATE,), active=True)])

    async def remove(self) -> UUID:
        """The person holds nothing any more, from this commit on; the ID of the change."""
        return await self.record(ChangeKind.REMOVED, [self.grant((), active=False)])

    def grant(self, rights: Iterable[Right], *, active: bool) -> Fact:
        return Fact(
            kind=FactKind.GRANT,
            id=self.grant_id,
            group_id=self.group_id,
            account_id=self.person_id,
            rights=tuple(rights),
            active=active,
        )

    async def record(self, kind: ChangeKind, facts: list[Fact], *, acknowledged: bool = True) -> UUID:
        """A change on its way, with these facts; the owner itself has acknowledged it, if nothing else is said."""
        async with self.owner.transaction() as session:
            ledger = await lock_ledger(session)
            await ledger.record("a test", Author("a test"), facts)
            change = start_change(
                session,
                ledger,
                kind,
                group_id=self.group_id,
                account_id=self.person_id,
                requested_by=None,
                at=self.owner.context.clock.now(),
            )
        if acknowledged:
            await acknowledge(self.owner.context.workers)
        return change.id

    async def is_done(self, change_id: UUID) -> bool:
        """Whether the owner would answer that the change is true everywhere."""
        await settle(self.owner.context)
        async with self.owner.transaction() as session:
            how = text("SELECT how FROM access_change WHERE id = :id")
            return await session.scalar(how, {"id": change_id}) is not None

    # --- what the listener does ---

    def new_applier(self) -> Applier:
        """The applier of another one of the listener's processes."""
        return Applier(self.listener.context.workers, url="http://owner.test", credential=CREDENTIAL)

    async def acknowledge(self) -> bool:
        return await acknowledge(self.listener.context.workers)

    async def step(self) -> None:
        """Ask once, and apply what comes. An acknowledgement that is to be told breaks a poll off: then ask again."""
        assert await self.applier.step(self.http), "another process is at work"

    async def catch_up(self) -> None:
        """Hear all that there is, acknowledge it, and say so."""
        for _ in range(3):
            await self.step()
            await self.acknowledge()

    async def another_process_takes_over(self) -> Applier:
        """The one that was at work is silent, for long enough; the applier of the silent one."""
        async with self.listener.transaction() as session:
            await session.execute(text("UPDATE access_applier SET holder_until = '-infinity'"))
        silent, self.applier = self.applier, self.new_applier()
        return silent

    async def lease(self, column: str = "clock_timestamp() < lease_until") -> Any:
        """Something of the applier's row; whether there is a lease, unless asked for something else."""
        async with self.listener.transaction() as session:
            return await session.scalar(text(f"SELECT {column} FROM access_applier"))

    # --- what the person does ---

    async def reads(self) -> int:
        return (await self.person.get(f"/v1/groups/{self.group_id}")).status_code

    async def writes(self, key: str | None = None) -> int:
        """Change the group's EIN to one that it never had."""
        self._eins += 1
        ein = f"98-{self._eins:07d}"
        async with self.listener.transaction() as session:
            version = await session.scalar(
                text("SELECT version FROM covered_group WHERE group_id = :id"), {"id": self.group_id}
            )
        answer = await self.person.patch(
            f"/v1/groups/{self.group_id}",
            json={"ein": ein},
            headers={"If-Match": f'"{version}"', "Idempotency-Key": key or uuid4().hex},
        )
        return answer.status_code


def identity_settings(sealing_keys: Path) -> dict[str, Any]:
    return {
        "signing_keys": sealing_keys / "signing.jwks.json",
        "listener_credentials": {"membership": CREDENTIAL, "renewals": "another credential of a test"},
        "code_secret": "a secret of a test that is long enough",
        "argon2_memory_kib": 8,
        "argon2_passes": 1,
        "argon2_lanes": 1,
    }


@pytest.fixture
async def world(
    service_harness: ServiceHarness, sealing_keys: Path, signing_key: object, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    monkeypatch.setattr(feed, "WAIT_S", 0.05)  # a poll without news is over soon: steps are made by hand here
    async with (
        service_harness(identity_service, **identity_settings(sealing_keys)) as owner,
        service_harness(membership_service) as listener,
    ):
        registered = await listener.api.post("/v1/groups", json=GROUP, headers={"Idempotency-Key": "register"})
        async with listener.transaction() as session:
            await session.execute(text("DELETE FROM access_fact"))
            await session.execute(text("UPDATE access_applier SET authority = false"))
        async with owner.transaction() as session:
            await session.execute(text("DELETE FROM access_fact"))
        transport = httpx.ASGITransport(owner.app, raise_app_exceptions=False)
        headers = {"Authorization": f"Bearer {CREDENTIAL}"}
        async with httpx.AsyncClient(transport=transport, headers=headers, timeout=30) as http:
            world = World(owner, listener, UUID(registered.json()["group_id"]), http=http)
            await world.give()
            await world.catch_up()
            yield world
