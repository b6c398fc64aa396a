"""Goes before a service's own modules (PYTHONPATH): does to its process, when it is asked, what no failpoint can do.

SIGUSR1 blocks its event loop for ``SABOTAGE_BLOCK_S`` seconds. SIGUSR2 ends the tasks by which aiokafka keeps its group
memberships. ``SABOTAGE_CLOCK_S`` seconds are added to its clock.
"""

import gc
import os
import signal
import sys
import time
from datetime import datetime, timedelta


def say(what: str) -> None:
    """By this the strike knows that it has struck."""
    print(f"sabotage: {what}", file=sys.stderr, flush=True)


def block(*_: object) -> None:
    say("blocks the loop")
    time.sleep(float(os.environ.get("SABOTAGE_BLOCK_S", "20")))


def end_coordination(*_: object) -> None:
    from aiokafka.consumer.group_coordinator import GroupCoordinator  # noqa: PLC0415 - the service has loaded it

    coordinators = [each for each in gc.get_objects() if isinstance(each, GroupCoordinator)]
    for each in coordinators:
        each._coordination_task.cancel()
    if coordinators:
        say(f"ended the coordination of {len(coordinators)} groups")


signal.signal(signal.SIGUSR1, block)
signal.signal(signal.SIGUSR2, end_coordination)

if offset_s := float(os.environ.get("SABOTAGE_CLOCK_S", "0")):
    from covey_chassis.clock import Clock

    real_time, real_now = time.time, Clock.now

    def now() -> datetime:
        return real_now() + timedelta(seconds=offset_s)

    time.time = lambda: real_time() + offset_s
    Clock.now = staticmethod(now)  # type: ignore[method-assign]
