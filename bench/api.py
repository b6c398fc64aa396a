"""``api``: transactions submitted over HTTP, a second, by one process of the service.

Ours is a whole request: token, rights under a lease from identity, idempotency, the draft's validation, a new round, the
outbox, the stored answer, one commit. The limit is ``bench.bare`` with one INSERT and a commit. Both are real processes on
one PostgreSQL that waits for the disk; the client keeps as many requests under way at each.
"""

import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import mkdtemp
from uuid import uuid4
from zoneinfo import ZoneInfo

import asyncpg
from covey_chassis.clock import Clock
from covey_chassis.db import Database
from covey_chassis.ids import new_id
from covey_chassis.testing.broker import eventually, scalar
from covey_local import keys, ports
from covey_local.processes import Command
from covey_local.services import HttpProcess
from covey_local.stack import Stack
from joserfc.jwk import KeySet, OKPKey

from bench import bare, http_load
from bench.figure import Figure
from bench.rounds import in_turn, interleaved
from bench.stand import LOCAL, Stand
from bench.submitting import Saved, make_saved, submissions

SUBMITS = 400
"""In each round."""
NOTES = 1_600
"""The limit's."""
CONNECTIONS = 20
OWNERS = 50
ZONE = ZoneInfo("America/Los_Angeles")


async def measure(stand: Stand) -> list[Figure]:
    folder = Path(mkdtemp(prefix="bench-api-", dir=LOCAL))
    stack = Stack(folder, services=("identity", "transactions"), cache=LOCAL / "cache")
    submits, notes = stand.size(SUBMITS), stand.size(NOTES)
    try:
        async with stack, _bare(stack) as limit:
            saved = iter(await _prepare(stack, submits * (stand.rounds + 1)))
            measures = {
                "ours": partial(_submit, stack, saved, submits),
                "limit": partial(_note, limit, notes),
            }
            await in_turn(1, measures)  # warm: connections, prepared statements, caches
            rates = await interleaved(stand.rounds, measures)
    finally:
        stack.home.delete()
    return [
        Figure(
            what="submits over HTTP, against one INSERT",
            unit="submits/s",
            ours=rates["ours"],
            limit=rates["limit"],
            at_least=0.3,
            note="A submit is 14 statements beside BEGIN and COMMIT, the INSERT is one: SQLAlchemy's way there and back is "
            "43 % of a submit's time, the event loop and asyncpg 23 %, HTTP's side 10 %, the chassis 6 %, validation 4 %, "
            "the token 3 %.",
        )
    ]


async def _prepare(stack: Stack, wanted: int) -> list[Saved]:
    """Transactions that can be submitted. What was told of them has left the outbox before anything is measured."""
    url = stack.infrastructure.database_urls("transactions").worker
    database = Database(url, Clock(ZONE))
    try:
        made = await make_saved(database, Clock(ZONE), [new_id() for _ in range(OWNERS)], wanted)
    finally:
        await database.close()

    async def all_sent() -> bool:
        return await scalar(url, "SELECT count(*) FROM outbox") == 0

    await eventually(all_sent, within_s=60)
    return made


async def _submit(stack: Stack, saved: Iterator[Saved], times: int) -> float:
    url = stack.url("transactions")
    return await _rate(url, submissions(url, _signing_key(stack), list(islice(saved, times))))


async def _note(url: str, times: int) -> float:
    body = json.dumps({"group_id": str(uuid4()), "said": "Renewal changes from the first draft on."}).encode()
    note = http_load.request(url, "POST", "/notes", {"Content-Type": "application/json"}, body)
    return await _rate(url, [note] * times)


async def _rate(url: str, requests: list[bytes]) -> float:
    """Successful answers a second. On a busy machine identity may be late with a lease: those 503 do not count."""
    load = await http_load.send_all(url, requests, connections=CONNECTIONS)
    for answer in load.refused:
        assert b"access-unverified" in answer, answer.decode()
    return load.per_s


def _signing_key(stack: Stack) -> OKPKey:
    file = keys.signing_file(stack.home.folder / "keys")
    (key,) = KeySet.import_key_set(json.loads(file.read_text())).keys
    assert isinstance(key, OKPKey)
    return key


@asynccontextmanager
async def _bare(stack: Stack) -> AsyncIterator[str]:
    """The limit's process for the block; its address."""
    urls = await stack.infrastructure.create_database("bare")
    owner = await asyncpg.connect(urls.owner)
    try:
        await owner.execute(bare.TABLE)
    finally:
        await owner.close()
    port = ports.choose(stack.home.folder / "bare.json", {"bare": None})["bare"]
    process = HttpProcess(
        name="bare",
        command=Command(
            arguments=[sys.executable, "-m", "bench.bare", urls.request, str(port)],
            log=stack.home.logs / "bare.log",
            environment=dict(os.environ),
            folder=Path.cwd(),
        ),
        url=f"http://127.0.0.1:{port}",
        ready_path="/openapi.json",
    )
    await stack.home.running.start(process)
    try:
        yield process.url
    finally:
        await stack.home.running.stop("bare")
