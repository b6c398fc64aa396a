"""A stack's folder, ``.covey``: who runs it, which processes are its own, and the secrets that it keeps."""

import asyncio
import errno
import fcntl
import json
import os
import secrets
import shutil
import signal
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, TypedDict

from covey_local import postgres, processes
from covey_local.databases import Passwords
from covey_local.processes import Running, write_private
from covey_local.refused import Refused

GENTLE_SIGNALS: Mapping[str, int] = {"postgres": postgres.STOP_SIGNAL}
"""What asks a process to end, where that is not SIGTERM."""


class AlreadyRunning(Refused):
    """Another process runs this folder's stack."""

    def __init__(self, folder: Path, pid: int) -> None:
        super().__init__(f"The stack of {folder} is already running, by process {pid}. `covey stop` ends it.")
        self.pid = pid


class UserAccount(TypedDict):
    """By what somebody signs on."""

    user_id: str
    password: str


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """Passwords and tokens of a stack, made once and kept."""

    postgres: str
    operator_token: str
    databases: dict[str, Passwords]
    kafka: dict[str, str]
    """By which each principal signs on to Kafka."""
    access_credentials: dict[str, str]
    """By which the owner of access knows each service."""
    code_secret: str
    accounts: dict[str, UserAccount]
    """Made by the platform when it was up for the first time."""


class RunFile(TypedDict):
    """``run.json``: where everything is. It is there while the stack is up, and only its owner may read it."""

    services: dict[str, str]
    kafka: str
    kafka_passwords: dict[str, str]
    databases: dict[str, str]
    portal: str | None
    mail: str
    smtp: str
    pids: dict[str, int]
    operator_token: str
    accounts: dict[str, UserAccount]


class _Kept(TypedDict, total=False):
    postgres: str
    operator_token: str
    databases: dict[str, dict[str, str]]
    kafka: dict[str, str]
    access_credentials: dict[str, str]
    code_secret: str
    accounts: dict[str, UserAccount]


class Home:
    """The folder of one stack. Whoever runs it holds its lock, which the system takes back when they die."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.logs = self.folder / "logs"
        self.run_file = self.folder / "run.json"
        self.ports_file = self.folder / "ports.json"
        self.register = self.folder / "processes.json"
        self._secrets_file = self.folder / "secrets.json"
        self.running = Running(self.register)
        self._lock: IO[str] | None = None

    def lock(self) -> None:
        """Take the folder. Raises ``AlreadyRunning`` when somebody has it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = (self.folder / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with lock:
                raise AlreadyRunning(self.folder, _pid(lock)) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def unlock(self) -> None:
        if self._lock:
            self._lock.close()
            self._lock = None

    async def deleted(self) -> None:
        """Wait until somebody deletes the locked folder under whoever runs its stack."""
        while self._lock and os.fstat(self._lock.fileno()).st_nlink:
            await asyncio.sleep(1)

    def runner(self) -> int | None:
        """The process that has the folder now."""
        if (self.folder / "lock").exists():
            with (self.folder / "lock").open("a+") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return _pid(lock)
        return None

    async def end(self, *, seconds: float = 60) -> list[str]:
        """Ask whoever runs the stack to end it, then end whatever is left. Returns the names of what was left.

        Raises ``Refused`` when the runner has not ended after ``seconds``.
        """
        if pid := self.runner():
            os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + seconds
            while self.runner():
                if time.monotonic() > deadline:
                    raise Refused(f"Process {pid} still runs the stack of {self.folder}.")
                await asyncio.sleep(0.05)
        return await self.end_leftovers()

    async def end_leftovers(self) -> list[str]:
        """End what a killed runner left behind. Returns the names."""
        left = await processes.end_leftovers(self.register, gentle_signals=GENTLE_SIGNALS)
        self.run_file.unlink(missing_ok=True)
        return left

    def delete(self, *, keep: Collection[str] = ()) -> None:
        """Delete the stopped stack's folder, but for some of its entries, and PostgreSQL's data, wherever they lie."""
        postgres.delete(self.folder / "postgres")
        for entry in self.folder.iterdir() if self.folder.exists() else ():
            if entry.name not in keep:
                _delete(entry)
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def secrets(self, services: tuple[str, ...], *, principals: Collection[str] = ()) -> Secrets:
        """The kept secrets; those that these services, or Kafka's principals, have not got yet are made."""
        kept: _Kept = {}
        with suppress(FileNotFoundError):
            kept = json.loads(self._secrets_file.read_text())
        databases = {service: Passwords(**passwords) for service, passwords in kept.get("databases", {}).items()}
        known = Secrets(
            postgres=kept.get("postgres") or secrets.token_hex(16),
            operator_token=kept.get("operator_token") or secrets.token_urlsafe(24),
            databases={service: Passwords.generate() for service in services} | databases,
            kafka={name: secrets.token_hex(16) for name in principals} | kept.get("kafka", {}),
            access_credentials={service: secrets.token_urlsafe(24) for service in services}
            | kept.get("access_credentials", {}),
            code_secret=kept.get("code_secret") or secrets.token_urlsafe(32),
            accounts=kept.get("accounts", {}),
        )
        if asdict(known) != kept:
            self._keep(known)
        return known

    def keep_account(self, name: str, account: UserAccount) -> None:
        """Keep by what an account signs on: its password is told only once."""
        known = self.secrets(())
        self._keep(replace(known, accounts=known.accounts | {name: account}))

    def _keep(self, known: Secrets) -> None:
        write_private(self._secrets_file, json.dumps(asdict(known), indent=1))


def _delete(entry: Path) -> None:
    """Delete it, also while somebody who has not noticed yet still writes there."""
    if not entry.is_dir() or entry.is_symlink():
        entry.unlink()
        return
    for tries_left in reversed(range(20)):
        try:
            shutil.rmtree(entry)
            return
        except FileNotFoundError:
            if not entry.exists():
                return
        except OSError as error:
            if error.errno != errno.ENOTEMPTY or not tries_left:
                raise
        time.sleep(0.05)
    raise OSError(errno.ENOTEMPTY, "somebody keeps writing there", str(entry))


def _pid(lock: IO[str]) -> int:
    lock.seek(0)
    return int(lock.read() or 0)
