"""A service of the platform, or the mail catcher, as a process of this machine."""

import signal
import ssl
import subprocess
import time
from dataclasses import dataclass, field
from http import HTTPStatus

import httpx

from covey_local import processes
from covey_local.processes import Command

TRUSTS_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For plain HTTP: to read the authorities' certificates takes more time than all that is asked."""


@dataclass(kw_only=True)
class HttpProcess:
    """A process with an address: ready when ``ready_path`` answers 200."""

    name: str
    command: Command
    url: str
    ready_path: str
    stop_signal: int = signal.SIGTERM

    async def launch(self) -> "subprocess.Popen[bytes]":
        return self.command.start()

    async def ready(self, process: "subprocess.Popen[bytes]") -> None:
        async with self._asking() as client:
            async for _ in processes.until_ready(process, self.name, self.command.log):
                if await _status(client, self.ready_path) == HTTPStatus.OK:
                    return

    def _asking(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, timeout=5, trust_env=False, verify=TRUSTS_NOBODY)


@dataclass(kw_only=True)
class ServiceProcess(HttpProcess):
    """A process of a service, which says by its liveness probe whether it is stuck.

    It is taken for stuck when that probe has failed for ``stuck_s`` seconds, or has not answered for ``silent_s``.
    """

    ready_path: str = "/readyz"
    stuck_s: float = 10
    silent_s: float = 60
    _well_at: float = field(default_factory=time.monotonic, init=False)
    _answered_at: float = field(default_factory=time.monotonic, init=False)

    async def launch(self) -> "subprocess.Popen[bytes]":
        self._well_at = self._answered_at = time.monotonic()
        return await super().launch()

    async def stuck(self) -> str | None:
        async with self._asking() as client:
            status = await _status(client, "/livez")
        now = time.monotonic()
        if status is not None:
            self._answered_at = now
        if status != HTTPStatus.SERVICE_UNAVAILABLE:
            self._well_at = now
        if now - self._well_at >= self.stuck_s:
            return f"its liveness probe has failed for {self.stuck_s:.0f} s"
        if now - self._answered_at >= self.silent_s:
            return f"its liveness probe has not answered for {self.silent_s:.0f} s"
        return None


async def _status(client: httpx.AsyncClient, path: str) -> int | None:
    try:
        return (await client.get(path)).status_code
    except httpx.HTTPError:
        return None
