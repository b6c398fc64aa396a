import os
import sys
from pathlib import Path

import httpx
import pytest
from covey_local import ports, processes
from covey_local.processes import Command, Running, StartFailed
from covey_local.services import ServiceProcess
from covey_local.supervisor import Supervisor

from .conftest import eventually


@pytest.fixture
def service(tmp_path) -> ServiceProcess:
    port = ports.choose(tmp_path / "ports.json", {"http": None})["http"]
    script = Path(__file__).parent / "stubborn.py"
    command = Command(
        arguments=[sys.executable, str(script), str(port)], log=tmp_path / "service.log", environment=os.environ
    )
    return ServiceProcess(name="stubborn", command=command, url=f"http://127.0.0.1:{port}", stuck_s=0.5)


@pytest.fixture
async def watched(service, tmp_path):
    """The service under a supervisor: the processes that run, and what was said."""
    running, said = Running(tmp_path / "processes.json"), []
    supervisor = Supervisor(running, say=said.append)
    await running.start(service)
    supervisor.watch(service, running.entries()[0][1])
    yield running, said
    await supervisor.release()
    await running.stop(service.name)


async def test_a_killed_service_is_started_again_and_it_is_said(service, watched):
    running, said = watched
    before = running.pids()[service.name]
    processes.kill_group(before)
    await eventually(lambda: len(said) == 2)

    assert said[0] == "stubborn was killed by signal 9; it is started again in 0.2 s."
    assert said[1].startswith(f"stubborn is back, as process {running.pids()[service.name]}")
    assert running.pids()[service.name] != before
    assert httpx.get(f"{service.url}/readyz").status_code == 200
    assert processes.leftovers(service.command.log.parent / "processes.json").keys() == {"stubborn"}


async def test_a_service_that_says_that_it_is_stuck_is_started_again(service, watched):
    _, said = watched
    httpx.post(f"{service.url}/stuck")
    await eventually(lambda: len(said) == 2)

    assert said[0].startswith("stubborn was stuck (its liveness probe has failed for 0 s) and has been stopped")
    assert httpx.get(f"{service.url}/livez").status_code == 200


async def test_pauses_grow_when_it_dies_again_and_again(service, watched):
    running, said = watched
    for times in range(1, 4):
        processes.kill_group(running.pids()[service.name])
        await eventually(lambda times=times: len(said) == 2 * times)

    assert [line.rpartition(" in ")[2] for line in said[::2]] == ["0.2 s.", "0.4 s.", "0.8 s."]


async def test_a_service_that_ends_at_once_fails_with_what_its_log_says(tmp_path):
    command = Command(
        arguments=[sys.executable, "-c", "raise SystemExit('no such database')"],
        log=tmp_path / "service.log",
        environment=os.environ,
    )
    service = ServiceProcess(name="hapless", command=command, url="http://127.0.0.1:1")
    with pytest.raises(StartFailed, match=r"hapless ended as soon as it was started\.\nno such database"):
        await processes.start(service)
