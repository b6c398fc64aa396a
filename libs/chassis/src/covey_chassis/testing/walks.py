"""A state machine of hypothesis that acts on a running service, beside a model of it."""

import asyncio
import os
from collections.abc import Callable

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

WALKS = int(os.environ.get("COVEY_WALKS", "0"))
"""So many lives, each time others; without it a test has its own few, the same every time."""


def walking(lives: int) -> settings:
    """How a test of so many lives is run. None of them is stored: a failing one is printed as code."""
    return settings(
        max_examples=WALKS or lives,
        derandomize=not WALKS,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


async def walk(machine: Callable[[], RuleBasedStateMachine], *, lives: int, steps: int) -> None:
    """Run the machine in a thread of its own: its rules are plain functions, and what they do is awaited in this loop."""
    how = settings(walking(lives), stateful_step_count=steps)
    await asyncio.to_thread(run_state_machine_as_test, machine, settings=how)  # type: ignore[arg-type] # any factory
