"""Streams of a service under test, heard as they come: over a real connection."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn

from covey_chassis.testing import Harness
from covey_chassis.testing.broker import eventually


@dataclass(frozen=True)
class Heard:
    """One event of a stream."""

    name: str
    data: Any
    event_id: str | None


@asynccontextmanager
async def serving(harness: Harness) -> AsyncIterator[str]:
    """The service over TCP for the block: its URL. What is endless must have been told to stop before the block ends."""
    server = uvicorn.Server(uvicorn.Config(harness.app, port=0, log_config=None, lifespan="off", access_log=False))
    task = asyncio.create_task(server.serve())

    async def started() -> bool:
        return server.started

    await eventually(started)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def served(harness: Harness) -> AsyncIterator[Callable[[httpx.AsyncClient], httpx.AsyncClient]]:
    """The service over TCP for the block: it makes of a client one of the same person that connects.

    All streams end with the block, and it serves no other one after it.
    """
    async with serving(harness) as url:
        try:
            async with AsyncExitStack() as clients:

                def connecting(client: httpx.AsyncClient) -> httpx.AsyncClient:
                    made = httpx.AsyncClient(base_url=url, headers=client.headers, timeout=10)
                    clients.push_async_callback(made.aclose)
                    return made

                yield connecting
        finally:
            harness.context.stopping.set()


async def heard(api: httpx.AsyncClient, path: str, *, last_event_id: str | None = None) -> AsyncIterator[Heard]:
    """The events of the stream, as they come, until it ends."""
    headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
    async with api.stream("GET", path, headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream"), await answer.aread()
        said: dict[str, str] = {}
        async for line in answer.aiter_lines():
            field, _, value = line.partition(": ")
            if line:
                said[field] = value
            elif said.get("event"):
                yield Heard(said["event"], json.loads(said["data"]), said.get("id"))
                said = {}
