"""The stack: run it, end it, delete it, look at it, and the demo on one of its own."""

# ruff: noqa: PLC0415

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import httpx
import typer
from covey_chassis.clock import Clock
from rich.console import Console
from rich.table import Table

from covey_local import topology
from covey_local.attach import read_run_file
from covey_local.book_import import BookImport, has_groups, sample_book
from covey_local.commands.book import SAMPLE_GROUPS
from covey_local.commands.options import HERE, Folder, out
from covey_local.console import ConsoleProgress
from covey_local.home import Home, RunFile

if TYPE_CHECKING:
    from covey_local.stack import Stack


def run(
    folder: Folder = HERE,
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete all data first.")] = False,
    sample: Annotated[bool, typer.Option(help="Import a sample book of groups when there are none.")] = True,
    relays_apart: Annotated[bool, typer.Option(help="Run each service's relay as a process of its own.")] = False,
    brokers: Annotated[
        int, typer.Option(help="How many brokers Kafka has: 1, or 3 with a copy of everything each.")
    ] = 1,
) -> None:
    """Start the whole platform, keep it alive, and end it on Ctrl-C. Data stay."""
    from covey_local.stack import Stack

    stack = Stack(
        folder, fresh=fresh, relays_apart=relays_apart, brokers=brokers, portal=True, progress=ConsoleProgress(out)
    )
    asyncio.run(run_until_stopped(stack, out, once_up=_import_sample if sample else None))


def _import_sample(run_file: RunFile) -> None:
    """Something to look at, where there is nothing yet."""
    if not has_groups(run_file):
        *_, report = BookImport(run_file, sample_book(SAMPLE_GROUPS, Clock.now().date())).reports()
        out.print(f"A sample book of {report.registered} groups has been imported.")


async def run_until_stopped(stack: "Stack", out: Console, *, once_up: Callable[[RunFile], None] | None = None) -> None:
    """Start the stack, say where everything is, and stop it on SIGINT, SIGTERM or SIGHUP, also while it starts.

    ``once_up`` is called, in a thread, when everything is up.
    """
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    asked = asyncio.create_task(stopping.wait())
    starting = asyncio.create_task(stack.start())
    await asyncio.wait((asked, starting), return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        out.print("Stopping before everything was up.")
        starting.cancel()
        with suppress(asyncio.CancelledError):
            await starting
        return
    await starting
    try:
        _print_addresses(stack.run)
        if once_up:
            await asyncio.to_thread(once_up, stack.run)
        out.print(f"Everything is up. Logs are in {stack.home.logs}. Ctrl-C ends it.")
        gone = asyncio.create_task(stack.home.deleted())
        await asyncio.wait((asked, gone), return_when=asyncio.FIRST_COMPLETED)
        out.print("Stopping." if asked.done() else f"Stopping: {stack.home.folder} has been deleted.")
    finally:
        await stack.stop()
    out.print("Everything has ended. The data stay for the next run." if asked.done() else "Everything has ended.")


def stop(folder: Folder = HERE) -> None:
    """End the stack that runs in the folder, or what a killed one has left."""
    home = Home(folder)
    pid = home.runner()
    left = asyncio.run(home.end())
    if left:
        out.print(f"Ended what a killed run had left: {', '.join(left)}.")
    elif pid:
        out.print(f"The stack of process {pid} has ended.")
    else:
        out.print("Nothing was running.")


def clean(folder: Folder = HERE) -> None:
    """End the stack, and the demo's, and delete all data, also those that lie outside the folder when root runs it."""
    for home in (Home(folder / "demo"), Home(folder)):  # the demo's stack has data of its own elsewhere, too
        asyncio.run(home.end())
        home.delete()
    out.print(f"{home.folder} is gone.")


def status(folder: Folder = HERE) -> None:
    """Say what runs and whether it is ready."""
    home = Home(folder)
    pid = home.runner()
    if pid is None:
        out.print(f"No stack runs in {home.folder}.")
        raise typer.Exit(1)
    out.print(f"Process {pid} runs the stack of {home.folder}.")
    found = read_run_file(folder)
    _print_addresses(found)


def _print_addresses(run_file: RunFile) -> None:
    table = Table("what", "address", "process", "ready", box=None, pad_edge=False)
    for name, url in run_file["services"].items():
        table.add_row(name, f"{url}/docs", str(run_file["pids"].get(name, "-")), _ready(url))
    if run_file["portal"]:
        table.add_row("portal", run_file["portal"], str(run_file["pids"].get("portal", "-")), "")
    table.add_row("mail", f"{run_file['mail']}/messages", str(run_file["pids"].get("mail", "-")), "")
    addresses = run_file["kafka"].split(",")
    for broker, address in zip(topology.BROKERS[len(addresses)], addresses, strict=True):
        table.add_row(broker.name, address, str(run_file["pids"].get(broker.name, "-")), "")
    postgres = run_file["pids"].get("postgres", "-")
    for name, url in run_file["databases"].items():
        table.add_row(f"database {name}", httpx.URL(url).netloc.decode().rpartition("@")[2], str(postgres), "")
    out.print(table)
    for name, account in run_file["accounts"].items():
        out.print(f"Sign on as {name}: user ID {account['user_id']}, password {account['password']}", markup=False)


def _ready(url: str) -> str:
    try:
        return "yes" if httpx.get(f"{url}/readyz", timeout=5, trust_env=False).is_success else "no"
    except httpx.HTTPError:
        return "no answer"


def demo(
    folder: Folder = HERE,
    groups: Annotated[int, typer.Option(min=1, help="How many groups the book has.")] = 500,
    day_count: Annotated[int, typer.Option("--days", min=4, max=200, help="How long the season is.")] = 100,
    seed: Annotated[int, typer.Option(help="The same book and season for the same seed.")] = 1,
    kill: Annotated[
        int | None, typer.Option(help="Kill services and relays at moments that this seed decides.")
    ] = None,
) -> None:
    """The main job and a season of renewals, on a stack of its own, checked from outside. Fails when anything is missing,
    late or doubled.
    """
    from covey_local.demo.run import demo as run_demo

    season = run_demo(
        folder, groups=groups, days=day_count, seed=seed, kill=kill, console=out, progress=ConsoleProgress(out)
    )
    if not asyncio.run(season):
        raise typer.Exit(1)
