"""What a test does to single parts of a stack: down, replaced, added, and reached by links."""

import os
import signal
from pathlib import Path

import httpx
import pytest
from covey_chassis.testing.broker import eventually as until
from covey_local import processes
from covey_local.processes import StartFailed
from covey_local.refused import Refused
from covey_local.stack import Stack

from .conftest import CACHE, Said, eventually, runs
from .links import Forwarding

pytestmark = pytest.mark.timeout(300)

LINKED = {f"{user}>{target}" for user in ("identity", "membership") for target in ("kafka", "postgres")} | {
    "membership>identity"
}


@pytest.fixture(scope="module")
async def links():
    links = Forwarding()
    yield links
    links.close()


@pytest.fixture(scope="module")
async def said():
    return Said()


@pytest.fixture(scope="module")
async def platform(tmp_path_factory, links, said):
    """Two services, one of which listens to the other."""
    folder = tmp_path_factory.mktemp("parts") / ".covey"
    services = ("identity", "membership")
    stack = Stack(folder, services=services, durable=False, cache=CACHE, links=links, progress=said)
    try:
        async with stack:
            yield stack
    finally:
        stack.home.delete()


def settings_of(stack: Stack, name: str) -> dict[str, str]:
    """The environment of a part's process."""
    words = Path(f"/proc/{stack.run['pids'][name]}/environ").read_text().split("\0")
    return dict(word.split("=", 1) for word in words if word)


async def lacks(url: str) -> set[str]:
    """Which checks of readiness fail; all of them where nobody answers."""
    try:
        async with httpx.AsyncClient(timeout=5) as http:
            checks = (await http.get(f"{url}/readyz")).json()["checks"]
    except httpx.HTTPError:
        return {"answer"}
    return {name for name, result in checks.items() if result != "ok"}


async def is_ready(url: str) -> bool:
    return not await lacks(url)


async def test_what_is_down_stays_down_for_the_block_and_is_watched_after_it(platform, said):
    before = platform.run["pids"]
    async with platform.down("membership"):
        processes.kill_group(before["mail"])
        await eventually(lambda: any("mail is back" in line for line in said.lines))
        assert "membership" not in platform.run["pids"]
        assert not runs(before["membership"])
    assert await is_ready(platform.run["services"]["membership"])
    processes.kill_group(platform.run["pids"]["membership"])
    await eventually(lambda: any("membership is back" in line for line in said.lines))


async def test_a_part_can_be_asked_to_end_in_good_order(platform):
    process = platform.home.running.process("postgres")
    async with platform.down("postgres", how=signal.SIGINT):
        assert process.returncode == 0


async def test_a_replaced_process_keeps_its_settings_until_they_are_taken_away(platform, said):
    said.lines.clear()
    await platform.replace("membership", {"COVEY_LOG_LEVEL": "DEBUG"})
    first = platform.run["pids"]["membership"]
    assert settings_of(platform, "membership")["COVEY_LOG_LEVEL"] == "DEBUG"
    processes.kill_group(first)
    await eventually(lambda: any("membership is back" in line for line in said.lines))
    assert settings_of(platform, "membership")["COVEY_LOG_LEVEL"] == "DEBUG"
    await platform.replace("membership", {})
    assert "COVEY_LOG_LEVEL" not in settings_of(platform, "membership")
    assert await is_ready(platform.run["services"]["membership"])


async def test_an_added_process_serves_and_is_nobodys_to_start_again(platform, said):
    said.lines.clear()
    another = await platform.add("membership", name="membership-2", roles="http")
    assert await is_ready(another.url)
    assert platform.run["pids"]["membership-2"] != platform.run["pids"]["membership"]
    assert settings_of(platform, "membership-2")["COVEY_ROLES"] == "http"
    processes.kill_group(platform.run["pids"]["membership-2"])
    processes.kill_group(platform.run["pids"]["mail"])
    await eventually(lambda: any("mail is back" in line for line in said.lines))
    assert not await is_ready(another.url)
    await platform.take_away("membership-2")
    assert "membership-2" not in platform.run["pids"]


async def test_a_process_that_stands_still_can_be_taken_away_in_good_order(platform):
    another = await platform.add("membership", name="membership-3", roles="http")
    process = platform.home.running.process("membership-3")
    os.kill(process.pid, signal.SIGSTOP)
    await platform.take_away("membership-3")
    assert process.returncode == -signal.SIGTERM  # which it passes on to itself when all is in order
    assert not await is_ready(another.url)


async def test_what_could_not_be_added_leaves_nothing(platform):
    with pytest.raises(StartFailed, match="membership-4 ended as soon as it was started"):
        await platform.add("membership", name="membership-4", roles="http", environment={"COVEY_ROLES": "juggler"})
    assert "membership-4" not in platform.run["pids"]


async def test_a_part_that_is_not_there_is_refused_by_name(platform):
    with pytest.raises(Refused, match=r"No part renewals runs\. There are: .*membership.*\."):
        async with platform.down("renewals"):
            pass
    with pytest.raises(Refused, match=r"kafka is no process of a service\. There are: identity, membership\."):
        await platform.replace("kafka", {})


async def test_services_go_by_their_links_and_by_nothing_else(platform, links):
    assert links.used == LINKED
    membership, identity = platform.run["services"]["membership"], platform.run["services"]["identity"]
    for cut, check in (("membership>identity", "access"), ("membership>postgres", "database")):
        links.cut(cut)
        await until(lambda check=check: misses(membership, check))
        assert await is_ready(identity)
        links.heal()
        await until(lambda: is_ready(membership))


async def misses(url: str, check: str) -> bool:
    return check in await lacks(url)
