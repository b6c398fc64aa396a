"""A whole platform with its portal, and a real browser.

``COVEY_RUN_FILE=.covey/run.json`` uses a stack that runs already; ``COVEY_CHROMIUM`` names another browser than the
``chromium`` that is found. One stack serves all of these tests, and lives until the run is over: `make test` runs them by
themselves, so that it is in nobody's way.
"""

import asyncio
import json
import os
import shutil
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
import uvicorn
from covey_local.home import RunFile
from covey_local.stack import Stack
from covey_portal.app import create_app
from covey_portal.settings import PortalSettings
from playwright.async_api import Browser, async_playwright

from .people import Platform, Visitor

CACHE = Path(".covey/cache")
HASHES_OF_TESTS = {"COVEY_ARGON2_MEMORY_KIB": "8", "COVEY_ARGON2_PASSES": "1", "COVEY_ARGON2_LANES": "1"}
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
async def platform(tmp_path_factory) -> AsyncIterator[Platform]:
    if running := os.environ.get("COVEY_RUN_FILE"):
        run: RunFile = json.loads(Path(running).read_text())
        yield Platform(run)
        return
    folder = tmp_path_factory.mktemp("portal") / ".covey"
    stack = Stack(folder, durable=False, portal=True, cache=CACHE, environment={"identity": HASHES_OF_TESTS})
    try:
        await stack.start()
        yield Platform(stack.run)
    finally:
        await stack.stop()
        stack.infrastructure.delete()


@pytest.fixture
def another_portal(platform) -> Callable[..., AbstractAsyncContextManager[Platform]]:
    """The same platform with a portal of other settings, for the block."""

    @asynccontextmanager
    async def running(**different: str) -> AsyncIterator[Platform]:
        with socket.create_server(("127.0.0.1", 0)) as listens:
            url = f"http://localhost:{listens.getsockname()[1]}"
            services = {f"{name}_url": at for name, at in platform.run["services"].items() if name != "notifications"}
            app = create_app(PortalSettings(**{"portal_url": url, **services, **different}))
            server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
            serving = asyncio.create_task(server.serve(sockets=[listens]))
            try:
                yield Platform({**platform.run, "portal": url})
            finally:
                app.state.stopping.set()
                server.should_exit = True
                await serving

    return running


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    path = os.environ.get("COVEY_CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        why = "no Chromium is found: deploy/install-browser gets Debian's"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield launched
        await launched.close()


@pytest.fixture
async def visit(platform, browser) -> AsyncIterator[Callable[..., Awaitable[Visitor]]]:
    """Opens a browser of somebody's own; nothing may go wrong in it that a browser notices."""
    visitors: list[Visitor] = []

    async def open_one(*, at: Platform = platform, **how: object) -> Visitor:
        visitor = await Visitor.open(browser, at, **how)
        visitors.append(visitor)
        return visitor

    yield open_one
    noticed = [each for visitor in visitors for each in visitor.noticed]
    for visitor in visitors:
        await visitor.page.context.close()
    assert noticed == []
