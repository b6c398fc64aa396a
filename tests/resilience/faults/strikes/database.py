"""What befalls PostgreSQL: it crashes, runs out of disk, ends sessions, is held up, goes back to an earlier state."""

import asyncio
import signal
from random import Random

from covey_local.databases import connected

from tests.resilience.faults.world import NO_SPACE, World

SESSIONS = {
    "a relay, which listens, too": "application_name = 'relay'",
    "who holds a lock that others wait for": "pid IN (SELECT unnest(pg_blocking_pids(pid)) FROM pg_stat_activity)",
    "who is in a transaction": "state LIKE 'idle in transaction%' OR (state = 'active' AND usename LIKE 'covey%')",
}

OFTEN = ("a relay, which listens, too", "who is in a transaction")
"""Those of whom there is always one. That somebody waits for a lock is rare."""


async def server_crashes(world: World, rng: Random) -> None:
    """The server is stopped immediately, as by a power cut, three times."""
    for _ in range(3):
        await world.kill("postgres", how=signal.SIGQUIT)
        await world.ready()
        await asyncio.sleep(rng.uniform(2, 5))


async def disk_full(world: World, _: Random) -> None:
    """The server's disk is full, until somebody makes room."""
    said = world.logs("postgres")
    with world.disk.full():
        await asyncio.sleep(15)
        await said.until(NO_SPACE, within_s=20)


async def sessions_ended(world: World, rng: Random) -> None:
    """Sessions are ended by an administrator: relays, holders of locks, transactions of all kinds."""
    ended = dict.fromkeys(SESSIONS, 0)
    async with connected(world.stack.infrastructure.admin_url) as admin:
        for _ in range(60):
            kind, which = rng.choice(list(SESSIONS.items()))
            there = await admin.fetch(
                f"""
                SELECT pid FROM pg_stat_activity
                 WHERE datname LIKE 'covey%' AND pid <> pg_backend_pid() AND ({which}) ORDER BY pid
                """
            )
            chosen = rng.sample([row["pid"] for row in there], min(2, len(there)))
            await admin.execute("SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS pid", chosen)
            ended[kind] += len(chosen)
            await asyncio.sleep(0.4)
    assert all(ended[each] for each in OFTEN), f"it did not strike: {ended}"


async def long_transaction_elsewhere(world: World, _: Random) -> None:
    """Somebody writes in another database and does not end it: whoever waits for all older transactions would stall."""
    url = await world.another_database("elsewhere")
    async with connected(url) as somebody:
        await somebody.execute("CREATE TABLE note (said text)")
        transaction = somebody.transaction()
        await transaction.start()
        await somebody.execute("INSERT INTO note VALUES ('not committed')")
        for _ in range(5):
            await world.flows()
            await asyncio.sleep(4)
        await transaction.rollback()


async def restored(world: World, _: Random) -> None:
    """A service's database goes back to what it was, while Kafka's offsets and all other services go on."""
    async with world.stack.down("renewals"):
        backup = await world.copy_of_database("renewals")
    await world.flows()
    await asyncio.sleep(15)
    await world.flows()
    async with world.stack.down("renewals"):
        await world.restore_database("renewals", backup)
    await world.flows()
