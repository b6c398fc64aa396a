"""Keeps the processes of a stack alive: one that dies, or says that it is stuck, is started again, and it is said."""

import asyncio
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, runtime_checkable

from covey_local import processes
from covey_local.processes import Part, Running, StartFailed

PAUSES = (0.2, 5.0)
"""Seconds before a part is started again: the first pause, and the longest. Each is twice the one before."""
GOOD_AGE = 30.0
"""A part that has lived so many seconds is taken for sound: its next pause is the first again."""
LOOK = 0.05


@runtime_checkable
class Watched(Protocol):
    """A part that can be asked whether it is stuck."""

    async def stuck(self) -> str | None:
        """Why it must be started again, or None. Asked about once a second."""
        ...


class Supervisor:
    """Watches parts that run. ``changed`` is called whenever a part has another process than before."""

    def __init__(
        self, running: Running, *, say: Callable[[str], None], changed: Callable[[], None] = lambda: None
    ) -> None:
        self._running = running
        self._say = say
        self._changed = changed
        self._watches: dict[str, asyncio.Task[None]] = {}

    def watch(self, part: Part, process: "subprocess.Popen[bytes]") -> None:
        """Watch a part that was launched, from now on."""
        self._watches[part.name] = asyncio.create_task(self._keep(part, process), name=f"watch {part.name}")

    def watches(self, name: str) -> bool:
        return name in self._watches

    async def leave(self, name: str) -> None:
        """Watch one part no more. Harmless when it is not watched."""
        if task := self._watches.pop(name, None):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def release(self) -> None:
        """Watch nothing any more: what ends from now on is meant to end."""
        await asyncio.gather(*map(self.leave, list(self._watches)))

    async def _keep(self, part: Part, process: "subprocess.Popen[bytes]") -> None:
        pause = PAUSES[0]
        while True:
            started = time.monotonic()
            why = await _down(part, process)
            pause = PAUSES[0] if time.monotonic() - started >= GOOD_AGE else pause
            self._say(f"{part.name} {why}; it is started again in {pause:.1f} s.")
            await asyncio.sleep(pause)
            pause = min(PAUSES[1], pause * 2)
            try:
                process = await self._running.launch(part)
                self._changed()
            except (StartFailed, OSError) as error:
                self._say(f"{part.name} could not be started: {error}")
                continue
            with suppress(StartFailed):
                began = time.monotonic()
                await part.ready(process)
                self._say(f"{part.name} is back, as process {process.pid}, after {time.monotonic() - began:.1f} s.")


async def _down(part: Part, process: "subprocess.Popen[bytes]") -> str:
    """Wait until the part is down, or take it down because it is stuck. Returns what happened, in words."""
    asked = time.monotonic()
    while process.poll() is None:
        await asyncio.sleep(LOOK)
        if isinstance(part, Watched) and time.monotonic() - asked >= 1:
            if reason := await part.stuck():
                await processes.stop(process, gently=part.stop_signal)
                return f"was stuck ({reason}) and has been stopped"
            asked = time.monotonic()
    code = process.returncode
    return f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
