"""Requests over HTTP/1.1, in a closed loop: each connection sends the next one once it has its answer.

It does little more than read and write a socket: on a machine where it shares the cores with what it measures, a client
library would be measured too.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Load:
    """What came of the requests."""

    took_s: float = 0.0
    """From the first request to the last answer."""
    latencies_s: list[float] = field(default_factory=list)
    """Of each request, in the order of the answers."""
    refused: list[bytes] = field(default_factory=list)
    """The answers that were no success."""

    @property
    def per_s(self) -> float:
        """Successful answers a second."""
        return (len(self.latencies_s) - len(self.refused)) / self.took_s


def request(url: str, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """A request as it goes over the wire."""
    lines = {"Host": urlsplit(url).netloc, **headers, "Content-Length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


async def send_all(url: str, requests: Iterable[bytes], *, connections: int) -> Load:
    """Send all requests and wait for all answers; so many are under way at any time."""
    where = urlsplit(url)
    assert where.hostname is not None
    assert where.port is not None
    loop = asyncio.get_running_loop()
    left, load = iter(requests), Load()
    opened = [
        (await loop.create_connection(lambda: _Connection(left, load), where.hostname, where.port))[1]
        for _ in range(connections)
    ]
    started = time.perf_counter()
    for each in opened:
        each.send_next()
    try:
        await asyncio.gather(*(each.done for each in opened))
    finally:
        for each in opened:
            each.close()
    load.took_s = time.perf_counter() - started
    return load


class _Connection(asyncio.Protocol):
    """One connection, which is kept."""

    def __init__(self, left: Iterator[bytes], load: Load) -> None:
        self.done = asyncio.get_running_loop().create_future()
        self._left = left
        self._load = load
        self._sent_at = 0.0
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionResetError("the server closed the connection"))

    def close(self) -> None:
        self._transport.close()

    def send_next(self) -> None:
        following = next(self._left, None)
        if following is None:
            self.done.set_result(None)
            return
        self._sent_at = time.perf_counter()
        self._transport.write(following)

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, ends, body = self._got.partition(b"\r\n\r\n")
        if not ends or len(body) < _length(head):
            return
        self._load.latencies_s.append(time.perf_counter() - self._sent_at)
        if not head.startswith(b"HTTP/1.1 2"):
            self._load.refused.append(self._got)
        self._got = b""
        self.send_next()


def _length(head: bytes) -> int:
    """The answer's Content-Length: all that is asked for here has one."""
    _, _, rest = head.lower().partition(b"content-length:")
    return int(rest.partition(b"\r\n")[0])
