"""One fault, from a quiet world to the verdict: load, strike, heal, rest, evidence, check."""

import asyncio
import pickle
import time
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random

from .cast import acting
from .catalogue import Fault
from .checker import HARNESS, Figures, figures, violations
from .collecting import collect, mark
from .evidence import Evidence, Removal
from .history import read_histories
from .invariants import not_yet_done
from .rebuild import rebuild
from .sampler import Sampler
from .storm import storm
from .world import AWAY, World

UNDER_WAY_S = 60.0
"""So long a strike waits for clients to have done what a verdict asks of them: struck, they may not come to it."""
LOOK_S = 0.2
STRIKE_S = 240.0
"""After so long a strike is given up."""
REST_S = 60.0
"""So soon after the healing all has to have come to rest."""


async def _nothing(_world: World, _rng: Random) -> None:
    pass


REBUILT = Fault(id="end", title="copies made again from the topics", moment="after all faults", strike=_nothing)


@dataclass(frozen=True, kw_only=True)
class Round:
    """What a fault did, and what was found."""

    fault: Fault
    seed: int
    figures: Figures
    violations: list[str]
    recovery_s: float | None
    removals: list[Removal] = field(default_factory=list)
    took_s: float
    code: str = ""
    """The commit of the code under test."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What the platform has to do in a round. Imports come one after the other."""

    warm_up_s: float = 5.0
    """So long before the strike, and until all is under way."""
    rate_per_s: float = 40.0
    """Operations of all clients together, if nothing is slow."""
    import_rows: int = 2000
    """Of one import, each of which is an event."""
    behind: int = 6000
    """An import begins when no more records than so many wait for all consumers: a load that outruns them would prove
    nothing."""


async def play(
    world: World,
    fault: Fault,
    *,
    seed: int,
    folder: Path,
    load: Load = Load(),
) -> Round:
    """Let the fault strike the world under load, and judge what came of it. Histories are left in the folder."""
    began = time.monotonic()
    since = await mark(world.platform)
    broken: list[str] = []
    name = f"{fault.id}-{seed}"
    rng = Random(name)
    histories: list[Path] = []
    healed = began
    async with Sampler(world.platform) as sampler:
        try:
            async with (
                acting(
                    world.platform, world.cast, folder, name=name, seed=rng.randrange(2**31), rate_per_s=load.rate_per_s
                ) as history,
                storming(world, folder / name, histories, load, seed=seed) if fault.storms else nullcontext(),
            ):
                histories.append(history)
                await asyncio.sleep(load.warm_up_s)
                await until_under_way(history)
                try:
                    broken += await _strike(world, fault, rng)
                finally:
                    healed = time.monotonic()
                    await world.heal()
        except (AssertionError, TimeoutError) as error:
            broken.append(f"I7: {error!r}")
        rest_at, moving = await world.comes_to_rest(within_s=REST_S)
    recovery_s = None if rest_at is None else rest_at - healed
    evidence = await collect(
        world.platform,
        since,
        histories=histories,
        samples=sampler.samples,
        poisons=world.poisons,
        restored=world.restored,
        recovery_s=recovery_s,
    )
    await world.forget_poison()
    found = violations(evidence, excused=fault.excused)
    broken += [f"I7: {what}" for what in moving]
    broken += map(str, found)
    if broken:
        (folder / f"{name}.evidence").write_bytes(pickle.dumps(evidence))
    return Round(
        fault=fault,
        seed=seed,
        figures=figures(evidence),
        violations=broken,
        recovery_s=recovery_s,
        removals=evidence.removals,
        took_s=time.monotonic() - began,
    )


def failed(fault: Fault, seed: int, error: Exception) -> Round:
    """A round that could not be judged: nothing is proven by it."""
    traceback.print_exception(error)
    return Round(
        fault=fault,
        seed=seed,
        figures=figures(Evidence()),
        violations=[f"the harness: {type(error).__name__}: {error}"],
        recovery_s=None,
        took_s=0.0,
    )


async def rebuilt(world: World, *, seed: int) -> Round:
    """What all faults together have left of the copies, beside what the kept topics make of them."""
    began = time.monotonic()
    evidence = Evidence(rebuilt=await rebuild(world.platform), recovery_s=0.0)
    return Round(
        fault=REBUILT,
        seed=seed,
        figures=figures(evidence),
        violations=[
            *([] if evidence.rebuilt else [f"{HARNESS}: no copy was made again"]),
            *map(str, violations(evidence, excused=frozenset({HARNESS}))),
        ],
        recovery_s=None,
        took_s=time.monotonic() - began,
    )


async def until_under_way(history: Path, *, within_s: float = UNDER_WAY_S) -> None:
    """Until clients have done all that a verdict asks of them; or time is up, and the verdict says what is missing."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            while any(not_yet_done(read_histories([history]))):
                await asyncio.sleep(LOOK_S)


async def _strike(world: World, fault: Fault, rng: Random) -> list[str]:
    """What did not hold while it struck."""
    try:
        async with asyncio.timeout(STRIKE_S):
            await fault.strike(world, rng)
    except Exception as error:  # whatever it is, the round goes on: what came of it is judged all the same
        traceback.print_exc()
        return [f"the strike: {type(error).__name__}: {error}"]
    return []


@asynccontextmanager
async def storming(world: World, folder: Path, histories: list[Path], load: Load, *, seed: int) -> AsyncIterator[None]:
    """One import after the other for the block, each with a history of its own. The last one is waited for."""
    over = asyncio.Event()

    async def keep_up() -> bool:
        with suppress(*AWAY):
            return sum((await world.behind()).values()) <= load.behind
        return False

    async def go_on() -> None:
        for number in count():
            if over.is_set():
                return
            histories.append(folder / f"storm-{number}.jsonl")
            await storm(world.platform, histories[-1], rows=load.import_rows, seed=seed)
            while not over.is_set() and not await keep_up():
                await asyncio.sleep(0.5)

    task = asyncio.create_task(go_on())
    try:
        yield
    finally:
        over.set()
        async with asyncio.timeout(REST_S):
            await task
