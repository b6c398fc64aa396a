"""Running an example as its reader would: a process of its own, whose lines are read as they come."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[2] / "examples"
Line = dict[str, Any]


@dataclass
class Program:
    """A program that runs: the JSON lines that it has written so far."""

    process: asyncio.subprocess.Process
    lines: list[Line] = field(default_factory=list)
    _written: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def written(self, number: int) -> list[Line]:
        """Its first so many lines, when they are there. AssertionError when it ends before."""
        async with asyncio.timeout(60), self._written:
            await self._written.wait_for(lambda: len(self.lines) >= number or self.process.stdout.at_eof())
        assert len(self.lines) >= number, await self.process.stderr.read()
        return self.lines[:number]

    async def stop(self, number: int = signal.SIGTERM) -> Line | None:
        """End it by this signal. Its last line, if it wrote one."""
        self.process.send_signal(number)
        return await self.ended()

    async def ended(self) -> Line | None:
        """Wait until it has ended by itself. Its last line, if it wrote one."""
        async with asyncio.timeout(60):
            await self.process.wait()
        async with self._written:
            await self._written.wait_for(self.process.stdout.at_eof)
        return self.lines[-1] if self.lines else None

    async def read(self) -> None:
        async for line in self.process.stdout:
            async with self._written:
                self.lines.append(json.loads(line))
                self._written.notify_all()
        async with self._written:
            self._written.notify_all()


@asynccontextmanager
async def running(words: Sequence[str | Path]) -> AsyncIterator[Program]:
    """The program for the block; it is gone after it."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*map(str, words), stdout=pipe, stderr=pipe)
    program = Program(process)
    reading = asyncio.create_task(program.read())
    try:
        yield program
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading
