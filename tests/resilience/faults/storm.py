"""Volume: an import of many groups that have changed, each of which is one event for the copies of four services."""

import asyncio
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from uuid import uuid4

import httpx
from covey_local.demo.book import Row, as_csv, make_book

from tests.resilience.platform import Platform

from .case import IMPORT
from .history import History, Op

LOOK_S = 0.2
FAR_DAYS = 200
"""So far ahead are the renewals of a storm's groups: they are nobody's concern."""


async def storm(platform: Platform, history: Path, *, rows: int, seed: int) -> None:
    """Import so many rows, each of which makes a difference, and wait until it is done. It writes a history of its own.

    The groups are the same for each storm of so many rows, and each time different from before.
    """
    op = Op(
        id=uuid4().hex,
        client="storm",
        kind=IMPORT,
        service="membership",
        invoked_at=time.monotonic(),
        said=str(rows),
    )
    file = as_csv([_row(each, op.id) for each in make_book(rows, days=1, today=datetime.now(UTC).date(), seed=seed)])
    with History(history) as noted:
        await noted.note(op)
        address = await _until_taken(platform, op, file)
        op = replace(op, outcome="ok", status=202)
        await _until_done(platform, address)
        await noted.note(replace(op, finished_at=time.monotonic()))


def _row(row: Row, new: str) -> Row:
    """The row of a group that only storms know, with something new in it."""
    far = datetime.now(UTC).date() + timedelta(days=FAR_DAYS)
    nobody = dict.fromkeys(("firm_number", "firm_name", "firm_contact_name", "firm_contact_email", "acquired_date"), "")
    number = row["group_number"].removeprefix("G")
    return row | nobody | {"group_number": f"S{number}", "renewal_date": far.isoformat(), "street": f"{new} Street"}


async def _until_taken(platform: Platform, op: Op, file: bytes) -> str:
    """The import's address; sent again until it is there."""
    headers = {"Content-Type": "text/csv", "Idempotency-Key": op.id, "X-Correlation-ID": op.id}
    while True:
        with suppress(httpx.HTTPError):
            answer = await platform.ask("POST", "membership", "/v1/imports", content=file, headers=headers)
            if answer.is_success:
                return answer.headers["Location"]
            refused = answer.status_code == HTTPStatus.UNAUTHORIZED  # by a service whose clock is ahead
            assert refused or answer.status_code >= 500 or "command-in-progress" in answer.text, answer.text
        await asyncio.sleep(LOOK_S)


async def _until_done(platform: Platform, address: str) -> None:
    while True:
        with suppress(httpx.HTTPError):
            answer = await platform.ask("GET", "membership", address)
            if answer.is_success and answer.json()["status"] == "done":
                return
        await asyncio.sleep(LOOK_S)
