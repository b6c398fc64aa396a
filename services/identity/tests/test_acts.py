"""Acts of other services, and what identity's own routes show or refuse, are entries of the audit."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from covey_chassis.access import Right
from covey_chassis.clock import Clock
from covey_chassis.envelope import Envelope, to_headers
from covey_chassis.ids import new_id
from covey_chassis.sealing import ALGORITHMS
from covey_chassis.testing import Harness
from covey_contracts.acts import ActAuthority, ActOutcome, ActRecorded, Origin
from covey_contracts.membership import MembershipActRecorded
from covey_contracts.notifications import NotificationsActRecorded
from covey_contracts.renewals import RenewalsActRecorded
from covey_contracts.transactions import TransactionsActRecorded
from covey_identity import audit_verification
from joserfc import jwe
from joserfc.jwk import OKPKey

from .accounts import run
from .story import Person, Story

TRACE = "ab" * 16
KINDS = (MembershipActRecorded, TransactionsActRecorded, RenewalsActRecorded, NotificationsActRecorded)


def told(covey: Harness, kind: type[ActRecorded] = TransactionsActRecorded, **different: Any) -> ActRecorded:
    """What a service tells of somebody who has submitted something."""
    sealed = covey.context.keyring.seal(Origin(address="203.0.113.7"))
    usual = {
        "act_id": new_id(),
        "act": "submit",
        "outcome": ActOutcome.DONE,
        "authority": ActAuthority.GRANT,
        "account_id": new_id(),
        "session_id": new_id(),
        "group_id": new_id(),
        "about": {"transaction_id": new_id()},
        "why": None,
        "sealed": sealed,
    }
    return kind(**usual | different)


def told_at(act: ActRecorded, at: datetime) -> Envelope:
    return Envelope(
        id=str(new_id()),
        source=f"/{act.topic.owner}",
        type=act.topic.name,
        time=at,
        subject=act.key,
        sequence=None,
        correlation_id="a conversation",
        causation_id=None,
        traceparent=f"00-{TRACE}-{'cd' * 8}-01",
    )


async def entry_of(covey: Harness, act: ActRecorded) -> Any:
    (entry,) = await run(covey, "SELECT * FROM audit_entry WHERE account_id = :id", id=act.account_id)
    return entry


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.topic.owner)
async def test_what_was_done_in_another_service_is_one_entry_with_all_that_was_told(covey: Harness, kind: Any) -> None:
    act = told(covey, kind)
    at = Clock.now() - timedelta(minutes=20)
    envelope = told_at(act, at)

    for _ in range(2):
        await covey.deliver_record(kind.topic.name, act.model_dump_json().encode(), to_headers(envelope), act.key)

    entry = await entry_of(covey, act)
    assert (entry.act, entry.outcome, entry.authority) == (f"{kind.topic.owner}.submit", "done", "grant")
    assert (entry.account_id, entry.session_id, entry.groups) == (act.account_id, act.session_id, [act.group_id])
    assert entry.details == {"transaction_id": str(act.about["transaction_id"]), "happened_at": at.isoformat()}
    assert (entry.origin, entry.correlation_id, entry.trace_id) == ("203.0.113.7", "a conversation", TRACE)


@pytest.mark.parametrize(
    "at", [datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC), datetime(2019, 12, 31, tzinfo=UTC)]
)
async def test_a_clock_that_is_out_of_order_is_not_believed(covey: Harness, at: datetime) -> None:
    act = told(covey)
    envelope = told_at(act, at)

    await covey.deliver_record(act.topic.name, act.model_dump_json().encode(), to_headers(envelope), act.key)

    assert "happened_at" not in (await entry_of(covey, act)).details


async def test_an_address_that_cannot_be_opened_takes_nothing_else_with_it(covey: Harness) -> None:
    other = OKPKey.generate_key("X25519", {"kid": "identity-1", "use": "enc"})
    header = {"alg": ALGORITHMS[0], "enc": ALGORITHMS[1], "kid": "identity-1"}
    act = told(covey, sealed=jwe.encrypt_compact(header, b"{}", other, ALGORITHMS))

    await covey.deliver(act)

    entry = await entry_of(covey, act)
    assert (entry.origin, entry.account_id) == (None, act.account_id)
    assert await covey.parked() == []


async def test_a_service_tells_of_its_own_acts_alone(covey: Harness) -> None:
    act = told(covey, TransactionsActRecorded)

    envelope = told_at(act, Clock.now())
    theirs = NotificationsActRecorded.topic.name
    await covey.deliver_record(theirs, act.model_dump_json().encode(), to_headers(envelope), act.key)

    assert await run(covey, "SELECT FROM audit_entry WHERE account_id = :id", id=act.account_id) == []


async def test_it_stands_in_the_chain_however_late_it_comes(covey: Harness) -> None:
    await covey.deliver(told(covey, outcome=ActOutcome.REFUSED, authority=ActAuthority.NONE, why="not-yours"))
    await covey.work("audit-chain")

    async with covey.transaction() as session:
        verdict = await audit_verification.verify(session, [])
    assert (verdict.waiting, verdict.broken) == (0, None)
    assert verdict.links > 0


async def test_staff_read_of_it_from_where_and_when_it_happened(story: Story) -> None:
    act = told(story.covey, outcome=ActOutcome.REFUSED, authority=ActAuthority.NONE, why="not-yours")
    await story.covey.deliver(act)

    answer = await story.covey.api.get("/v1/audit", params={"account_id": str(act.account_id)})

    (entry,) = answer.json()["items"]
    assert (entry["act"], entry["outcome"], entry["origin"]) == ("transactions.submit", "refused", "203.0.113.7")
    assert entry["details"]["why"] == "not-yours"
    assert entry["at"] == entry["details"]["happened_at"].replace("+00:00", "Z")
    assert entry["written_at"] > entry["at"]


async def test_a_primary_reads_what_was_done_in_their_group(story: Story) -> None:
    group = await story.group()
    primary = await story.primary(group)
    secondary, _ = await story.secondary(primary, group, [Right.RENEWALS_VIEW])
    refused = {"outcome": ActOutcome.REFUSED, "authority": ActAuthority.NONE, "why": "not-yours"}
    await story.covey.deliver(told(story.covey, group_id=group, account_id=secondary.account_id))
    await story.covey.deliver(told(story.covey))
    await story.covey.deliver(told(story.covey, group_id=group, **refused))  # by a stranger
    await story.covey.deliver(told(story.covey, group_id=group, act="claim", authority=ActAuthority.STAFF))

    answer = await primary.api.get(f"/v1/groups/{group}/audit")

    assert "transactions.claim" not in [each["act"] for each in answer.json()["items"]]

    found = [each for each in answer.json()["items"] if each["act"] == "transactions.submit"]
    assert [(each["account_id"], each["user_id"]) for each in found] == [(str(secondary.account_id), secondary.user_id)]


# --- identity's own ---


async def acts_of(covey: Harness, person: Person, outcome: str) -> list[tuple[str, list[UUID], Any]]:
    found = await run(
        covey,
        "SELECT * FROM audit_entry WHERE account_id = :account_id AND outcome = :outcome ORDER BY id",
        account_id=person.account_id,
        outcome=outcome,
    )
    return [(each.act, each.groups, each.details.get("why")) for each in found]


async def test_a_route_that_refuses_somebody_for_want_of_a_right_is_an_entry(story: Story) -> None:
    group, person = await story.group(), await story.person()

    assert (await person.api.get(f"/v1/groups/{group}/users")).status_code == 403
    assert (await person.api.get("/v1/audit")).status_code == 403

    assert await acts_of(story.covey, person, "refused") == [
        ("identity.list_users", [group], "not-yours"),
        ("identity.list_entries", [], "not-yours"),
    ]


async def test_what_changes_something_is_one_entry_and_not_two(story: Story) -> None:
    group = await story.group()
    primary = await story.primary(group)

    await story.add(primary, group, "sec@firm.example")

    assert [act for act, _, _ in await acts_of(story.covey, primary, "done") if "add" in act] == ["user.added"]


async def test_whoever_looks_at_an_officers_form_or_at_the_audit_is_written_down(story: Story) -> None:
    group, person = await story.group(), await story.person()
    reference = await story.request(group, person)
    before = len(await run(story.covey, "SELECT FROM audit_entry WHERE authority = 'staff'"))

    paths = (f"access-requests/{reference}/form", "access-requests", "audit", f"groups/{group}/audit")
    answers = [await story.covey.api.get(f"/v1/{path}") for path in paths]

    assert {each.status_code for each in answers} == {200}
    entries = await run(story.covey, "SELECT act, details FROM audit_entry WHERE authority = 'staff' ORDER BY id")
    (request,) = await run(story.covey, "SELECT id FROM access_request")
    assert [(each.act, each.details) for each in entries[before:]] == [
        ("identity.read_form", {"request": str(request.id)}),
        ("identity.list_requests", {}),
        ("identity.list_entries", {}),
        ("identity.list_acts", {}),
    ]
