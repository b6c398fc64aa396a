"""The stories by themselves, on a book of a few groups; and that what goes wrong in them is noticed."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from covey_chassis.ids import new_id
from covey_local.databases import connected
from covey_local.demo.main_job import told_wrongly
from covey_local.demo.platform import Api, Json, wait_for
from covey_local.demo.run import platform_of
from covey_local.demo.season import run_season
from covey_local.demo.watch import Watch, WatchedGroup, answered, closed, reads, watching
from covey_local.stack import Stack
from rich.console import Console

pytestmark = pytest.mark.timeout(300)

Events = list[Json]
APPROVED = "covey.review.approved.v1"


async def test_a_renewal_is_changed_to_its_end_and_whoever_is_removed_is_answered_nothing_more(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "stack", durable=False, cache=Path(".covey/cache"))
    console = Console(record=True, width=160, file=(tmp_path / "console.txt").open("w"))
    try:
        async with stack:
            running = platform_of(stack, patience_s=60)
            right = await run_season(running, folder=tmp_path, groups=4, days=0, seed=5, kill=None, console=console)
            said = console.export_text()
            assert right, said
            assert "program's command to its answer" in said
            assert 'removal to "removed"' in said

            # A check that can't fail is no check: whoever has rights is noticed by it, and whatever is told wrongly.
            events = _read(tmp_path / "downstream_subscriber.jsonl")
            group = _told_of(events)
            api = Api(running)
            try:
                await _somebody_with_rights_is_noticed(api, api.signed_on(running.accounts["staff"]), group)
            finally:
                await api.close()
            assert await _tables_shown_to_whom_nobody_checked(stack) == []
    finally:
        stack.home.delete()

    year = next(each for each in events if each["type"] == APPROVED)["data"]["renewal_changes"]["plan_year"]
    assert list(told_wrongly(events, group, year)) == []
    for spoil, expected in SPOILT:
        spoilt = [json.loads(json.dumps(each)) for each in events]
        spoil(spoilt, group)
        noticed = list(told_wrongly(spoilt, group, year))
        assert [wrong.partition(":")[0] for wrong in noticed] == [expected]


def _read(output: Path) -> Events:
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    return [line for line in lines if "summary" not in line]


def _told_of(events: Events) -> WatchedGroup:
    (approved,) = (each["data"] for each in events if each["type"] == APPROVED)
    registered = next(each["data"] for each in events if each["subject"] == approved["group_id"])
    return WatchedGroup(
        id=approved["group_id"],
        number=registered["group_number"],
        firm_number=registered["broker"]["firm_number"],
        renewal_id=approved["renewal_changes"]["renewal_id"],
        transaction_id=approved["transaction_id"],
    )


# --- what PostgreSQL shows ---

GUARDED = """
    SELECT relname FROM pg_class WHERE relrowsecurity AND relforcerowsecurity ORDER BY relname
"""
NEVER_FILLED = {"identity.access_request", "identity.exclusion"}
"""The story has no form, and excludes nobody of a firm: of these, identity's own tests (``test_grants.py``)."""
FORMS = "identity.access_request"
"""Whoever has a form's reference reads it: no group is asked about then."""


async def _tables_shown_to_whom_nobody_checked(stack: Stack) -> list[str]:
    """Tables of groups whose rows the request role is shown without a check, or for another group and account."""
    shown: list[str] = []
    for service in stack.run["databases"]:
        urls = stack.infrastructure.database_urls(service)
        async with connected(urls.worker) as worker, connected(urls.request) as request:
            tables = [row["relname"] for row in await worker.fetch(GUARDED)]
            assert tables, service
            counts = {f"{service}.{table}": f'SELECT count(*) FROM "{table}"' for table in tables}
            empty = {name for name, count in counts.items() if not await worker.fetchval(count)}
            assert empty <= NEVER_FILLED, "a table without rows proves nothing"
            for other in (None, str(new_id())):
                async with request.transaction():
                    for of in ("group", "account"):
                        await request.execute(f"SELECT set_config('covey.{of}', $1, true)", other)
                    shown += [name for name, count in counts.items() if name != FORMS and await request.fetchval(count)]
    return shown


# --- what is told wrongly ---


def _last(events: Events, kind: str, subject: str) -> Json:
    found = [each for each in events if each["type"] == kind and each["subject"] == subject]
    return max(found, key=lambda each: int(each["sequence"] or 0))


def _approved_twice(events: Events, group: WatchedGroup) -> None:
    approved = _last(events, APPROVED, group.transaction_id)
    events.append(approved | {"id": "another", "sequence": approved["sequence"] + 1})


def _never_returned(events: Events, group: WatchedGroup) -> None:
    events.remove(_last(events, "covey.review.returned.v1", group.transaction_id))


def _renewal_goes_back(events: Events, group: WatchedGroup) -> None:
    completed = _last(events, "covey.renewal.changed.v1", group.renewal_id)
    back = completed["data"] | {"status": "in progress"}
    events.append(completed | {"sequence": completed["sequence"] + 1, "data": back})


def _plans_go_back(events: Events, group: WatchedGroup) -> None:
    changed = _last(events, "covey.group.changed.v1", group.id)
    events.append(changed | {"sequence": changed["sequence"] + 1, "data": changed["data"] | {"plans": []}})


def _program_decides_twice(events: Events, group: WatchedGroup) -> None:
    for each in events:
        if each["type"] == "covey.review.decision-answered.v1":
            each["data"] |= {"outcome": "decided", "refusal": None}


def _somebody_is_named(events: Events, group: WatchedGroup) -> None:
    _last(events, APPROVED, group.transaction_id)["data"]["enrolled"] = ["Wilma Zimtstern"]


SPOILT: list[tuple[Callable[[Events, WatchedGroup], None], str]] = [
    (_approved_twice, "of the transaction was told"),
    (_never_returned, "of the transaction was told"),
    (_renewal_goes_back, "the renewal stood"),
    (_plans_go_back, "the group's coming plans changed"),
    (_program_decides_twice, "programs were answered"),
    (_somebody_is_named, "a person who joins or leaves is named in an event"),
]


# --- who has rights ---


async def _somebody_with_rights_is_noticed(api: Api, staff: httpx.Auth, group: WatchedGroup) -> None:
    await api.get("identity", "/v1/account", by=staff)  # signs on, once

    told = await answered(api, staff, group, [*reads(group), *closed(group)])
    async with watching(api, staff, group) as watch:
        removed_at = time.monotonic()
        await wait_for(lambda: _noticed(watch, removed_at), "nobody noticed", api.patience_s)

    # Staff have no group of their own at identity; all else they see.
    assert len(told) == len(reads(group)) + len(closed(group)) - 1


async def _noticed(watch: Watch, removed_at: float) -> bool | None:
    found = {each.request.service for each in watch.sent_after(removed_at) if each.answered}
    return found == {"membership", "renewals", "transactions"} or None
