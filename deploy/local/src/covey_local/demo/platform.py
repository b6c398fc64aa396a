"""What the demo sees of the platform: its HTTP interfaces, the mail catcher's inbox, and what others' programs say."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, TypeVar, cast
from uuid import uuid4

import httpx
from covey_chassis.settings import KafkaSettings

from covey_local.attach import Listeners
from covey_local.home import UserAccount
from covey_local.sign_on import SignOn

SUBSCRIBER = Path("examples/downstream_subscriber.py")
REVIEWER = Path("examples/reviewing_program.py")
Json = dict[str, Any]
Found = TypeVar("Found")

LOOK_S = 0.02
NOBODY = httpx.Auth()
"""Asks without being signed on."""


@dataclass(frozen=True)
class Platform:
    """A running stack; its Kafka by who signs on.

    ``pids`` and ``probes`` (where each process answers) are asked anew: processes come and go.
    """

    services: dict[str, str]
    kafka: Mapping[str, KafkaSettings]
    mail: str
    operator_token: str
    accounts: dict[str, UserAccount]
    pids: Callable[[], dict[str, int]]
    probes: Callable[[], list[str]]
    patience_s: float


class NotInTime(Exception):
    """Something that had to happen did not happen within its limit."""


async def wait_for(look: Callable[[], Awaitable[Found | None]], what: str, patience_s: float) -> Found:
    """Look until something is there. Raises ``NotInTime`` with ``what``."""
    deadline = time.monotonic() + patience_s
    while True:
        found = await look()
        if found is not None:
            return found
        if time.monotonic() > deadline:
            raise NotInTime(f"{what} (after {patience_s:.0f} s)")
        await asyncio.sleep(LOOK_S)


def ms_since(moment: str, since: float) -> float:
    """How long after ``since`` (seconds of the epoch) a moment was, in milliseconds."""
    return (datetime.fromisoformat(moment).timestamp() - since) * 1000


class Api:
    """A client that repeats a command until it is answered: each has one Idempotency-Key, so it has one effect.

    The carrier's staff ask, or whoever is given as ``by``; the operator's routes are asked by the operator.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self.patience_s = platform.patience_s
        self._http = httpx.AsyncClient(timeout=10)
        self._operator = {"Authorization": f"Bearer {platform.operator_token}"}
        self._staff = self.signed_on(platform.accounts["staff"])

    def signed_on(self, account: UserAccount) -> SignOn:
        """Somebody who can ask: ``send(..., by=...)``."""
        return SignOn(self._platform.services["identity"], account)

    def elsewhere(self) -> "Api":
        """The same from another place: it knows nothing of what was asked here."""
        return Api(self._platform)

    async def close(self) -> None:
        await self._http.aclose()

    async def send(
        self, method: str, service: str, path: str, *, by: httpx.Auth | None = None, **options: Any
    ) -> httpx.Response:
        """Send until there is an answer other than 5xx or 409 in progress; NotInTime after the platform's patience."""
        options["headers"] = {"Idempotency-Key": str(uuid4())} | options.get("headers", {})
        deadline = time.monotonic() + self.patience_s
        while True:
            answer = await self.send_once(method, service, path, by=by, **options)
            if answer is not None and answer.status_code < 500 and "command-in-progress" not in answer.text:
                return answer
            if time.monotonic() > deadline:
                raise NotInTime(f"{method} {service} {path} was not answered")
            await asyncio.sleep(0.1)

    async def send_once(
        self, method: str, service: str, path: str, *, by: httpx.Auth | None = None, **options: Any
    ) -> httpx.Response | None:
        """The answer, whatever it is; None when there was none, or signing on did not work."""
        headers = {"Idempotency-Key": str(uuid4())} | options.pop("headers", {})
        url = path if path.startswith("http") else f"{self._platform.services[service]}{path}"
        auth = (by or self._staff) if path.startswith("/v1/") else None
        if path.startswith("/internal/"):
            headers |= self._operator
        try:
            return await self._http.request(method, url, headers=headers, auth=auth, **options)
        except httpx.HTTPError:
            return None

    async def get(self, service: str, path: str, **options: Any) -> Json:
        answer = await self.send("GET", service, path, **options)
        answer.raise_for_status()
        return cast("Json", answer.json())

    async def move_date(self, days: int) -> None:
        """Let the date of every service run so many days ahead of the real one."""
        for service in self._platform.services:
            answer = await self.send("POST", service, "/internal/date", json={"offset_days": days})
            answer.raise_for_status()

    async def today(self) -> tuple[date, int]:
        """The date of renewals, and how many days it runs ahead of the real one."""
        found = await self.get("renewals", "/internal/date")
        return date.fromisoformat(found["today"]), int(found["offset_days"])

    async def all_ready(self) -> bool:
        """Whether every service, relays of their own included, answers that it is ready."""
        try:
            answers = await asyncio.gather(*(self._http.get(f"{url}/readyz") for url in self._platform.probes()))
        except httpx.TransportError:
            return False
        return all(answer.is_success for answer in answers)

    async def access_is_everywhere(self) -> None:
        """Wait until every service goes by what identity knows now of who may do what."""
        rev = Listeners.model_validate(await self.get("identity", "/internal/access/listeners")).rev

        async def look() -> bool | None:
            known = Listeners.model_validate(await self.get("identity", "/internal/access/listeners"))
            return all(each.has_reached(rev) for each in known.listeners) or None

        await wait_for(look, "a service did not hear of new rights", max(self.patience_s, 10))

    async def dead_letters(self) -> list[Json]:
        found: list[Json] = []
        for service in self._platform.services:
            found += (await self.get(service, "/internal/dead-letters"))["items"]
        return found

    async def mails(self, after: int = -1, *, to: str | None = None) -> list[Json]:
        """What has arrived in the inbox since that index, for one address or for all."""
        params = {"after": after} | ({"to": to} if to else {})
        answer = await self.send("GET", "", f"{self._platform.mail}/messages", params=params)
        answer.raise_for_status()
        return cast("list[Json]", answer.json())


@dataclass
class Program:
    """A program of ``examples/``, which imports nothing of Covey, in a process of its own; what it has written so far."""

    process: "subprocess.Popen[bytes]"
    output: Path
    lines: list[Json] = field(default_factory=list)
    summary: Json | None = None
    _read: int = 0

    def look(self) -> list[Json]:
        """All that it has written, but for its summary."""
        with self.output.open("rb") as written:
            written.seek(self._read)
            for line in written:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                found = json.loads(line)
                if "summary" in found:
                    self.summary = found
                else:
                    self.lines.append(found)
        return self.lines

    async def end(self) -> int:
        """Ask for its end, and its summary; its exit code."""
        self.process.terminate()
        code = await asyncio.to_thread(self.process.wait, 30)
        self.look()
        return code


@asynccontextmanager
async def program(script: Path, kafka: KafkaSettings, arguments: Sequence[str], folder: Path) -> AsyncIterator[Program]:
    """Let it run for the block. What it writes is kept in the folder."""
    assert kafka.sasl_username, "nobody is let in without"
    assert kafka.sasl_password, "nobody is let in without"
    words = ["--kafka", kafka.bootstrap_servers, "--user", kafka.sasl_username, *arguments]
    folder.mkdir(parents=True, exist_ok=True)
    output = folder / f"{script.stem}.jsonl"
    with output.open("wb") as lines, (folder / f"{script.stem}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-I", str(script), *words],
            env=os.environ | {"KAFKA_PASSWORD": kafka.sasl_password.get_secret_value()},
            stdout=lines,
            stderr=log,
        )
    try:
        yield Program(process, output)
    finally:
        if process.poll() is None:
            process.kill()
            await asyncio.to_thread(process.wait)
