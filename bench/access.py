"""``access``: what it costs to ask in a request what somebody may do, and how long a removal takes.

The check is asked of the service's own database, by a connection that is warm, as requests ask it. Removals are asked for
one after another, with all services running: with nothing else to do, and while the removed group is being read.
"""

import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import cycle
from pathlib import Path
from statistics import median
from tempfile import mkdtemp
from uuid import UUID
from zoneinfo import ZoneInfo

from covey_chassis.access.checking import check
from covey_chassis.access.tokens import Token, issue
from covey_chassis.clock import Clock
from covey_chassis.db import Database
from covey_chassis.ids import new_id
from covey_local import keys
from joserfc.jwk import KeySet, OKPKey
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bench import submitting
from bench.figure import Figure
from bench.rounds import in_turn, percentile
from bench.stand import LOCAL, Stand
from tests.resilience.platform import Clients, Person, Platform, Team, running_platform

GROUPS = 3_000
CHECKS = 400
REMOVALS = 50
ZONE = ZoneInfo("America/Los_Angeles")
LEASE = text("UPDATE access_applier SET lease_until = 'infinity', lease_server = pg_postmaster_start_time()")


async def measure(stand: Stand) -> list[Figure]:
    return [*await _checks(stand), *await _removals(stand)]


# --- the check ---


async def _checks(stand: Stand) -> list[Figure]:
    async with stand.database("covey_transactions") as urls:
        clock = Clock(ZONE)
        workers, requests = Database(urls.worker, clock), Database(urls.request, clock, may_act=True)
        try:
            owners = [new_id() for _ in range(50)]
            saved = await submitting.make_saved(workers, clock, owners, stand.size(GROUPS))
            async with workers.transaction() as session:
                await session.execute(LEASE)
            asked = cycle((each.owner_id, each.group_id) for each in saved)
            times = stand.size(CHECKS)
            found = await in_turn(
                stand.rounds,
                {
                    "select": partial(_median_s, requests, times, lambda session: session.execute(text("SELECT 1"))),
                    "read": partial(_median_s, requests, times, lambda session: _check(session, *next(asked))),
                    "write": partial(
                        _median_s, requests, times, lambda session: _check(session, *next(asked), acting=True)
                    ),
                },
            )
        finally:
            await requests.close()
            await workers.close()
    select_s, read_s, write_s = (median(found[name]) for name in ("select", "read", "write"))
    note = f"SELECT 1 on the same connection: {select_s * 1000:.2f} ms."
    return [
        Figure(what="a right's check, to read", unit="ms", ours=read_s * 1000, at_most=1, note=note),
        Figure(what="a right's check, to change something", unit="ms", ours=write_s * 1000, at_most=1, note=note),
    ]


async def _check(session: AsyncSession, account_id: UUID, group_id: UUID, *, acting: bool = False) -> None:
    actor = await check(session, Token(account_id, new_id(), Clock.now()), group_id, acting=acting)
    assert actor.held


async def _median_s(database: Database, times: int, work: Callable[[AsyncSession], Awaitable[object]]) -> float:
    """The median of what one takes, each in a transaction that has begun."""
    took_s = []
    async with database.session() as session:
        for _ in range(times):
            await session.execute(text("SELECT 1"))
            started = time.perf_counter()
            await work(session)
            took_s.append(time.perf_counter() - started)
            await session.rollback()
    return median(took_s)


# --- removals ---


async def _removals(stand: Stand) -> list[Figure]:
    folder = Path(mkdtemp(prefix="bench-access-", dir=LOCAL))
    async with running_platform(folder, groups=5, durable=True) as platform:
        team = await platform.team()
        wanted = stand.size(REMOVALS)
        team, idle_s = await _remove_often(platform, team, wanted)
        readers = await Clients.of(platform, _signed_on_anew(platform, team.primary), team.group)
        async with readers.hammering("membership", "renewals", "identity", writers=0):
            team, loaded_s = await _remove_often(platform, team, wanted)
    return [
        *_figures("a removal until it is true everywhere", idle_s),
        *_figures("a removal until it is true everywhere, while the group is read", loaded_s),
    ]


def _figures(what: str, took_s: Sequence[float]) -> list[Figure]:
    note = (
        f"p99 of {len(took_s)}: {percentile(list(took_s), 99) * 1000:.0f} ms. The removal's commit; to each of four "
        "services an answer, facts and lease, the locks, the acknowledgement, the next poll; that all have said so."
    )
    return [Figure(what=f"{what}: p50", unit="ms", ours=median(took_s) * 1000, at_most=50, note=note)]


async def _remove_often(platform: Platform, team: Team, times: int) -> tuple[Team, list[float]]:
    """The user is removed and added again, so often; the team as it is then, and how long each removal took."""
    took_s = []
    for _ in range(times):
        primary, user = _signed_on_anew(platform, team.primary), _signed_on_anew(platform, team.user)
        removed = await platform.remove(replace(team, primary=primary))
        assert removed.how == "acknowledged", removed.how
        took_s.append(removed.took_s)
        grant_id = await platform.add_user(team.group, primary, user, "group.update", "renewals.view")
        team = replace(team, grant_id=grant_id)
        await platform.redeem(user)
    return team, took_s


def _signed_on_anew(platform: Platform, person: Person) -> Person:
    """With a token that is good for the next minutes."""
    file = keys.signing_file(platform.stack.home.folder / "keys")
    (key,) = KeySet.import_key_set(json.loads(file.read_text())).keys
    assert isinstance(key, OKPKey)
    return replace(person, token=issue(key, UUID(person.account_id), new_id(), now=int(time.time())))
