"""``python -m bench [relay,inbox]``: measure all of it, or some, and keep the results in ``bench/results.json``."""

import argparse
import asyncio
import importlib
import sys
from collections.abc import Sequence

from covey_chassis.logs import configure_logging
from rich.console import Console

from bench import profiles, results
from bench.figure import Figure
from bench.stand import Stand, standing

KEYS = ("relay", "latency", "inbox", "api", "access", "answers", "pages", "sweep", "footprint")
"""The benchmarks: modules of this package with ``async def measure(stand) -> list[Figure]``."""


def main() -> int:
    """Measure what the command line asks for. 1 when something falls short of what it must reach."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("keys", nargs="?", default=",".join(KEYS), help=f"some of {', '.join(KEYS)}")
    parser.add_argument("--quick", action="store_true", help="few of everything, and keep no results: does it work?")
    parser.add_argument("--no-keep", action="store_true", help="leave the results that are kept as they are")
    parser.add_argument(
        "--profile", action="store_true", help="what the time goes into, not how fast: bench/profiles.json"
    )
    asked = parser.parse_args()
    keys = asked.keys.split(",")
    if unknown := [key for key in keys if key not in KEYS]:
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(KEYS)}")
    configure_logging("CRITICAL")
    if asked.profile:
        asyncio.run(profiles.keep(keys))
        return 0
    return asyncio.run(_measure(keys, quick=asked.quick, keep=not (asked.quick or asked.no_keep)))


async def _measure(keys: Sequence[str], *, quick: bool, keep: bool) -> int:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 150)
    found: results.Results = {}
    figures: list[Figure] = []
    for key in keys:
        console.print(key, style="bold")
        async with standing(console, quick=quick) as stand:  # a fresh one each: what one leaves behind slows no other
            machine = await results.machine(stand.infrastructure.admin_url)
            measured = await _one(key, stand)
        figures += measured
        found = results.merged(found, key, measured, machine, KEYS)
        if keep:
            results.write(results.merged(results.read(), key, measured, machine, KEYS))
    console.print(results.table(found))
    return 0 if all(figure.ok for figure in figures) else 1


async def _one(key: str, stand: Stand) -> list[Figure]:
    module = importlib.import_module(f"bench.{key}")
    measured: list[Figure] = await module.measure(stand)
    return measured


if __name__ == "__main__":
    sys.exit(main())
