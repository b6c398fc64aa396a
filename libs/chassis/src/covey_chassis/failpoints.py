"""Named places where a test can make the process die, stop, wait or fail. Off unless ``COVEY_FAILPOINTS`` names them.

``relay.after_ack:kill:0.05;consumer.after_commit:raise:1`` — at that place, with that probability: ``kill`` (SIGKILL to
itself), ``stop`` (SIGSTOP), ``raise`` (a Failpoint error), ``sleep=SECONDS``. ``COVEY_FAILPOINTS_SEED`` makes runs repeat.
"""

import asyncio
import os
import random
import signal
from dataclasses import dataclass


class Failpoint(Exception):
    """A test asked for a failure here."""


@dataclass(frozen=True)
class _Fault:
    act: str
    probability: float


_faults: dict[str, _Fault] = {}
_random = random.Random(os.environ.get("COVEY_FAILPOINTS_SEED"))  # noqa: S311 - seeded, so that a run can be repeated


def arm(plan: str) -> None:
    """Replace the plan; an empty one disarms every failpoint."""
    _faults.clear()
    for entry in filter(None, plan.split(";")):
        place, act, probability = [*entry.split(":"), "1"][:3]
        _faults[place.strip()] = _Fault(act, float(probability))


async def failpoint(place: str) -> None:
    """Do what the plan says for this place; nothing when it says nothing."""
    fault = _faults.get(place)
    if fault is None or _random.random() >= fault.probability:
        return
    match fault.act.split("="):
        case ["kill"]:
            os.kill(os.getpid(), signal.SIGKILL)
        case ["stop"]:
            os.kill(os.getpid(), signal.SIGSTOP)
        case ["raise"]:
            raise Failpoint(place)
        case ["sleep", seconds]:
            await asyncio.sleep(float(seconds))
        case _:
            raise ValueError(f"no such act: {fault.act}")
