"""``pages``: how long pages take with ten thousand transactions to list, and how soon a change is on an open one.

Two people ask: a member of the staff, who sees every group, and a primary administrator who holds rights in each of them by
a grant of its own, which is the most that row-level security has to look through. One connection asks for one page after
the other: the time is that of the portal and of all that it asks.
"""

import asyncio
import random
import re
import time
from collections.abc import Mapping, Sequence
from html import unescape
from pathlib import Path
from tempfile import mkdtemp
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx
from covey_chassis.clock import Clock
from covey_chassis.db import Database
from covey_chassis.streaming import LOOK_S
from covey_chassis.testing.broker import scalar
from covey_local.databases import connected
from covey_portal.signed_on import COOKIE
from sqlalchemy import text

from bench import http_load
from bench.figure import Figure
from bench.rounds import percentile
from bench.stand import LOCAL, Stand
from bench.submitting import Saved, make_saved
from tests.resilience.platform import PASSWORD, Platform, running_platform

TRANSACTIONS = 10_000
ASKED = 200
"""Each page, by each of the two."""
CHANGES = 40
ZONE = ZoneInfo("America/Los_Angeles")
LISTS = (
    "/",
    "/transactions",
    "/transactions?status=open",
    "/transactions?q=77",
    "/transactions?sort=group",
    "/transactions?sort=-updated",
    "/transactions?created_from=2026-01-01&sort=effective_date",
)
DIFFERENT = (
    "UPDATE group_copy SET legal_name = 'Quillfern ' || left(md5(group_id::text), 6)",
    "UPDATE transaction SET status = 'declined', updated_at = created_at - interval '1 hour' WHERE random() < 0.5",
)
"""As many have different names, and some are over."""


async def measure(stand: Stand) -> list[Figure]:
    folder = Path(mkdtemp(prefix="bench-pages-", dir=LOCAL))
    async with running_platform(folder, groups=1, portal=True, durable=True) as platform:
        primary = await platform.primary(platform.group())
        saved = await _fill(platform, stand.size(TRANSACTIONS), UUID(primary.account_id))
        account = (await platform.send("GET", "identity", "/v1/account", by=primary)).json()
        people = {
            "staff, who see all groups": platform.stack.run["accounts"]["staff"],
            "whoever has a grant in each group": {"user_id": account["user_id"], "password": PASSWORD},
        }
        cookies = {name: await _cookie(platform, who) for name, who in people.items()}
        pages = [*LISTS, f"/transactions/{saved[0].transaction_id}"]
        figures = [await _slowest(platform, name, cookie, pages, stand.size(ASKED)) for name, cookie in cookies.items()]
        return [*figures, await _until_shown(platform, list(cookies.values())[-1], saved[: stand.size(CHANGES)])]


async def _fill(platform: Platform, wanted: int, owner: UUID) -> list[Saved]:
    urls = platform.stack.infrastructure.database_urls("transactions")
    database = Database(urls.worker, Clock(ZONE))
    try:
        saved = await make_saved(database, Clock(ZONE), [owner], wanted, told=False)
        async with database.transaction() as session:
            for statement in DIFFERENT:
                await session.execute(text(statement))
    finally:
        await database.close()
    await scalar(urls.owner, "ANALYZE")  # as it is by itself after a while
    return saved


def _portal(platform: Platform) -> str:
    url = platform.stack.run["portal"]
    assert url, "the stack was started with one"
    return url


async def _cookie(platform: Platform, account: Mapping[str, str]) -> dict[str, str]:
    answer = await platform.http.post(f"{platform.url('identity')}/v1/sessions", json=dict(account))
    return {"Cookie": f"{COOKIE}={answer.raise_for_status().json()['session_token']}", "Accept": "text/html"}


async def _slowest(platform: Platform, who: str, cookie: Mapping[str, str], pages: Sequence[str], times: int) -> Figure:
    portal = _portal(platform)
    p95_ms = {}
    for path in pages:
        asked = http_load.request(portal, "GET", path, cookie)
        await http_load.send_all(portal, [asked] * 10, connections=1)  # warm
        load = await http_load.send_all(portal, [asked] * times, connections=1)
        assert not load.refused, load.refused[0].decode()[:500]
        p95_ms[path] = 1000 * percentile(load.latencies_s, 95)
    slowest = max(p95_ms, key=p95_ms.__getitem__)
    every = ", ".join(f"{path} {ms:.0f}" for path, ms in p95_ms.items())
    return Figure(
        what=f"the slowest page, for {who}: p95",
        unit="ms",
        ours=p95_ms[slowest],
        at_most=200,
        note=f"Each page's p95 in ms: {every}.",
    )


async def _until_shown(platform: Platform, cookie: dict[str, str], saved: Sequence[Saved]) -> Figure:
    """From a change's commit until a page that listens has been made anew with it."""
    portal, http = _portal(platform), platform.http
    shown = (await http.get(f"{portal}/transactions", headers=cookie)).text
    changes = re.search(r'data-changes="([^"]+)"', shown)
    assert changes, shown[:500]
    took_ms = []
    forever = httpx.Timeout(30, read=60)
    async with (
        connected(platform.stack.run["databases"]["transactions"]) as database,
        http.stream("GET", portal + unescape(changes[1]), headers=cookie, timeout=forever) as stream,
    ):
        lines = stream.aiter_lines()
        for each in saved:
            await asyncio.sleep(random.random() * LOOK_S)  # noqa: S311 - a change comes whenever it comes
            await database.execute("UPDATE transaction SET updated_at = now() WHERE id = $1", each.transaction_id)
            began = time.perf_counter()
            async for line in lines:
                if line == "event: changed":
                    break
            shown = (await http.get(f"{portal}/transactions?sort=-updated", headers=cookie)).raise_for_status().text
            assert str(each.transaction_id) in shown[shown.index("<tbody>") :].partition("</tr>")[0], "it comes first"
            took_ms.append(1000 * (time.perf_counter() - began))
    return Figure(
        what="until a change is on a page that is open: p95",
        unit="ms",
        ours=percentile(took_ms, 95),
        at_most=2000,
        note="It is looked every half second; the rest is the page made anew.",
    )
