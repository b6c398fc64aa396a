"""Operating-system processes: started in a group of their own, recognised again later, and ended for certain."""

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from covey_local.refused import Refused


class StartFailed(Refused):
    """A part of the stack did not come up; the message says which, and what its log says."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """The operating-system account that a process runs as."""

    uid: int
    gid: int


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What tells a process from a later one that was given the same ID."""

    pid: int
    born: str

    @property
    def runs(self) -> bool:
        """Whether it is still the process that was marked, and has not ended."""
        return born(self.pid) == self.born


def born(pid: int) -> str | None:
    """When a process began, as the system writes it; None when there is none, or only its exit code is left."""
    with suppress(FileNotFoundError, ProcessLookupError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] == "Z" else fields[19]
    if Path("/proc/self").exists():
        return None
    state, _, begun = _ps(pid, "state=,lstart=").partition(" ")
    return None if state in ("", "Z") else begun.strip()


def command_line(pid: int) -> str:
    """The words by which a process was started; empty when there is none."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ")
    return "" if Path("/proc/self").exists() else _ps(pid, "command=")


def _ps(pid: int, columns: str) -> str:
    words = ["/bin/ps", "-o", columns, "-p", str(pid)]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


@dataclass(frozen=True, kw_only=True)
class Command:
    """A program to run: as whom, in which surroundings, and where its output goes."""

    arguments: Sequence[str]
    log: Path
    environment: Mapping[str, str]
    folder: Path | None = None
    account: Account | None = None

    def start(self) -> "subprocess.Popen[bytes]":
        """Start it in a session of its own: Ctrl-C in the terminal reaches the supervisor only."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self.arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=dict(self.environment),
                start_new_session=True,
                user=self.account.uid if self.account else None,
                group=self.account.gid if self.account else None,
                extra_groups=() if self.account else None,
            )


class Part(Protocol):
    """One process of a stack, which can be started again and again."""

    @property
    def name(self) -> str: ...

    @property
    def stop_signal(self) -> int:
        """What asks it to end in good order."""
        ...

    async def launch(self) -> "subprocess.Popen[bytes]":
        """Run it. What must be there before it runs is made first."""
        ...

    async def ready(self, process: "subprocess.Popen[bytes]") -> None:
        """Wait until it does its work. Raises ``StartFailed`` when it ends first, or takes too long."""
        ...


async def start(part: Part) -> "subprocess.Popen[bytes]":
    """Launch a part and wait until it is ready. When that fails, or is cancelled, the process is ended."""
    process = await part.launch()
    try:
        await part.ready(process)
    except BaseException:
        await stop(process, gently=part.stop_signal)
        raise
    return process


async def until_ready(
    process: "subprocess.Popen[bytes]", title: str, *logs: Path, seconds: float = 120
) -> AsyncIterator[None]:
    """Goes round, with short pauses, while a process may still get ready. Raises ``StartFailed`` when it can't."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise StartFailed("\n".join([f"{title} ended as soon as it was started.", *map(tail, logs)]))
        yield
        await asyncio.sleep(0.03)
    raise StartFailed("\n".join([f"{title} was not ready after {seconds:.0f} s.", *map(tail, logs)]))


def run(arguments: Sequence[str], *, environment: Mapping[str, str], account: Account | None = None) -> None:
    """Run a short program to its end. Raises ``StartFailed`` with its output when it fails."""
    done = subprocess.run(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(environment),
        cwd="/",
        check=False,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=() if account else None,
    )
    if done.returncode != 0:
        raise StartFailed(f"{Path(arguments[0]).name} failed: {done.stdout.decode(errors='replace').strip()}")


async def ended(process: "subprocess.Popen[bytes]", *, seconds: float | None = None) -> bool:
    """Wait until the process has ended; False when it has not after ``seconds``.

    It polls, because a process of asyncio is bound to the loop that started it and is killed when that loop goes.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    while process.poll() is None:
        if deadline is not None and time.monotonic() >= deadline:
            return False
        await asyncio.sleep(0.02)
    return True


async def stop(process: "subprocess.Popen[bytes]", *, gently: int = signal.SIGTERM, seconds: float = 20) -> None:
    """Ask the process to end, and after ``seconds`` kill it with all of its group."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            process.send_signal(gently)
            process.send_signal(signal.SIGCONT)  # one that stands still would not hear it
        if not await ended(process, seconds=seconds):
            kill_group(process.pid)
            await ended(process)


def kill_group(pid: int) -> None:
    """Kill a process that leads a group, and the group."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def tail(log: Path, lines: int = 15) -> str:
    """The end of a log, for a message about a failure."""
    with suppress(FileNotFoundError):
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    return "(no log)"


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.replace(path)


class Running:
    """The processes of a stack that run now. A file names them too: whoever comes after a crash finds them there."""

    def __init__(self, register: Path) -> None:
        self._register = register
        self._entries: dict[str, tuple[Part, subprocess.Popen[bytes]]] = {}

    def pids(self) -> dict[str, int]:
        """The process IDs by name, in the order in which the parts were started."""
        return {name: process.pid for name, (_, process) in self._entries.items()}

    def entries(self) -> "list[tuple[Part, subprocess.Popen[bytes]]]":
        """The parts with their processes."""
        return list(self._entries.values())

    def part(self, name: str) -> Part:
        """The part of that name. Raises ``Refused`` when there is none."""
        return self._entry(name)[0]

    def process(self, name: str) -> "subprocess.Popen[bytes]":
        """The process of the part of that name. Raises ``Refused`` when there is none."""
        return self._entry(name)[1]

    async def launch(self, part: Part) -> "subprocess.Popen[bytes]":
        """Run a part, in the place of the part of its name that ran before."""
        process = await part.launch()
        self._entries[part.name] = (part, process)
        self._write()
        return process

    async def start(self, part: Part) -> None:
        """Run a part and wait until it is ready. A part that is not keeps its place until ``stop``."""
        await part.ready(await self.launch(part))

    async def stop(self, name: str, *, how: int | None = None, seconds: float = 20) -> None:
        """End a part: gently, by its own signal or by ``how``, and after ``seconds`` by force."""
        if entry := self._entries.get(name):
            part, process = entry
            await stop(process, gently=how or part.stop_signal, seconds=seconds)
            del self._entries[name]
            self._write()

    def _entry(self, name: str) -> "tuple[Part, subprocess.Popen[bytes]]":
        if name not in self._entries:
            raise Refused(f"No part {name} runs. There are: {', '.join(self._entries)}.")
        return self._entries[name]

    def _write(self) -> None:
        marks = {name: Mark(pid=pid, born=begun) for name, pid in self.pids().items() if (begun := born(pid))}
        if marks:
            write_private(self._register, json.dumps({name: asdict(mark) for name, mark in marks.items()}, indent=1))
        else:
            self._register.unlink(missing_ok=True)


def leftovers(path: Path) -> dict[str, Mark]:
    """The processes of a register that still run, in the order in which they were started."""
    try:
        marks = {name: Mark(**entry) for name, entry in json.loads(path.read_text()).items()}
    except (FileNotFoundError, ValueError):
        return {}
    return {name: known for name, known in marks.items() if known.runs}


async def end_leftovers(path: Path, *, gentle_signals: Mapping[str, int], seconds: float = 20) -> list[str]:
    """End what a killed supervisor left running, last started first. Returns the names of what was ended."""
    found = leftovers(path)
    for name, known in reversed(found.items()):
        with suppress(ProcessLookupError):
            os.kill(known.pid, gentle_signals.get(name, signal.SIGTERM))
        deadline = time.monotonic() + seconds
        while known.runs:
            if time.monotonic() >= deadline:
                kill_group(known.pid)
                deadline = time.monotonic() + seconds
            await asyncio.sleep(0.02)
    await asyncio.to_thread(path.unlink, missing_ok=True)
    return list(found)
