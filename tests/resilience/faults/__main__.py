"""Faults strike the platform, and what comes of it is judged: ``python -m tests.resilience.faults --fault F3 --seed 7``."""

import asyncio
import logging
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Annotated

import typer

from . import report
from .catalogue import FAULTS, Fault
from .rounds import Load, Round, failed, play, rebuilt
from .world import Shape, keep_logs, running_world

FOLDER = Path(".covey/faults")


def main(
    fault: Annotated[str, typer.Option(help="Which, with commas between; all unless given.")] = "",
    seed: Annotated[
        int,
        typer.Option(help="The same choices as in the run of that seed (but for failpoints' dice); any unless given."),
    ] = 0,
    events: Annotated[int, typer.Option(help="Begin again, with the next seed, until so many have passed.")] = 0,
    warm_up: Annotated[
        float, typer.Option(help="Seconds of load before each fault, at least: all of it has to be under way.")
    ] = Load.warm_up_s,
    rate: Annotated[
        float, typer.Option(help="Operations a second: fewer of them leave more of the machine to imports.")
    ] = Load.rate_per_s,
    minutes: Annotated[float, typer.Option(help="Begin no other fault after so long.")] = 120,
    json: Annotated[Path | None, typer.Option(help="Write what was found here, too, after each round.")] = None,
    go_on: Annotated[
        bool, typer.Option("--go-on", help="Go on from what that file has: its rounds are played and counted already.")
    ] = False,
) -> None:
    """Let faults strike a platform under load; the exit code is 1 when a promise was broken, or time was too short."""
    for library in ("aiokafka", "asyncpg"):
        logging.getLogger(library).setLevel(logging.CRITICAL)  # that Kafka or PostgreSQL is away is what we want
    before = report.read(json) if go_on and json is not None and json.exists() else []
    seed = seed or (before[0].seed if before else random.SystemRandom().randint(1, 1_000_000))
    print(f"seed {seed}")
    until = time.monotonic() + minutes * 60
    load = Load(warm_up_s=warm_up, rate_per_s=rate)
    found = _run(_chosen(fault), seed=seed, events=events, load=load, until=until, before=before, keep=json)
    rounds, missed = asyncio.run(found)
    print(report.summary(rounds))
    if missed:
        print(f"not played: {missed}")
    sys.exit(1 if missed or any(each.violations for each in rounds) else 0)


def _chosen(ids: str) -> list[Fault]:
    known = {fault.id: fault for fault in FAULTS}
    wanted = [each.strip() for each in ids.split(",") if each.strip()] or list(known)
    if unknown := [each for each in wanted if each not in known]:
        raise typer.BadParameter(f"{', '.join(unknown)}: there are {', '.join(known)}")
    return [fault for each, fault in known.items() if each in wanted]  # in this order: nothing follows a restored one


async def _run(
    faults: Sequence[Fault],
    *,
    seed: int,
    events: int,
    load: Load,
    until: float,
    before: Sequence[Round] = (),
    keep: Path | None = None,
) -> tuple[list[Round], str]:
    """What was played, and what there was no time for. Each fault is played; then again, until so many have passed.

    What was played ``before`` without a violation is not played again. Everything is written to ``keep`` after each round.
    """
    rounds: list[Round] = list(before)
    played_before = {(each.fault.id, each.seed) for each in before if not each.violations}
    code = _commit()
    print(report.header())
    for each in before:
        print(report.line(each))
    for number in count(seed):
        wanted = [fault for fault in faults if (fault.id, number) not in played_before]
        over = partial(_is_over, rounds, enough=events if number > seed else None, until=until)
        missed: list[str] = []
        for shape, left in _by_shape(wanted):
            while left and not over():
                async for each in _in_one_world(shape, left, number, load, over):
                    played = replace(each, code=code)
                    print(report.line(played), flush=True)
                    rounds.append(played)
                    if keep is not None:
                        report.write(rounds, keep)
            missed += [each.id for each in left]
        if _passed(rounds) >= events and (number > seed or not missed):
            return rounds, ""
        if missed:
            return rounds, f"{', '.join(missed)} with seed {number}"
        if over():
            return rounds, f"{events - _passed(rounds):,} events of {events:,}"
    raise AssertionError("there is no last seed")


def _commit() -> str:
    """Which code is under test, as git names it; with a mark when something is not committed."""
    named = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    return subprocess.run(named, capture_output=True, text=True, check=False).stdout.strip()


def _is_over(rounds: Sequence[Round], *, enough: int | None, until: float) -> bool:
    return time.monotonic() >= until or (enough is not None and _passed(rounds) >= enough)


def _passed(rounds: Sequence[Round]) -> int:
    return sum(each.figures.events for each in rounds)


def _by_shape(faults: Sequence[Fault]) -> Iterator[tuple[Shape, list[Fault]]]:
    for shape in dict.fromkeys(fault.shape for fault in faults):
        yield shape, [fault for fault in faults if fault.shape == shape]


async def _in_one_world(
    shape: Shape, left: list[Fault], seed: int, load: Load, over: Callable[[], bool]
) -> AsyncIterator[Round]:
    """Play faults of one shape, in one world, until none are left, it is over, or something was violated."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{seed}-", dir=FOLDER))
    fault = left[0]
    try:
        async with running_world(folder / "stack", shape, seed=seed) as world:
            broken = False
            while left and not broken and not over():
                fault = left[0]
                played = await play(world, fault, seed=seed, folder=folder, load=load)
                left.pop(0)
                yield played
                broken = bool(played.violations)
            # After a violation, too: what was played before it is judged by this.
            yield (played := await rebuilt(world, seed=seed))
            broken = broken or bool(played.violations)
            if broken:
                keep_logs(world.stack, folder)  # beside the histories
        if not broken:
            shutil.rmtree(folder)
    except Exception as error:  # the other faults have their turn all the same
        if left and left[0] is fault:
            left.pop(0)
        yield failed(fault, seed, error)


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(main)
    app()
