"""A TCP proxy for each link between a process and what it stands on, and what a network may do to it.

A link is ``user>target``, such as ``renewals>kafka-2``. Patterns name several: ``renewals>*``, ``*>postgres``. What is held
back is not lost: as with a network that was cut, it arrives when the cut has healed, unless somebody gave up before.
"""

import asyncio
import random
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase

CHUNK_BYTES = 256 * 1024
CHUNKS_ON_THE_WAY = 64


@dataclass(frozen=True, kw_only=True)
class Mode:
    """What becomes of a link's connections. Without arguments: all passes."""

    delay_s: float = 0.0
    jitter_s: float = 0.0
    """Each piece is late by ``delay_s``, more or less by up to ``jitter_s``; pieces stay in order."""
    there: bool = True
    """Whether what the user sends arrives."""
    back: bool = True
    """Whether what the target answers arrives."""
    refuses: bool = False
    """Connections are reset, new ones at once."""
    resets_every_s: float | None = None
    """All connections are reset, again and again."""


PASS = Mode()
BLACKHOLE = Mode(there=False, back=False)
HALF_OPEN = Mode(back=False)
RESET = Mode(refuses=True)


def slow(delay_s: float, jitter_s: float = 0.0) -> Mode:
    """Everything arrives late."""
    return Mode(delay_s=delay_s, jitter_s=jitter_s)


def reset_every(seconds: float) -> Mode:
    """No connection lives for long."""
    return Mode(resets_every_s=seconds)


class Proxies:
    """The links of a stack (``covey_local.links.Links``): made as they are asked for, until ``close``."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self._links: dict[tuple[str, int], _Link] = {}

    async def port(self, user: str, target: str, port: int) -> int:
        """Where the user has to go, to reach the target that listens, or will listen, at ``port``."""
        place = (f"{user}>{target}", port)
        if place not in self._links:
            self._links[place] = _Link(port, self._random)
            await self._links[place].open()
        return self._links[place].port

    def set(self, pattern: str, mode: Mode) -> None:
        """From now on the links of this pattern do so. AssertionError where there is no such link."""
        links = [link for (name, _), link in self._links.items() if fnmatchcase(name, pattern)]
        assert links, f"no link is {pattern}: {', '.join(name for name, _ in self._links)}"
        for link in links:
            link.set(mode)

    def have_struck(self, *patterns: str) -> None:
        """AssertionError where all links of a pattern are as they are set, and nothing was harmed by it."""
        for pattern in patterns:
            harmed = sum(link.harmed for (name, _), link in self._links.items() if fnmatchcase(name, pattern))
            assert harmed, f"it did not strike: nothing came by {pattern}"

    def heal(self) -> None:
        """All links pass again; what was held back arrives now."""
        for link in self._links.values():
            link.set(PASS)

    async def close(self) -> None:
        for link in self._links.values():
            await link.close()
        self._links.clear()


class _Link:
    def __init__(self, target_port: int, rng: random.Random) -> None:
        self.target_port = target_port
        self.port = 0
        self.harmed = 0
        """How many pieces and connections were held back, delayed or reset since the mode was set."""
        self._random = rng
        self._mode = PASS
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._resetting: asyncio.Task[None] | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=CHUNK_BYTES)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        self.set(RESET)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def set(self, mode: Mode) -> None:
        self._mode = mode
        self.harmed = 0
        self._changed.set()
        self._changed = asyncio.Event()
        if self._resetting:
            self._resetting.cancel()
            self._resetting = None
        if mode.refuses:
            self._reset()
        if mode.resets_every_s is not None:
            self._resetting = asyncio.create_task(self._reset_again_and_again(mode.resets_every_s))

    async def _reset_again_and_again(self, every_s: float) -> None:
        while True:
            self._reset()
            await asyncio.sleep(every_s)

    def _reset(self) -> None:
        self.harmed += len(self._writers)
        for writer in list(self._writers):
            _abort(writer)

    async def _accept(self, from_user: asyncio.StreamReader, to_user: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(to_user)
        try:
            await self._connect(from_user, to_user)
        except (OSError, asyncio.CancelledError):  # nobody listens there now, or the link is closed: that is all
            _abort(to_user)
        finally:
            self._tasks.discard(task)
            self._writers.discard(to_user)

    async def _connect(self, from_user: asyncio.StreamReader, to_user: asyncio.StreamWriter) -> None:
        if self._mode.refuses:
            self.harmed += 1
            _abort(to_user)
            return
        await self._until_passes("there")
        from_target, to_target = await asyncio.open_connection("127.0.0.1", self.target_port, limit=CHUNK_BYTES)
        self._writers.add(to_target)
        try:
            ways = [
                asyncio.create_task(each)
                for each in (self._pass(from_user, to_target, "there"), self._pass(from_target, to_user, "back"))
            ]
            try:
                # One side closed, and the other has been told.
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        finally:
            self._writers.discard(to_target)
            to_target.close()
            to_user.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str) -> None:
        """One direction of a connection, until its end has been passed on."""
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(CHUNKS_ON_THE_WAY)
        reading = asyncio.create_task(self._read(reader, pieces))
        try:
            while True:
                due_at, piece = await pieces.get()
                await asyncio.sleep(max(0.0, due_at - asyncio.get_running_loop().time()))
                await self._until_passes(way)
                if not piece:
                    return
                writer.write(piece)
                await writer.drain()
        except OSError:
            return
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read(self, reader: asyncio.StreamReader, pieces: asyncio.Queue[tuple[float, bytes]]) -> None:
        piece, due_at = b"begin", 0.0
        while piece:
            piece = b""
            with suppress(OSError):  # a reset ends it like any end
                piece = await reader.read(CHUNK_BYTES)
            mode = self._mode
            self.harmed += bool(piece and mode.delay_s)
            late_s = mode.delay_s + self._random.uniform(-mode.jitter_s, mode.jitter_s)
            due_at = max(due_at, asyncio.get_running_loop().time() + late_s)
            await pieces.put((due_at, piece))

    async def _until_passes(self, way: str) -> None:
        if not getattr(self._mode, way):
            self.harmed += 1
        while not getattr(self._mode, way):
            await self._changed.wait()


def _abort(writer: asyncio.StreamWriter) -> None:
    """End a connection by a reset: whatever is on the way is lost."""
    found = writer.get_extra_info("socket")
    if found is not None:
        with suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
