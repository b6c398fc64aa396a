"""The results of all benchmarks: one file, into which a run of some of them is merged."""

import json
import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import asyncpg
from covey_local import kafka
from rich.table import Table

from bench.chart import chart
from bench.figure import Figure

FOLDER = Path(__file__).parent
LIBRARIES = ("aiokafka", "faststream", "asyncpg", "sqlalchemy", "pydantic", "fastapi", "uvicorn")

NUMBERS = ("ours", "limit", "peer", "ratio")

Results = dict[str, object]
"""``machine``, and for each benchmark its figures."""


def merged(before: Results, key: str, figures: Sequence[Figure], machine: Results, order: Sequence[str]) -> Results:
    """The results with this benchmark's figures in place of its former ones."""
    found = before | {"machine": machine, key: [figure.as_json() for figure in figures]}
    return {name: found[name] for name in ("machine", *order) if name in found}


def read() -> Results:
    """The results so far; none when there has been no run."""
    path = FOLDER / "results.json"
    found: Results = json.loads(path.read_text()) if path.exists() else {}
    return found


def write(results: Results) -> None:
    """Keep the results, and draw them."""
    (FOLDER / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    (FOLDER / "chart.svg").write_text(chart(results))


async def machine(admin_url: str) -> Results:
    """What was measured on: what bears on the figures, and nothing that names anybody's machine."""
    connection = await asyncpg.connect(admin_url)
    try:
        postgres = await connection.fetchval("SHOW server_version")
    finally:
        await connection.close()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "python": platform.python_version(),
        "postgresql": postgres.split()[0],
        "kafka": kafka.VERSION,
        **{name: version(name) for name in LIBRARIES},
    }


def table(results: Results) -> Table:
    """All figures, as a person reads them."""
    drawn = Table(box=None, pad_edge=False)
    for heading in ("", "what", "ours", "limit", "peer", "ratio", "need", ""):
        drawn.add_column(heading, justify="right" if heading in NUMBERS else "left", no_wrap=True)
    for key, figures in results.items():
        if isinstance(figures, list):
            for figure in figures:
                numbers = [_number(figure[name], figure["unit"]) for name in ("ours", "limit", "peer")]
                ratio = "" if figure["ratio"] is None else f"{figure['ratio']:.2f}"
                verdict = "[green]ok[/]" if figure["ok"] else "[red]short[/]"
                drawn.add_row(key, figure["what"], *numbers, ratio, figure["need"], verdict)
    return drawn


def _number(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:,.0f} {unit}" if value >= 1000 else f"{value:.3g} {unit}"
