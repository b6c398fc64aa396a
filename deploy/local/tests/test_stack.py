import json
import os
import re
import signal
import subprocess
from dataclasses import asdict

import pytest
from covey_local import postgres, processes
from covey_local.cli import app
from covey_local.databases import connected
from covey_local.home import AlreadyRunning, Home
from covey_local.processes import leftovers
from covey_local.stack import Stack
from covey_local.topics import list_topics

from .conftest import CACHE, eventually, runs


def up(process) -> list[str]:
    """What the stack said until everything was up."""
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip())
        if line.startswith("Everything is up"):
            return lines
    raise AssertionError("\n".join(lines))


def run_file(home: Home):
    return json.loads(home.run_file.read_text())


@pytest.mark.timeout(300)
async def test_a_stack_outlives_its_own_death_and_ends_without_a_trace(home, run_stack):
    killed = run_stack()
    first_said, first = up(killed), run_file(home)
    mode = home.run_file.stat().st_mode & 0o777
    with pytest.raises(AlreadyRunning, match=rf"already running, by process {killed.pid}\."):
        Home(home.folder).lock()
    killed.kill()
    killed.wait()
    left = leftovers(home.register)
    second = run_stack()
    second_said, again = up(second), run_file(home)
    second.send_signal(signal.SIGINT)
    last_said, _ = second.communicate(timeout=100)

    steps = [step[1] for line in first_said if (step := re.match(r"  (\w+) .* [\d.]+ s$", line))]
    assert steps == ["PostgreSQL", "Kafka", "Principals", "Topics", "Databases", "mail"]
    assert (first["pids"].keys(), left.keys(), mode) == ({"postgres", "kafka", "mail"}, first["pids"].keys(), 0o600)
    assert "  Ended what a killed run had left: postgres, kafka, mail." in second_said
    assert any(re.match(r"  Topics +0 made, [1-9]\d* as they should be", line) for line in second_said)
    assert {**first, "pids": again["pids"]} == again
    assert (second.returncode, home.runner(), home.run_file.exists()) == (0, None, False)
    assert "Everything has ended." in last_said
    assert not any(map(runs, [*first["pids"].values(), *again["pids"].values()]))


async def test_a_stack_whose_folder_is_deleted_ends_itself(home, run_stack):
    process = run_stack()
    up(process)
    pids = run_file(home)["pids"]
    home.delete()
    said, _ = process.communicate(timeout=100)

    assert f"Stopping: {home.folder} has been deleted." in said
    assert not any(map(runs, pids.values()))


async def test_stop_ends_what_a_killed_run_left(home):
    orphan = subprocess.Popen(["sleep", "60"], start_new_session=True)
    home.folder.mkdir()
    home.register.write_text(json.dumps({"mail": {"pid": orphan.pid, "born": processes.born(orphan.pid)}}))

    assert await home.end() == ["mail"]
    assert orphan.wait(10) == -signal.SIGTERM
    assert await home.end() == []


async def test_a_process_that_was_given_a_dead_ones_id_is_left_alone(home):
    innocent = subprocess.Popen(["sleep", "60"])
    home.folder.mkdir()
    home.register.write_text(json.dumps({"kafka": {"pid": innocent.pid, "born": "1"}}))

    assert await home.end() == []
    assert runs(innocent.pid)
    innocent.kill()
    innocent.wait()


async def test_a_start_that_is_broken_off_leaves_nothing(home, run_stack):
    process = run_stack()
    await eventually(lambda: "kafka" in leftovers(home.register))
    pids = [mark.pid for mark in leftovers(home.register).values()]
    os.kill(process.pid, signal.SIGTERM)
    said, _ = process.communicate(timeout=100)

    assert "Stopping before everything was up." in said
    assert not any(map(runs, pids))
    assert home.runner() is None


async def test_secrets_are_made_once_and_for_their_owner_only(tmp_path):
    home = Home(tmp_path)
    first = home.secrets(("membership",))
    second = home.secrets(("membership", "renewals"))

    assert second.postgres == first.postgres
    assert second.databases["membership"] == first.databases["membership"]
    assert second.access_credentials["membership"] == first.access_credentials["membership"]
    assert second.access_credentials["renewals"] != first.access_credentials["membership"]
    assert second.code_secret == first.code_secret
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_secrets_of_a_stack_that_knew_no_access_are_completed(tmp_path):
    home = Home(tmp_path)
    before = json.loads(json.dumps(asdict(home.secrets(("membership",)))))
    old = {name: before[name] for name in ("postgres", "operator_token", "databases")}
    (tmp_path / "secrets.json").write_text(json.dumps(old))
    now = asdict(home.secrets(("membership",)))

    assert {name: now[name] for name in old} == old
    assert len(now["access_credentials"]["membership"]) >= 16
    assert len(now["code_secret"]) >= 32
    assert asdict(Home(tmp_path).secrets(("membership",))) == now


def test_an_account_is_kept_for_its_owner_only(tmp_path):
    home = Home(tmp_path)
    home.secrets(("membership",))
    home.keep_account("staff", {"user_id": "d45634", "password": "shown once"})

    assert home.secrets(()).accounts == {"staff": {"user_id": "d45634", "password": "shown once"}}
    assert "membership" in home.secrets(()).databases
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_clean_leaves_nothing_of_the_stack_nor_of_the_demos(home, capsys):
    servers = [postgres.place(folder / "postgres").folder for folder in (home.folder, home.folder / "demo")]
    with pytest.raises(SystemExit) as end:
        app(["clean", "--folder", str(home.folder)])

    assert not end.value.code
    assert not home.folder.exists()
    assert not any(server.exists() for server in servers)


async def test_a_stopped_stack_can_be_deleted_whole(stack, home):
    assert not home.folder.exists() or not list(home.folder.iterdir())
    home.folder.mkdir(exist_ok=True)
    home.secrets(())
    home.delete()

    assert not home.folder.exists()
    async with connected(stack.admin_url) as admin:
        assert await admin.fetchval("SELECT 1") == 1


@pytest.mark.timeout(300)
async def test_a_stop_keeps_the_data_and_a_fresh_start_forgets_them(home):
    async def knows(*, fresh: bool = False, make: bool = False) -> bool:
        async with Stack(home.folder, services=(), durable=False, cache=CACHE, fresh=fresh) as stack:
            if make:
                await stack.infrastructure.create_database("membership")
            async with connected(stack.infrastructure.admin_url) as admin:
                found = await admin.fetchval("SELECT count(*) FROM pg_database WHERE datname = 'covey_membership'")
            topics = await list_topics(stack.infrastructure.kafka_settings)
            return bool(found) and bool(topics)

    assert await knows(make=True)
    assert await knows()
    assert not await knows(fresh=True)
