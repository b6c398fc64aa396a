"""Running an example as its reader would: a process of its own, whose lines are read as they come."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from covey_chassis.settings import KafkaSettings

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
async def running(program: Sequence[str | Path], kafka: KafkaSettings, words: Sequence[str]) -> AsyncIterator[Program]:
    """The program on this Kafka for the block; it is gone after it."""
    pipe = asyncio.subprocess.PIPE
    where, environment = ["--kafka", kafka.bootstrap_servers], dict(os.environ)
    if kafka.sasl_username and kafka.sasl_password:
        where += ["--user", kafka.sasl_username]
        environment["KAFKA_PASSWORD"] = kafka.sasl_password.get_secret_value()
    process = await asyncio.create_subprocess_exec(
        *map(str, program), *where, *words, env=environment, stdout=pipe, stderr=pipe
    )
    begun = Program(process)
    reading = asyncio.create_task(begun.read())
    try:
        yield begun
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading
