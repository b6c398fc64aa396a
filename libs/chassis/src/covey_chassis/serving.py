"""How a process answers HTTP: its settings from the environment, its server, and how it ends."""

import asyncio
import sys
from types import FrameType
from typing import TypeVar

import uvicorn
from pydantic import ValidationError
from starlette.types import ASGIApp

from covey_chassis.settings import ProcessSettings

Settings = TypeVar("Settings", bound=ProcessSettings)


def settings_from_environment(kind: type[Settings], name: str) -> Settings:
    """The settings; the process ends where they are not right, and says what is wrong."""
    try:
        return kind()
    except ValidationError as error:
        sys.exit(f"{name} can't run with the COVEY_... settings that it was given: {error}")


class _Server(uvicorn.Server):
    """A server that tells those who stream that the process is to end: it would wait for them."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._stopping.set()
        super().handle_exit(sig, frame)


def server_config(app: ASGIApp, settings: ProcessSettings) -> uvicorn.Config:
    """How the app is served."""
    return uvicorn.Config(
        app,
        host=settings.http_host,
        port=settings.http_port,
        log_config=None,
        access_log=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_graceful_shutdown=15,
    )


def answer_until_ended(app: ASGIApp, settings: ProcessSettings, name: str, *, stopping: asyncio.Event) -> None:
    """Answer requests until SIGTERM or SIGINT, which set ``stopping``: long answers come to their end then."""
    server = _Server(server_config(app, settings), stopping)
    server.run()
    if not server.started:
        sys.exit(f"{name} did not start")
