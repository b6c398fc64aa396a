"""Whatever is sent to any route of any service, the answer is one that its OpenAPI document describes, and none is a 500.

Schemathesis makes the requests out of the documents, good ones and bad ones; they go to the real service with a real
database, on a port of its own. ``COVEY_REQUESTS=200`` sends so many to each route, each time others.
"""

import asyncio
import importlib
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import requests
import schemathesis
from covey_chassis.access import Right, StaffRight
from covey_chassis.access.facts import Fact, FactKind
from covey_chassis.ids import new_id
from covey_chassis.testing import Harness, ServiceHarness
from covey_chassis.testing.streams import serving
from covey_contracts.identity import AccessCodeIssued, CodeLetter
from covey_contracts.membership import (
    Address,
    BillingUnit,
    BrokerOfRecord,
    Contact,
    GroupContacts,
    GroupPlan,
    GroupRegistered,
)
from covey_contracts.renewals import RenewalAvailable, RenewalStatus
from covey_local import topology
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode, checks
from schemathesis.config import GenerationConfig, ProjectConfig, ProjectsConfig, SchemathesisConfig
from schemathesis.core.failures import FailureGroup

REQUESTS = int(os.environ.get("COVEY_REQUESTS", "0"))

CHECKS: list[Any] = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
CREDENTIAL = "a credential of a test"

RENEWAL_IDS = [new_id() for _ in range(4)]
GROUP_ID, UNIT = new_id(), BillingUnit(code="001", name="Studio")
GROUP = GroupRegistered(
    group_id=GROUP_ID,
    group_number="G-0001",
    legal_name="Quillfern Ceramics LLC",
    ein="12-3456789",
    market_region="California",
    principal_address=Address(street="1 Oak St", city="Fresno", county="Fresno", state="CA", zip="93650"),
    billing_units=(UNIT,),
    effective_date=date(2021, 2, 1),
    renewal_date=date(2027, 2, 1),
    plans=tuple(GroupPlan(plan_year=2027 + number, plan_id="GOLD-80") for number in range(len(RENEWAL_IDS))),
    broker=BrokerOfRecord(firm_number="F-1", firm_name="Brokers LLC", acquired_date=date(2024, 6, 17)),
    sealed="e30.a.b.c.d",
)

ASKED = {
    "group_number": GROUP.group_number,
    "company": "Quillfern",
    "officer_first_name": "Olu",
    "officer_last_name": "Officer",
    "officer_email": "olu@bakery.example",
    "first_name": "Prim",
    "last_name": "Ary",
    "email": "prim@carrier.example",
}
NAMED = {"first_name": "Sec", "last_name": "Ondary", "email": "someone@people.example"}
RIGHTS = {"rights": ["billing.pay"], "billing_units": None}
DRAFT = {
    "classes": [
        {
            "employee_class": "All",
            "plan_ids": ["GOLD-80"],
            "contribution": {"basis": "percent", "employee": "75.00", "dependents": "50.00"},
        }
    ],
    "enrollments": [],
    "terminations": [],
}
HELPER = {"name": "Odalys Brenner", "phone": "+1 555 0100", "email": "odalys@carrier.example"}
REGISTERED = GROUP.model_dump(mode="json", exclude={"group_id", "sealed", "broker"}) | {
    "contract_signer": {"name": "Ann Signer", "email": "ann@bakery.example"},
    "billing_contact": {"name": "Ann Signer", "email": "ann@bakery.example"},
    "broker": None,
}
SOUND: dict[str, dict[str, Any]] = {
    "POST /internal/staff": NAMED | {"rights": ["operations"]},
    "POST /v1/registrations": {
        **NAMED,
        "market_region": "California",
        "company": "Quillfern",
        "terms_version": "1",
        "terms_accepted": True,
    },
    "POST /v1/access-requests": ASKED,
    "POST /v1/access-requests/{reference}/approval": {"group_id": str(GROUP_ID)},
    "POST /v1/groups/{group_id}/users": NAMED | RIGHTS,
    "PUT /v1/groups/{group_id}/users/{grant_id}/rights": RIGHTS,
    "POST /v1/programs": {"name": "A program"},
    "POST /v1/programs/{account_id}/keys": {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": "1" * 43}},
    "POST /v1/groups": REGISTERED | {"group_number": "G-0002"},
    "PATCH /v1/groups/{group_id}": {"legal_name": "Quillfern LLC"},
    "PUT /v1/groups/{group_id}/carrier-data": {
        name: REGISTERED[name] for name in ("ein", "effective_date", "renewal_date", "plans", "broker")
    },
    "POST /v1/groups/{group_id}/transactions": {"renewal_id": str(RENEWAL_IDS[0]), "copy_of": None},
    "PUT /v1/groups/{group_id}/transactions/{transaction_id}/draft": DRAFT,
    "POST /v1/reviews/{transaction_id}/approval": {"round": 1},
    "POST /v1/reviews/{transaction_id}/decline": {"round": 1, "reason": "Not eligible."},
    "POST /v1/representatives": HELPER,
    "PUT /v1/representatives/{representative_id}": HELPER | {"active": True},
}
"""Bodies that are accepted: what validation asks for beyond what a JSON schema can say is seldom hit by chance."""


def settings_of(name: str, keys: Path) -> dict[str, Any]:
    """What this service needs to be told beside what all do."""
    of: dict[str, dict[str, Any]] = {
        "identity": {
            "signing_keys": keys / "signing.jwks.json",
            "listener_credentials": {"renewals": CREDENTIAL},
            "code_secret": "a secret of a test that is long enough",
            "portal_url": "https://portal.carrier.example",
            "argon2_memory_kib": 8,  # as weak as can be: what is slow on purpose is not what is tested
            "argon2_passes": 1,
            "argon2_lanes": 1,
        },
        "notifications": {
            "smtp_host": "127.0.0.1",
            "smtp_tls": "none",
            "mail_from": "Covey <no-reply@carrier.example>",
        },
    }
    return of.get(name, {})


# --- a service that there is something in ---


@dataclass
class Fuzzed:
    """A service on a port, whose requests come from somebody who may do everything."""

    harness: Harness
    url: str
    account_id: UUID
    known: dict[str, list[str]] = field(default_factory=dict)
    """IDs of what is there, by the name of the path's parameter."""

    def headers(self, path: str) -> dict[str, str]:
        if path == "/internal/access/feed":
            return {"Authorization": f"Bearer {CREDENTIAL}"}
        if path.startswith("/internal/"):
            return self.harness.operator
        return {"Authorization": self.harness.client(self.account_id).headers["Authorization"]}


async def furnish(harness: Harness) -> tuple[UUID, dict[str, list[str]]]:
    """Let a group be there, and one account that holds every right in it and every staff right; what is there."""
    contact = Contact(name="Ann Signer", email="ann@bakery.example")
    sealed = harness.context.keyring.seal(GroupContacts(contract_signer=contact, billing_contact=contact))
    if harness.service.consumers:
        await harness.deliver(GROUP.model_copy(update={"sealed": sealed}))
    if harness.service.name == "identity":
        return await furnish_identity(harness)
    account_id, group_id = new_id(), GROUP_ID
    if harness.service.name == "membership":
        group_id = await register_group(harness)
    await harness.know(
        Fact(kind=FactKind.STAFF, id=account_id, account_id=account_id, rights=tuple(StaffRight), active=True),
        Fact(
            kind=FactKind.GRANT, id=new_id(), group_id=group_id, account_id=account_id, rights=tuple(Right), active=True
        ),
    )
    known = {"group_id": [str(group_id)]}
    if harness.service.name == "transactions":
        known |= await furnish_transactions(harness)
    return account_id, known


async def furnish_transactions(harness: Harness) -> dict[str, list[str]]:
    """Somebody works on the changes of each of some renewals: one was opened, one saved, two submitted."""
    owner = await harness.person({GROUP_ID: list(Right)})
    base = f"/v1/groups/{GROUP_ID}/transactions"
    async with harness.transaction() as session:
        today = await harness.context.clock.today(session)
    transactions = []

    async def send(method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        answer = await owner.request(method, path, json=body, headers={"Idempotency-Key": uuid4().hex} | headers)
        assert answer.is_success, answer.text
        return answer

    for number, renewal_id in enumerate(RENEWAL_IDS):
        await harness.deliver(
            RenewalAvailable(
                renewal_id=renewal_id,
                group_id=GROUP_ID,
                plan_year=2027 + number,
                effective_date=today + timedelta(days=60),
                status=RenewalStatus.AVAILABLE,
                available_on=today,
            )
        )
        answer = await send("POST", base, {"renewal_id": str(renewal_id)})
        path = answer.headers["Location"]
        transactions.append(path.rpartition("/")[2])
        if number > 0:
            answer = await send("PUT", f"{path}/draft", DRAFT, **{"If-Match": answer.headers["ETag"]})
        if number > 1:
            await send("POST", f"{path}/submission", **{"If-Match": answer.headers["ETag"]})
    added = await harness.api.post("/v1/representatives", json=HELPER, headers={"Idempotency-Key": uuid4().hex})
    assert added.status_code == 201, added.text
    return {
        "transaction_id": transactions,
        "renewal_id": [str(each) for each in RENEWAL_IDS],
        "representative_id": [added.json()["representative_id"]],
    }


async def register_group(harness: Harness) -> UUID:
    made = await harness.api.post("/v1/groups", json=REGISTERED, headers={"Idempotency-Key": "1"})
    assert made.status_code == 201, made.text
    return UUID(made.json()["group_id"])


async def furnish_identity(harness: Harness) -> tuple[UUID, dict[str, list[str]]]:
    """Somebody is staff and the group's primary; they have added somebody; there are requests, and a firm's member."""

    async def post(client: Any, path: str, body: Any = None, **headers: str) -> Any:
        answer = await client.post(path, json=body, headers={"Idempotency-Key": uuid4().hex} | headers)
        assert answer.is_success, answer.text
        return answer.json()

    anybody, users = harness.client(None), f"/v1/groups/{GROUP_ID}/users"
    accounts = []
    for name in ("sam", "prim", "sec"):
        form = {"first_name": name, "last_name": "Staff", "email": f"{name}@carrier.example"}
        made = await post(anybody, "/internal/staff", form | {"rights": list(StaffRight)}, **harness.operator)
        accounts.append(UUID(made["account_id"]))
    sam, prim, sec = (harness.client(account_id) for account_id in accounts)
    references = [(await post(anybody, "/v1/access-requests", ASKED))["reference"] for _ in range(2)]
    await post(sam, f"/v1/access-requests/{references[0]}/approval", {"group_id": str(GROUP_ID)})
    await post(prim, "/v1/access-codes/redemption", {"code": await last_code(harness)}, Prefer="wait=0")
    added = {"first_name": "S", "last_name": "S", "email": "sec@carrier.example", "rights": ["billing.pay"]}
    grants = [(await post(prim, users, added))["grant_id"]]
    await post(sec, "/v1/access-codes/redemption", {"code": await last_code(harness)}, Prefer="wait=0")
    grants.append((await post(prim, users, added | {"email": "third@carrier.example"}))["grant_id"])
    (firm,) = (await sam.get("/v1/firms")).json()["items"]
    await post(sam, f"/v1/firms/{firm['id']}/members", {"account_id": str(accounts[2])})
    appointments = (await prim.get(f"/v1/groups/{GROUP_ID}/appointments")).json()["items"]
    program = await post(sam, "/v1/programs", {"name": "A program"})
    return accounts[1], {
        "group_id": [str(GROUP_ID)],
        "grant_id": grants,
        "account_id": [str(accounts[2]), program["account_id"]],
        "firm_id": [firm["id"]],
        "appointment_id": [appointments[0]["id"]],
        "reference": references,
        "session_id": ["current"],
    }


async def last_code(harness: Harness) -> str:
    issued = (await harness.published(AccessCodeIssued))[-1].event
    assert isinstance(issued, AccessCodeIssued)
    return str(harness.context.keyring.open(issued.sealed, CodeLetter).code)


@pytest.fixture(params=[service.name for service in topology.SERVICES])
async def fuzzed(
    request: pytest.FixtureRequest, service_harness: ServiceHarness, sealing_keys: Path, signing_key: object
) -> AsyncIterator[Fuzzed]:
    (said,) = [each for each in topology.SERVICES if each.name == request.param]
    service = importlib.import_module(f"{said.package}.app").service
    async with service_harness(service, **settings_of(said.name, sealing_keys)) as harness:
        account_id, known = await furnish(harness)
        harness.context.stopping.set()  # a live answer says what it has to say, and ends
        async with serving(harness) as url:
            yield Fuzzed(harness, url, account_id, known)


# --- what is sent ---


def schema_of(harness: Harness) -> Any:
    generation = GenerationConfig(deterministic=not REQUESTS, allow_x00=True)
    project = ProjectConfig(generation=generation)
    return schemathesis.openapi.from_dict(
        harness.app.openapi(), config=SchemathesisConfig(projects=ProjectsConfig(default=project))
    )


def cases(operation: Any, known: dict[str, list[str]]) -> st.SearchStrategy[Any]:
    """Good and bad requests; of the good ones, half are about what is there, and say little that is not in a sound body."""
    good, bad = (operation.as_strategy(mode) for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE))
    names = [parameter.name for parameter in operation.path_parameters if parameter.name in known]
    ids = st.fixed_dictionaries({name: st.sampled_from(known[name]) for name in names})
    sound = SOUND.get(operation.label, {})
    fuzzed = st.sets(st.sampled_from(sorted(sound)), max_size=2) if sound else st.just(set())

    def about(case: Any, ids: dict[str, str], fuzzed: set[str]) -> Any:
        case.path_parameters = (case.path_parameters or {}) | ids
        if sound and isinstance(case.body, dict):
            case.body = case.body | {name: value for name, value in sound.items() if name not in fuzzed}
            for name in ("Idempotency-Key", "If-Match"):
                if name in (case.headers or {}):
                    case.headers[name] = {"Idempotency-Key": uuid4().hex, "If-Match": '"1"'}[name]
        return case

    found = st.builds(about, good, ids, fuzzed)
    return st.sampled_from([found, found, good, bad]).flatmap(lambda chosen: chosen)


def sent_to(operation: Any, fuzzed: Fuzzed, session: requests.Session) -> Callable[[], None]:
    headers = fuzzed.headers(operation.path)

    @settings(
        max_examples=REQUESTS or 15,
        derandomize=not REQUESTS,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases(operation, fuzzed.known))
    def send(case: Any) -> None:
        case.call_and_validate(base_url=fuzzed.url, headers=headers, checks=CHECKS, session=session, timeout=30)

    return send


def defects(fuzzed: Fuzzed) -> Iterator[str]:
    session = requests.Session()
    for found in schema_of(fuzzed.harness).get_all_operations():
        operation = found.ok()
        try:
            sent_to(operation, fuzzed, session)()
        except FailureGroup as group:
            yield f"{operation.label}: {group}"
        except Exception as error:
            yield f"{operation.label}: {type(error).__name__}: {error}"


@pytest.mark.timeout(300 + 10 * REQUESTS)
async def test_no_request_is_answered_otherwise_than_the_document_says(fuzzed: Fuzzed) -> None:
    found = await asyncio.to_thread(lambda: list(defects(fuzzed)))

    assert not found, "\n\n".join(found)
