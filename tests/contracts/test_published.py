"""What the services really publish is valid against the JSON Schemas that strangers are given, kind by kind."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP
from covey_chassis.testing import Harness, Published, ServiceHarness
from covey_contracts import EVENTS
from covey_local.demo.book import as_csv, make_book
from covey_local.mail import Catcher, Faults, Inbox
from covey_membership.app import service as membership_service
from covey_notifications.app import service as notifications_service
from covey_renewals.app import service as renewals_service
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


async def test_every_kind_of_event_is_published_as_its_schema_says(
    service_harness: ServiceHarness, smtp: tuple[int, Faults]
) -> None:
    port, faults = smtp
    mail = {"smtp_host": "127.0.0.1", "smtp_port": port, "smtp_tls": "none", "mail_from": "no-reply@carrier.example"}
    async with (
        service_harness(membership_service) as membership,
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
        await renewals.move_date(today + timedelta(days=90))
        await renewals.work("sweep")

        await hand_over(groups, notifications)
        await hand_over(await renewals.published(), notifications)
        faults.refuse, faults.code = 1, 550
        await notifications.work("mailer-1")

        published: Facts = {}
        for service in (membership, renewals, notifications):
            published |= await waiting(service)

    assert published.keys() == {event.topic.name for event in EVENTS}
    for topic, facts in published.items():
        schema = json.loads((SCHEMAS / f"{topic}.json").read_text())
        validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
        for fact in facts:
            assert [error.message for error in validator.iter_errors(fact)] == []
            assert fact.keys() <= schema["properties"].keys(), "a field that no document tells of"
