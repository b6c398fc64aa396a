"""What befalls the links between processes: they are cut, one way or both, slow, or reset."""

import asyncio
from random import Random

from covey_chassis.access.facts import SILENT_S

from tests.resilience.faults.links import BLACKHOLE, HALF_OPEN, PASS, RESET, reset_every, slow
from tests.resilience.faults.world import World

SLACK_S = 3.0
"""What a busy machine may take on top of a bound."""


async def cut_off_from_kafka(world: World, _: Random) -> None:
    """Who sends and who consumes reaches Kafka no more; then is heard by it and hears nothing."""
    for mode, seconds in ((BLACKHOLE, 20), (HALF_OPEN, 12)):
        for service in ("membership", "renewals"):
            world.links.set(f"{service}>kafka*", mode)
        await asyncio.sleep(seconds)
        world.links.have_struck("membership>kafka*", "renewals>kafka*")
        world.links.heal()
        await asyncio.sleep(3)


async def cut_off_from_database(world: World, _: Random) -> None:
    """What a service sends, a COMMIT for instance, arrives at the database; no answer does; then the connection is gone."""
    cut_off = [f"{service}>postgres" for service in ("membership", "transactions", "renewals")]
    for _ in range(3):
        for link in cut_off:
            world.links.set(link, HALF_OPEN)
        await asyncio.sleep(4)
        world.links.have_struck(*cut_off)
        world.links.set("*>postgres", RESET)
        await asyncio.sleep(0.5)
        world.links.have_struck(*cut_off)
        world.links.set("*>postgres", PASS)
        await asyncio.sleep(4)


async def cut_off_from_identity(world: World, _: Random) -> None:
    """A service hears nothing of access any more, and somebody is removed meanwhile."""
    team = await world.team()
    world.links.set("renewals>identity", BLACKHOLE)
    removal = await world.platform.remove(team)
    assert removal.took_s < SILENT_S + SLACK_S, f"a removal took {removal.took_s:.1f} s"
    await asyncio.sleep(5)
    world.links.have_struck("renewals>identity")
    world.links.heal()
    await asyncio.sleep(2)


async def slow_links(world: World, _: Random) -> None:
    """Every link is slow."""
    world.links.set("*", slow(0.2, 0.1))
    await asyncio.sleep(25)
    world.links.have_struck("*>kafka*", "*>postgres", "*>identity")


async def resets(world: World, _: Random) -> None:
    """No connection lives for longer than half a second."""
    world.links.set("*", reset_every(0.5))
    await asyncio.sleep(20)
    world.links.have_struck("*>kafka*", "*>postgres", "*>identity")


async def minority_with_the_leader(world: World, rng: Random) -> None:
    """Services and one of three brokers are cut off from the other two, who choose new leaders; somebody is removed."""
    team = await world.team()
    alone, *others = rng.sample(world.brokers, 3)
    world.links.set(f"kafka*>{alone}", BLACKHOLE)
    world.links.set(f"{alone}>kafka*", BLACKHOLE)
    for service in ("identity", "membership"):
        for other in others:
            world.links.set(f"{service}>{other}", BLACKHOLE)
    await asyncio.sleep(5)
    removal = await world.platform.remove(team)
    assert removal.took_s < SILENT_S + SLACK_S, f"a removal took {removal.took_s:.1f} s"
    await asyncio.sleep(12)
    world.links.have_struck(f"kafka*>{alone}", f"{alone}>kafka*", "identity>kafka*", "membership>kafka*")
    world.links.heal()
    await world.until_replicated()
