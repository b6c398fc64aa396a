"""The main job from end to end, as ``make demo`` runs it: real processes, Kafka, PostgreSQL and SMTP, watched from outside.

Shorter than the demo's season and with more patience: what is late on a busy machine is not wrong.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from covey_local.demo.platform import Platform
from covey_local.demo.run import platform_of
from covey_local.demo.season import run_season
from covey_local.stack import Stack
from rich.console import Console

pytestmark = pytest.mark.timeout(420)

GROUPS, DAYS, PATIENCE_S = 40, 8, 60.0


@asynccontextmanager
async def platform(
    folder: Path, *, relays_apart: bool = False, patience_s: float = PATIENCE_S
) -> AsyncIterator[Platform]:
    stack = Stack(folder, durable=False, relays_apart=relays_apart, cache=Path(".covey/cache"))
    try:
        async with stack:
            yield platform_of(stack, patience_s=patience_s)
    finally:
        stack.home.delete()


async def season(on: Platform, folder: Path, *, kill: int | None = None) -> tuple[bool, str]:
    """Whether it went right, and what was said."""
    console = Console(record=True, quiet=False, width=160, file=(folder / "console.txt").open("w"))
    right = await run_season(on, folder=folder, groups=GROUPS, days=DAYS, seed=5, kill=kill, console=console)
    return right, console.export_text()


async def test_every_renewal_becomes_available_on_its_day_and_everyone_is_told_once(tmp_path: Path) -> None:
    async with platform(tmp_path / "stack") as running:
        right, said = await season(running, tmp_path)

    assert right, said
    assert "approval to the group's new plans" in said
    assert 'removal to "removed"' in said


async def test_the_same_while_services_and_relays_are_killed(tmp_path: Path) -> None:
    async with platform(tmp_path / "stack", relays_apart=True) as running:
        right, said = await season(running, tmp_path, kill=11)

    assert right, said
    assert "killed" in said
    assert "approval to the group's new plans" in said
    assert 'removal to "removed"' in said


async def test_an_email_that_never_arrives_is_noticed(tmp_path: Path) -> None:
    """A check that cannot fail is no check."""
    async with platform(tmp_path / "stack", patience_s=15) as running:
        httpx.post(f"{running.mail}/faults", json={"refuse": 1, "code": 550}).raise_for_status()

        right, said = await season(running, tmp_path)

    assert not right
    assert "emails are missing" in said
