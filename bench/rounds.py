"""Measuring side by side: in turn, over several rounds, so that whatever else the machine does hits all alike."""

from collections.abc import Awaitable, Callable, Mapping
from statistics import median
from typing import TypeVar

T = TypeVar("T")


async def in_turn(rounds: int, measures: Mapping[str, Callable[[], Awaitable[T]]]) -> dict[str, list[T]]:
    """What each measure gives, round by round. Every other round goes backwards: nothing always comes first."""
    found: dict[str, list[T]] = {name: [] for name in measures}
    for number in range(rounds):
        names = list(measures)
        for name in reversed(names) if number % 2 else names:
            found[name].append(await measures[name]())
    return found


async def interleaved(rounds: int, measures: Mapping[str, Callable[[], Awaitable[float]]]) -> dict[str, float]:
    """The median of each measure over the rounds."""
    return {name: median(values) for name, values in (await in_turn(rounds, measures)).items()}


def percentile(values: list[float], percent: float) -> float:
    """The value that so many percent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
