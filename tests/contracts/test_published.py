"""What the services really publish is valid against the JSON Schemas that strangers are given, kind by kind."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from aiosmtpd.smtp import SMTP
from covey_chassis.access import Right, StaffRight
from covey_chassis.access.facts import Fact, FactKind
from covey_chassis.access.signing import key_id
from covey_chassis.ids import new_id
from covey_chassis.testing import Harness, Published, ServiceHarness
from covey_chassis.testing.signing import new_key, sign
from covey_contracts import EVENTS
from covey_contracts.identity import AccessCodeIssued, CodeLetter, Letter, MailRequested
from covey_contracts.membership import GroupChanged, GroupRegistered
from covey_contracts.programs import ReviewDecision
from covey_contracts.renewals import RenewalAvailable
from covey_identity.app import service as identity_service
from covey_local.demo.book import as_csv, make_book
from covey_local.mail import Catcher, Faults, Inbox
from covey_membership.app import service as membership_service
from covey_notifications.app import service as notifications_service
from covey_renewals.app import service as renewals_service
from covey_transactions.app import service as transactions_service
from jsonschema import Draft202012Validator
from sqlalchemy import text

SCHEMAS = Path(__file__).parents[2] / "libs/contracts/generated/schemas"
Facts = dict[str, list[dict[str, Any]]]


@pytest.fixture
async def smtp(tmp_path: Path) -> AsyncIterator[tuple[int, Faults]]:
    """A mail server, and what makes it refuse."""
    faults = Faults()
    catcher = Catcher(Inbox(tmp_path / "mail.jsonl"), faults)
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(catcher), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], faults


async def waiting(covey: Harness) -> Facts:
    """The values of the records that the relay would send, by topic, as bytes read by nobody but a JSON parser."""
    found: Facts = defaultdict(list)
    async with covey.transaction() as session:
        for row in await session.execute(text("SELECT topic, payload FROM outbox ORDER BY id")):
            found[row.topic].append(json.loads(row.payload))
    return found


async def hand_over(events: list[Published], to: Harness) -> None:
    for each in events:
        await to.deliver(each.event, sequence=each.sequence or 1, event_id=each.event_id)


async def let_somebody_in(identity: Harness, group: GroupRegistered) -> None:
    """All that identity tells of: a firm is renamed, people register, one becomes the primary, by another address."""
    broker = group.broker and group.broker.model_copy(update={"firm_name": "Renamed Benefits"})
    await identity.deliver(GroupChanged(**group.model_dump() | {"broker": broker}), sequence=10)
    staff = await staff_member(identity)
    anybody = identity.client(None)
    form = {"market_region": "California", "first_name": "Prim", "last_name": "Ary", "company": "A Bakery"}
    terms = {"terms_version": "1", "terms_accepted": True}
    await anybody.post("/v1/registrations", json=form | terms | {"email": "prim@home.example"}, headers=command())
    token = identity.context.keyring.open((await identity.published(MailRequested))[-1].event.sealed, Letter).token
    password = {"token": token, "password": "quillfern-9-thistle"}
    account = (await anybody.post("/v1/registrations/verification", json=password, headers=command())).json()
    request = {
        "group_number": group.group_number,
        "company": "A Bakery",
        "officer_first_name": "Olu",
        "officer_last_name": "Officer",
        "officer_email": "olu@bakery.example",
        "first_name": "Prim",
        "last_name": "Ary",
        "email": "prim@bakery.example",
    }
    asked = await anybody.post("/v1/access-requests", json=request, headers=command())
    path = f"{asked.headers['Location']}/approval"
    approved = await staff.post(path, json={"group_id": str(group.group_id)}, headers=command())
    assert approved.status_code == 200, approved.text
    sealed = (await identity.published(AccessCodeIssued))[-1].event.sealed
    code = identity.context.keyring.open(sealed, CodeLetter).code
    primary = identity.client(UUID(account["account_id"]))
    headers = command() | {"Prefer": "wait=0"}
    redeemed = await primary.post("/v1/access-codes/redemption", json={"code": code}, headers=headers)
    assert redeemed.status_code == 200, redeemed.text


async def decide_on_changes(transactions: Harness, renewals: list[RenewalAvailable]) -> None:
    """All that transactions tells of: one is returned and withdrawn, one declined, one approved by a program."""
    returned, declined, approved = [await submit_changes(transactions, renewal) for renewal in renewals[:3]]
    reviewer = transactions.api

    async def review(method: str, path: str, body: object = None) -> httpx.Response:
        answer = await reviewer.request(method, f"/v1/{path}", json=body, headers=command())
        assert answer.is_success, answer.text
        return answer

    helper = {"name": "Odalys Brenner", "phone": "+1 555 0100", "email": "odalys@carrier.example"}
    representative = (await review("POST", "representatives", helper)).json()["representative_id"]
    await review("POST", f"reviews/{returned}/claim")
    await review("DELETE", f"reviews/{returned}/claim")
    asked = {"round": 1, "instructions": "Please say who leaves.", "representative_id": representative}
    await review("POST", f"reviews/{returned}/return", asked)
    owner = await transactions.person({renewals[0].group_id: list(Right)})
    path = f"/v1/groups/{renewals[0].group_id}/transactions/{returned}/withdrawal"
    assert (await owner.post(path, headers=command())).is_success
    await review("POST", f"reviews/{declined}/decline", {"round": 1, "reason": "Not eligible."})
    program, key = new_id(), new_key()
    await transactions.know(
        Fact(kind=FactKind.STAFF, id=program, account_id=program, rights=(StaffRight.REVIEW_DECIDE,), active=True),
        Fact(kind=FactKind.KEY, id=key_id(key), account_id=program, active=True),
    )
    said = {"transaction_id": str(approved), "round": 1, "decision": "approve"}
    signed = sign(key, program, audience="covey-transactions", **said)
    await transactions.deliver(ReviewDecision(transaction_id=approved, signed=signed))


async def submit_changes(transactions: Harness, renewal: RenewalAvailable) -> UUID:
    owner = await transactions.person({renewal.group_id: list(Right)})
    group = f"/v1/groups/{renewal.group_id}"
    plans = (await owner.get(f"{group}/renewals/{renewal.renewal_id}/plans")).json()["offered"]
    share = {"basis": "percent", "employee": "75.00", "dependents": "50"}
    draft = {"classes": [{"employee_class": "All", "plan_ids": plans[:1], "contribution": share}]}
    new = {"renewal_id": str(renewal.renewal_id)}
    answer = await owner.post(f"{group}/transactions", json=new, headers=command())
    assert answer.status_code == 201, answer.text
    path = answer.headers["Location"]
    for method, step, body in (("PUT", "draft", draft), ("POST", "submission", None)):
        headers = command() | {"If-Match": answer.headers["ETag"]}
        answer = await owner.request(method, f"{path}/{step}", json=body, headers=headers)
        assert answer.is_success, answer.text
    return UUID(path.rpartition("/")[2])


async def staff_member(identity: Harness) -> httpx.AsyncClient:
    """The client of somebody whom an operator made staff."""
    person = {"first_name": "Sam", "last_name": "Staff", "email": "sam@carrier.example", "rights": ["access.approve"]}
    made = await identity.client(None).post("/internal/staff", json=person, headers=identity.operator)
    return identity.client(UUID(made.json()["account_id"]))


def command() -> dict[str, str]:
    return {"Idempotency-Key": uuid4().hex}


async def test_every_kind_of_event_is_published_as_its_schema_says(
    service_harness: ServiceHarness, smtp: tuple[int, Faults], sealing_keys: Path, signing_key: object
) -> None:
    port, faults = smtp
    mail = {"smtp_host": "127.0.0.1", "smtp_port": port, "smtp_tls": "none", "mail_from": "no-reply@carrier.example"}
    keys = {
        "signing_keys": sealing_keys / "signing.jwks.json",
        "listener_credentials": {},
        "code_secret": "a secret of a test that is long enough",
        "argon2_memory_kib": 8,
        "argon2_passes": 1,
        "argon2_lanes": 1,
    }
    async with (
        service_harness(membership_service) as membership,
        service_harness(identity_service, **keys) as identity,
        service_harness(transactions_service) as transactions,
        service_harness(renewals_service) as renewals,
        service_harness(notifications_service, **mail) as notifications,
    ):
        async with membership.transaction() as session:
            today = await membership.context.clock.today(session)
        book = make_book(40, days=10, today=today, seed=3)  # with odd names, with and without a broker
        moved = [row | {"renewal_date": str(today + timedelta(days=70 + number))} for number, row in enumerate(book)]
        for key, rows in (("first", book), ("second", moved)):
            headers = {"Content-Type": "text/csv", "Idempotency-Key": key}
            answer = await membership.api.post("/v1/imports", content=as_csv(rows), headers=headers)
            assert answer.status_code == 202, answer.text
            await membership.work("imports")
        groups = await membership.published()

        await hand_over(groups, renewals)
        await renewals.work("sweep")
        await hand_over([*groups, *await renewals.published()], transactions)
        available = [each.event for each in await renewals.published(RenewalAvailable)]
        await decide_on_changes(transactions, [each for each in available if isinstance(each, RenewalAvailable)])
        await renewals.move_date(today + timedelta(days=90))
        await renewals.work("sweep")

        await hand_over(groups, identity)
        await let_somebody_in(identity, next(each.event for each in groups if isinstance(each.event, GroupRegistered)))

        await identity.work("audit-chain")

        await hand_over(groups, notifications)
        await hand_over(await renewals.published(), notifications)
        faults.refuse, faults.code = 1, 550
        await notifications.work("mailer-1")

        stranger = await renewals.person()
        assert (await stranger.get(f"/v1/groups/{uuid4()}/renewals")).status_code == 403
        failed = (await notifications.api.get("/v1/notifications", params={"status": "failed"})).json()["items"][0][
            "id"
        ]
        assert (await notifications.api.post(f"/v1/notifications/{failed}/resend", headers=command())).is_success

        published: Facts = {}
        for service in (membership, identity, transactions, renewals, notifications):
            published |= await waiting(service)

    assert published.keys() == {event.topic.name for event in EVENTS if event.topic.owner != "programs"}
    for topic, facts in published.items():
        schema = json.loads((SCHEMAS / f"{topic}.json").read_text())
        validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
        for fact in facts:
            assert [error.message for error in validator.iter_errors(fact)] == []
            assert fact.keys() <= schema["properties"].keys(), "a field that no document tells of"
