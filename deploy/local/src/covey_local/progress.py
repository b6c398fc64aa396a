"""What a stack says while it starts and stops. The command line shows it; tests keep it silent."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(kw_only=True)
class Step:
    """One long step: ``where`` names its result's address, once there is one."""

    title: str
    where: str = ""

    def advance(self, done: int, total: int) -> None:
        """So many of so many parts are done."""


class Progress:
    """Hears of every step, and of what happens in between. This one says nothing."""

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """A step that ends with the block, well or badly."""
        yield Step(title=title)

    def say(self, line: str) -> None:
        """Something happened that a person should know."""
