"""What befalls the processes of the services: they die, stand still, come and go."""

import asyncio
import os
import signal
from random import Random

from covey_chassis.testing.broker import eventually, in_background

from tests.resilience.faults.logs import hits
from tests.resilience.faults.world import World

RELAY, STANDBY = "membership-relay", "membership-standby"
DYING_S = 20.0
LAST_STEP_S = 90.0
"""So long the last step of a plan is waited for after that."""
IN_REQUESTS = ("membership", "transactions", "identity")
"""Services that have commands for people."""


async def killed_before_commit(world: World, _: Random) -> None:
    """Commands' processes die after the check of rights, or when all is written and nothing is committed."""
    await _die(world, "access.after_check:kill:0.01;command.before_commit:kill:0.1", *IN_REQUESTS)


async def killed_before_answer(world: World, _: Random) -> None:
    """Commands' processes die when all is committed and nobody has been told."""
    await _die(world, "command.after_commit:kill:0.15", *IN_REQUESTS)


async def relay_killed(world: World, _: Random) -> None:
    """Relays die at each step; of one service two relays, of which each takes over when the other has died."""
    steps = {
        "after_select": 0.1,
        "after_send": 0.03,
        "after_ack": 0.1,
        "after_delete": 0.1,
    }  # a page is sent in batches
    plan = ";".join(f"relay.{step}:kill:{probability}" for step, probability in steps.items())
    await world.add("membership", name=STANDBY, roles="relay", failpoints=plan, watched=True)
    await _die(world, plan, RELAY, "identity-relay", "transactions-relay", also=(STANDBY,))


async def _die(world: World, plan: str, *names: str, also: tuple[str, ...] = ()) -> None:
    """These processes do what the plan says, for a while, and until each of its steps was taken by one of them."""
    said = world.logs(*names, *also)
    await world.fail(plan, *names)
    await asyncio.sleep(DYING_S)
    await said.until(*hits(plan), within_s=LAST_STEP_S)


async def relay_stopped(world: World, _: Random) -> None:
    """The relay stands still for longer than its lease; the standby sends; it goes on, and finds that it was replaced."""
    for step in ("after_send", "after_ack"):
        async with world.healed_afterwards():
            await _be_replaced(world, step)
    await world.add("membership", name=STANDBY, roles="relay")
    for _ in range(2):
        await stand_still(world, await world.active_relay(RELAY, STANDBY))


async def _be_replaced(world: World, step: str) -> None:
    """The relay stands still after this step: with a full send buffer, or just before it deletes under its old fence."""
    said = world.logs(RELAY)
    await world.fail(f"relay.{step}:stop", RELAY)
    zombie = await world.stopped_by_itself(RELAY)
    await world.add("membership", name=STANDBY, roles="relay")
    await world.active_relay(STANDBY)
    await asyncio.sleep(3)

    async def has_noticed() -> bool:
        world.go_on(zombie)  # it may come by the same step again, and stand still there
        return "LeaseLost" in said.text()

    await eventually(has_noticed)


async def stand_still(world: World, pid: int, seconds: float = 8) -> None:
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        world.go_on(pid)


async def consumer_killed(world: World, _: Random) -> None:
    """Consumers die at each step of a batch."""
    steps = ("after_poll", "before_commit", "after_commit", "after_ack")
    plan = ";".join(f"consumer.{step}:kill:0.02" for step in steps)
    await _die(world, plan, "renewals", "notifications", "transactions")


async def consumer_stopped(world: World, _: Random) -> None:
    """A second consumer stands still in an open transaction, until its session and the transaction are long over."""
    plan = "consumer.before_commit:stop:0.2"
    adding = world.add("renewals", name="renewals-2", roles="consumers", failpoints=plan)
    async with in_background(adding):  # it may stand still before it is ready
        for _ in range(2):
            await stand_still(world, await world.stopped_by_itself("renewals-2"), 17)
    await asyncio.sleep(2)


async def consumers_come_and_go(world: World, _: Random) -> None:
    """One consumer, two, three, two, one: a rebalance every five seconds."""
    for service in ("renewals", "notifications"):
        names = [f"{service}-{number}" for number in (2, 3)]
        for name in names:
            await world.add(service, name=name, roles="consumers")
            await asyncio.sleep(5)
        for name in names:
            await world.stack.take_away(name)
            await asyncio.sleep(5)


async def rolling_restart(world: World, rng: Random) -> None:
    """Each service is asked to end, and starts again."""
    for service in rng.sample(world.services, len(world.services)):
        await world.kill(service, how=signal.SIGTERM)
        await asyncio.sleep(1)


async def loop_blocked(world: World, _: Random) -> None:
    """The event loop of a consumer's process stands still for longer than its session."""
    before = await world.sabotage("renewals", "notifications", SABOTAGE_BLOCK_S="20")
    logs = [world.logs(name) for name in before]
    for pid in before.values():
        os.kill(pid, signal.SIGUSR1)
    for said in logs:
        await said.until("sabotage: blocks the loop", within_s=10)
    await asyncio.sleep(25)
    await world.ready(*before)
    assert {name: world.pid(name) for name in before} == before, "a loop that went on needs no restart"


async def coordination_ended(world: World, _: Random) -> None:
    """What keeps a consumer in its group dies, and everything else of its process lives on."""
    before = await world.sabotage("renewals", "notifications")
    await world.ready(*before)  # a consumer that has not started yet is in no group
    logs = [world.logs(name) for name in before]
    for pid in before.values():
        os.kill(pid, signal.SIGUSR2)
    for said in logs:
        await said.until("sabotage: ended the coordination of", within_s=10)

    async def restarted() -> bool:
        return all(world.pid(name) != pid for name, pid in before.items())

    await eventually(restarted, within_s=40)
