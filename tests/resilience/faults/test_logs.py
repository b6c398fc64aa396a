"""Whether a strike has struck is told by the logs of those whom it struck."""

import signal
import subprocess
import sys

import pytest

from .logs import Logs, hits

PASSING = """
import asyncio, sys
from covey_chassis.failpoints import arm, failpoint
arm(sys.argv[1])
asyncio.run(failpoint("relay.after_ack"))
"""


def passes(log, plan):
    """A process passes a failpoint with this plan; by what it ends."""
    with log.open("ab") as file:
        return subprocess.run([sys.executable, "-c", PASSING, plan], stderr=file, check=False).returncode


async def test_who_dies_has_said_where(tmp_path):
    logs = Logs(tmp_path, ["relay"])

    assert passes(tmp_path / "relay.log", "relay.after_ack:kill:1;relay.after_send:stop") == -signal.SIGKILL

    await logs.until(*hits("relay.after_ack:kill:0.1"), within_s=0)


async def test_a_step_that_nobody_took_is_named(tmp_path):
    logs = Logs(tmp_path, ["relay", "another"])
    plan = "relay.after_ack:kill:1;relay.after_send:kill:0.5"
    passes(tmp_path / "relay.log", plan)

    with pytest.raises(AssertionError, match=r"nobody has said failpoint relay\.after_send kill"):
        await logs.until(*hits(plan), within_s=0)


async def test_what_was_said_before_does_not_count(tmp_path):
    passes(tmp_path / "relay.log", "relay.after_ack:kill")
    logs = Logs(tmp_path, ["relay"])

    assert logs.text() == ""


def test_dice_are_others_in_each_life(tmp_path):
    """By the same ones a process would die at the same step each time that it is started again."""
    ends = {passes(tmp_path / "relay.log", "relay.after_ack:kill:0.5") for _ in range(25)}

    assert ends == {0, -signal.SIGKILL}
