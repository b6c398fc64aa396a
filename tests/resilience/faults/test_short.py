"""A few of the faults, one after the other on one stack; all of them are ``make faults``."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .catalogue import FAULTS, NOT_HERE
from .rounds import Load, Round, play, rebuilt
from .world import Shape, World, running_world

pytestmark = pytest.mark.timeout(420)

LOAD = Load(rate_per_s=20, import_rows=500, behind=1500)
"""What is under way when the fault is over has to be done in a minute on a slow machine, too: half of it may go for the
sessions of the killed. ``make faults`` asks for more."""
SEED = 7
SHORT = ("F3", "F4", "F5", "F8", "F12", "F21")
"""Relay and consumer killed at failpoints, a relay that is a zombie, broker and database killed, poison."""


@pytest.fixture(scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    aiokafka = logging.getLogger("aiokafka")
    level = aiokafka.level
    aiokafka.setLevel(logging.CRITICAL)  # that Kafka is away is what we want
    async with running_world(
        tmp_path_factory.mktemp("faults") / "stack", Shape(relays_apart=True), seed=SEED
    ) as running:
        yield running
    aiokafka.setLevel(level)


def test_every_fault_of_the_list_is_there_or_it_is_said_why_not():
    assert {f"F{number}" for number in range(1, 34)} <= {fault.id for fault in FAULTS} | NOT_HERE.keys()


def proves_something(played: Round) -> None:
    assert played.violations == []
    assert played.figures.acknowledged > 100
    assert played.figures.events > 100
    assert played.figures.effects > 100
    print(f"\n{played.fault.id}: {played.figures}, at rest after {played.recovery_s:.1f} s")


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.id in SHORT], ids=lambda fault: fault.id)
async def test_every_promise_is_kept(world: World, fault, tmp_path: Path):
    played = await play(world, fault, seed=SEED, folder=tmp_path, load=LOAD)
    proves_something(played)


async def test_after_all_of_them_copies_are_what_the_topics_make_of_them(world: World):
    played = await rebuilt(world, seed=SEED)

    assert played.violations == []
