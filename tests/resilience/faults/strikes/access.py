"""What may befall whoever acts for a person who is being removed: it stands still in the act; its clock is wrong."""

import asyncio
from contextlib import AsyncExitStack
from random import Random

import httpx

from tests.resilience.faults.world import World
from tests.resilience.platform import Clients, breaches

STEPS = ("access.before_locks", "access.after_locks", "access.after_check", "command.before_commit")
"""Of a write: before and after its locks, after its check, and when all is written."""


async def stopped_in_a_write(world: World, _: Random) -> None:
    """Processes stand still between the steps of a write, and go on when "removed" has been answered."""
    platform = world.platform
    teams = [await world.team() for _ in STEPS]
    clients = [await Clients.of(platform, team.user, team.group) for team in teams]
    async with AsyncExitStack() as stack, httpx.AsyncClient(timeout=60, trust_env=False) as http:
        names = [f"membership-stopped-{number}" for number in range(len(STEPS))]
        others = [
            await stack.enter_async_context(platform.another_process("membership", f"{step}:stop", name=name))
            for name, step in zip(names, STEPS, strict=True)
        ]
        writes = [
            asyncio.create_task(each.write(http, url=process.url))
            for each, process in zip(clients, others, strict=True)
        ]
        await asyncio.gather(*map(platform.until_stopped, names))
        removals = await asyncio.gather(*map(platform.remove, teams))
        before = [await each.committed() for each in clients]
        for name in names:
            platform.go_on(name)
        await asyncio.gather(*writes)
    for each, removal, committed in zip(clients, removals, before, strict=True):
        found = breaches(each.history, removal.at, before=committed, after=await each.committed())
        assert not found, f"I10: {found}"


async def clock_is_wrong(world: World, rng: Random) -> None:
    """The clock of one service is five minutes ahead, then five minutes late, and people are removed meanwhile."""
    for offset_s in rng.sample((300, -300), 2):
        service = rng.choice(("renewals", "membership", "transactions", "notifications"))
        async with world.healed_afterwards():
            await world.sabotage(service, SABOTAGE_CLOCK_S=str(offset_s))
            ahead_s = await world.ahead_s(service)
            assert abs(ahead_s - offset_s) < 60, f"it did not strike: the clock of {service} is {ahead_s:.0f} s ahead"
            await asyncio.sleep(12)
