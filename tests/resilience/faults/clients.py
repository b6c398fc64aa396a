"""A process of clients: ``python -m tests.resilience.faults.clients PLAN.json``.

They ask until SIGTERM; then each ends what it has begun, as far as that can be known in time.
"""

import asyncio
import json
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import httpx

from .client import Office
from .history import History
from .plan import Plan
from .roles import everybody


async def act(plan: Plan) -> None:
    """Let everybody of the plan act until SIGTERM."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
    async with (
        httpx.AsyncClient(timeout=None, limits=limits, trust_env=False) as http,
        AsyncExitStack() as pools,
    ):
        databases = {
            service: await pools.enter_async_context(asyncpg.create_pool(url, min_size=0, max_size=2))
            for service, url in plan["databases"].items()
        }
        with History(Path(plan["history"])) as history:
            office = Office(plan, history, http, databases)
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, office.ending.set)
            async with asyncio.TaskGroup() as tasks:
                for role in everybody(office):
                    tasks.create_task(role)


if __name__ == "__main__":
    asyncio.run(act(json.loads(Path(sys.argv[1]).read_text())))
