"""``footprint``: how much memory each service has, idle and under load, and how long a start takes.

All services run, one process each. The load is a storm of requests to each of them, and of events: a book of groups comes
in, and a month passes, so that renewals become available and emails go out.
"""

import asyncio
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import httpx
from covey_local.attach import Operator, move_dates
from covey_local.book_import import BookImport, sample_book
from covey_local.home import RunFile
from covey_local.sign_on import as_staff
from covey_local.stack import Stack

from bench import http_load
from bench.figure import Figure
from bench.memory import Memory, memory_of
from bench.stand import LOCAL, Stand

GROUPS = 3_000
IDLE_S = 10
STORM_S = 40
STORM_LEAST_S = 5
DAYS = 30
CONNECTIONS = 4
"""To each service, each of which always waits for an answer."""
SHARE_MAX = 0.1
"""So many of the storm's requests may be told to ask again."""
ASKED = {
    "identity": "/v1/access-requests",
    "membership": "/v1/groups?limit=50",
    "transactions": "/v1/reviews",
    "renewals": "/v1/book?limit=50",
    "notifications": "/v1/notifications?limit=50",
}


async def measure(stand: Stand) -> list[Figure]:
    folder = Path(mkdtemp(prefix="bench-footprint-", dir=LOCAL))
    try:
        async with Stack(folder, cache=LOCAL / "cache"):
            pass  # from now on everything is there: databases, topics, keys, accounts
        stack = Stack(folder, cache=LOCAL / "cache")
        began = time.perf_counter()
        async with stack:
            took_s = time.perf_counter() - began
            await asyncio.sleep(IDLE_S)
            idle = {name: memory_of(pid) for name, pid in _services(stack).items()}
            loaded = await _loaded(stack, stand.size(GROUPS), max(stand.size(STORM_S), STORM_LEAST_S))
            starts_s = {name: await _start_s(stack, name) for name in _services(stack)}
    finally:
        stack.home.delete()
    return [
        Figure(what="warm start of everything", unit="s", ours=took_s, at_most=15),
        *(
            Figure(what=f"start of {name}, the others running", unit="s", ours=starts_s[name], at_most=15)
            for name in idle
        ),
        *(_memory(f"{name}, idle", memory, at_most=130) for name, memory in idle.items()),
        *(_memory(f"{name}, the most under load", memory, at_most=200) for name, memory in loaded.items()),
    ]


def _memory(what: str, memory: Memory, *, at_most: int) -> Figure:
    note = f"RSS; {memory.pss_mb:.0f} MB without what other processes have too (PSS)."
    return Figure(what=f"memory of {what}", unit="MB", ours=memory.rss_mb, at_most=at_most, note=note)


def _services(stack: Stack) -> dict[str, int]:
    """The process of each service."""
    return {name: pid for name, pid in stack.run["pids"].items() if name in stack.run["services"]}


async def _start_s(stack: Stack, name: str) -> float:
    """From the launch of a service's process until it is ready."""
    async with stack.down(name, how=signal.SIGTERM):
        began = time.perf_counter()
    return time.perf_counter() - began


# --- the load ---


async def _loaded(stack: Stack, groups: int, seconds: float) -> dict[str, Memory]:
    """The most that each service had while the storm lasted. Nobody signs on meanwhile: Argon2's memory is apart."""
    headers = await _signed_on(stack.run)
    most = {name: memory_of(pid) for name, pid in _services(stack).items()}
    storm = asyncio.gather(
        asyncio.to_thread(_take_book, stack.run, groups), *(_ask(stack.run, name, headers, seconds) for name in ASKED)
    )
    while not storm.done():
        await asyncio.wait([storm], timeout=0.25)
        for name, pid in _services(stack).items():
            most[name] = max(most[name], memory_of(pid), key=lambda memory: memory.rss_mb)
    await storm
    return most


def _take_book(run: RunFile, groups: int) -> None:
    """A book comes in, and a month passes."""
    today = Operator.of(run, "renewals").today()
    for _ in BookImport(run, sample_book(groups, today.today)).reports():
        pass
    move_dates(run, today.offset_days + DAYS)


async def _signed_on(run: RunFile) -> dict[str, str]:
    """The header of a member of the carrier's staff, good for five minutes."""
    async with httpx.AsyncClient(auth=as_staff(run), timeout=60, trust_env=False) as client:
        answer = await client.get(run["services"]["identity"] + "/v1/account")
    return {"Authorization": answer.raise_for_status().request.headers["Authorization"]}


async def _ask(run: RunFile, service: str, headers: dict[str, str], seconds: float) -> None:
    """Ask a service without a pause."""
    url = run["services"][service]
    request = http_load.request(url, "GET", ASKED[service], headers)
    load = await http_load.send_all(url, _repeated(request, seconds), connections=CONNECTIONS)
    # With more to do than two cores can, the word of identity that rights are still so may come too late.
    assert not [answer for answer in load.refused if not answer.startswith(b"HTTP/1.1 503")], load.refused
    assert len(load.refused) < SHARE_MAX * len(load.latencies_s), f"{service} was busy with refusing"


def _repeated(request: bytes, seconds: float) -> Iterator[bytes]:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        yield request
