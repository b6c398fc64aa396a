"""One PostgreSQL and one Kafka for all tests here that need no stack of their own."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from covey_local import processes
from covey_local.home import Home
from covey_local.infrastructure import Infrastructure
from covey_local.progress import Progress

CACHE = Path(".covey/cache")
"""Kafka's jars, shared with the stack of this checkout."""


class Said(Progress):
    """Remembers what was said."""

    def __init__(self):
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture(scope="session")
async def stack(tmp_path_factory) -> AsyncIterator[Infrastructure]:
    infrastructure = Infrastructure(tmp_path_factory.mktemp("local") / ".covey", durable=False, cache=CACHE)
    try:
        await infrastructure.start()
        yield infrastructure
    finally:
        await infrastructure.stop()
        infrastructure.delete()


@pytest.fixture
async def home(tmp_path) -> AsyncIterator[Home]:
    """A folder for a stack that is run by another process; whatever happens, nothing of it stays."""
    home = Home(tmp_path / ".covey")
    yield home
    if (pid := home.runner()) and pid != os.getpid():
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda: home.runner() is None)
    await home.end_leftovers()
    home.delete()


@pytest.fixture
def run_stack(home) -> Iterator[Callable[[], "subprocess.Popen[str]"]]:
    """Runs a stack without services in another process, as ``covey run`` does."""
    started: list[subprocess.Popen[str]] = []

    def run() -> "subprocess.Popen[str]":
        script = Path(__file__).parent / "run_stack.py"
        words = [sys.executable, str(script), str(home.folder), str(CACHE.resolve())]
        started.append(subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
        return started[-1]

    yield run
    for process in started:
        with suppress(ProcessLookupError):
            process.kill()
        process.communicate()


async def eventually(condition: Callable[[], object], *, within_s: float = 200) -> None:
    """Wait until the condition holds. AssertionError after the deadline."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s} s")
        await asyncio.sleep(0.02)


def runs(pid: int) -> bool:
    return processes.born(pid) is not None
