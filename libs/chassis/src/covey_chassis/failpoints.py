"""Named places where a test can make the process die, stop, wait or fail. Off unless ``COVEY_FAILPOINTS`` names them.

``relay.after_ack:kill:0.05;consumer.after_commit:raise:1`` — at that place, with that probability: ``kill`` (SIGKILL to
itself), ``stop`` (SIGSTOP), ``raise`` (a Failpoint error), ``sleep=SECONDS``. The dice are others in each process: started
again, it does not die at the same step again. Who dies or stops says so on stderr: ``failpoint relay.after_ack kill``.
"""

import asyncio
import os
import random
import signal
import sys
from dataclasses import dataclass


class Failpoint(Exception):
    """A test asked for a failure here."""


@dataclass(frozen=True)
class _Fault:
    act: str
    probability: float


_faults: dict[str, _Fault] = {}


def arm(plan: str) -> None:
    """Replace the plan; an empty one disarms every failpoint."""
    _faults.clear()
    for entry in filter(None, plan.split(";")):
        place, act, probability = [*entry.split(":"), "1"][:3]
        _faults[place.strip()] = _Fault(act, float(probability))


async def failpoint(place: str) -> None:
    """Do what the plan says for this place; nothing when it says nothing."""
    fault = _faults.get(place)
    if fault is None or random.random() >= fault.probability:  # noqa: S311 - no secret hangs on it
        return
    match fault.act.split("="):
        case ["kill"]:
            _signal_itself(place, fault, signal.SIGKILL)
        case ["stop"]:
            _signal_itself(place, fault, signal.SIGSTOP)
        case ["raise"]:
            raise Failpoint(place)
        case ["sleep", seconds]:
            await asyncio.sleep(float(seconds))
        case _:
            raise ValueError(f"no such act: {fault.act}")


def _signal_itself(place: str, fault: _Fault, number: signal.Signals) -> None:
    print(f"failpoint {place} {fault.act}", file=sys.stderr, flush=True)
    os.kill(os.getpid(), number)
