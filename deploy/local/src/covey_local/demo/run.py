"""The demo's stack: its own folder, started fresh and ended with it. Data and logs stay until the next demo."""

from pathlib import Path

from rich.console import Console

from covey_local.credentials import DOWNSTREAM, PROGRAMS
from covey_local.demo.platform import REVIEWER, SUBSCRIBER, Platform
from covey_local.demo.season import run_season
from covey_local.processes import StartFailed
from covey_local.progress import Progress
from covey_local.stack import Stack

PATIENCE_S = 5.0
PATIENCE_WITH_KILLS_S = 60.0


async def demo(
    folder: Path, *, groups: int, days: int, seed: int, kill: int | None, console: Console, progress: Progress
) -> bool:
    """Run a season and the main job on a fresh stack below the folder; True when all of it went right.

    Raises:
        StartFailed: the stack did not come up, or this is not the project's folder.
    """
    for script in (SUBSCRIBER, REVIEWER):
        if not script.exists():
            raise StartFailed(f"The demo runs {script}: start it in the project's folder.")
    stack = Stack(
        folder / "demo",
        fresh=True,
        durable=False,
        relays_apart=kill is not None,
        cache=folder / "cache",
        progress=progress,
    )
    async with stack:
        platform = platform_of(stack, patience_s=PATIENCE_S if kill is None else PATIENCE_WITH_KILLS_S)
        return await run_season(
            platform, folder=folder / "demo", groups=groups, days=days, seed=seed, kill=kill, console=console
        )


def platform_of(stack: Stack, *, patience_s: float) -> Platform:
    """What the season sees of a stack that is up."""
    run = stack.run
    return Platform(
        services=run["services"],
        kafka={name: stack.infrastructure.kafka_settings_of(name) for name in (DOWNSTREAM, PROGRAMS)},
        mail=run["mail"],
        operator_token=run["operator_token"],
        accounts=run["accounts"],
        pids=lambda: stack.run["pids"],
        probes=lambda: stack.probes,
        patience_s=patience_s,
    )
