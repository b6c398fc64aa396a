"""What processes say from some moment on: by it a strike proves that it has struck."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

LOOK_S = 0.5


class Logs:
    """The logs of these processes, in all their lives, from now on."""

    def __init__(self, folder: Path, names: Iterable[str]) -> None:
        files = [folder / f"{name}.log" for name in names]
        self._begins = {file: file.stat().st_size if file.exists() else 0 for file in files}

    def text(self) -> str:
        """All that was said since then."""
        return "\n".join(
            file.read_bytes()[begin:].decode(errors="replace") for file, begin in self._begins.items() if file.exists()
        )

    async def until(self, *words: str, within_s: float) -> None:
        """Wait until each of these has been said by one of them; AssertionError names those that nobody has said."""
        deadline = time.monotonic() + within_s
        while missing := _missing(words, self.text()):
            assert time.monotonic() < deadline, f"it did not strike: nobody has said {', '.join(missing)}"
            await asyncio.sleep(LOOK_S)


def hits(plan: str) -> list[str]:
    """What a process says as it takes each step of a plan for ``failpoints``."""
    return [f"failpoint {place} {act}" for place, act, *_ in (step.split(":") for step in plan.split(";"))]


def _missing(words: Sequence[str], text: str) -> list[str]:
    return [each for each in words if each not in text]
