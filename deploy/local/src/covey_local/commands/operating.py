"""What an operator does at the services of a stack: dead letters, the date, and a look at the mail."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from covey_local.attach import Operator, Today, move_dates, read_mail, read_run_file
from covey_local.commands.options import HERE, Folder, Reason, ServiceName, out
from covey_local.refused import Refused

dead_letters = typer.Typer(help="What waits for an operator.", no_args_is_help=True)
days = typer.Typer(help="The date that all services go by.", no_args_is_help=True)
mail = typer.Typer(help="What the mail catcher has caught.", no_args_is_help=True)


# --- dead letters ---


@dead_letters.command("list")
def dead_letters_list(
    service: Annotated[str | None, typer.Option("--service", help="One service; all, if none.")] = None,
    folder: Folder = HERE,
) -> None:
    """What waits, the oldest first."""
    run_file = read_run_file(folder)
    table = Table("service", "id", "kind", "state", "consumer", "tries", "records", "error", box=None, pad_edge=False)
    for name in [service] if service else run_file["services"]:
        for letter in list(Operator.of(run_file, name).dead_letters()):
            row = (letter.id, letter.kind, letter.state, letter.consumer, letter.attempts, letter.records, letter.error)
            table.add_row(name, *("-" if value is None else str(value) for value in row))
    out.print(table if table.row_count else "Nothing waits.")


@dead_letters.command("show")
def dead_letters_show(letter: str, service: ServiceName, folder: Folder = HERE) -> None:
    """One of them, with its headers, its payload and the queue behind it."""
    out.print_json(data=_operator(folder, service).dead_letter(letter))


@dead_letters.command("retry")
def dead_letters_retry(letter: str, service: ServiceName, reason: Reason, folder: Folder = HERE) -> None:
    """Try its first record again now."""
    out.print_json(data=_operator(folder, service).retry(letter, reason))


@dead_letters.command("discard")
def dead_letters_discard(letter: str, service: ServiceName, reason: Reason, folder: Folder = HERE) -> None:
    """Give up its first record; what waits behind it goes on."""
    out.print_json(data=_operator(folder, service).discard(letter, reason))


def _operator(folder: Path, service: str) -> Operator:
    return Operator.of(read_run_file(folder), service)


# --- the date ---


@days.command("show")
def date_show(folder: Folder = HERE) -> None:
    """What day it is for each service."""
    run_file = read_run_file(folder)
    _print_days({name: Operator.of(run_file, name).today() for name in run_file["services"]})


@days.command("set")
def date_set(
    day: Annotated[datetime, typer.Argument(formats=["%Y-%m-%d"], help="Such as 2027-01-31.")], folder: Folder = HERE
) -> None:
    """Let it be this day for all services, from now on. Never back."""
    run_file = read_run_file(folder)
    one = Operator.of(run_file, next(iter(run_file["services"]))).today()
    real = one.today - timedelta(days=one.offset_days)
    _print_days(move_dates(run_file, (day.date() - real).days))


@days.command("advance")
def date_advance(number: Annotated[int, typer.Argument(min=0, help="So many days.")], folder: Folder = HERE) -> None:
    """Let it be so many days later for all services."""
    run_file = read_run_file(folder)
    furthest = max(Operator.of(run_file, name).today().offset_days for name in run_file["services"])
    _print_days(move_dates(run_file, furthest + number))


def _print_days(found: dict[str, Today]) -> None:
    for name, day in found.items():
        out.print(f"{name:<16} {day.today}  ({day.offset_days} days ahead)")


# --- mail ---


@mail.command("list")
def mail_list(
    to: Annotated[str | None, typer.Option(help="One recipient; all, if none.")] = None, folder: Folder = HERE
) -> None:
    """The messages that were caught, the newest last."""
    table = Table("index", "received", "to", "subject", box=None, pad_edge=False)
    for message in read_mail(read_run_file(folder), to=to):
        table.add_row(str(message["index"]), message["received_at"], ", ".join(message["to"]), message["subject"])
    out.print(table if table.row_count else "No mail.")


@mail.command("show")
def mail_show(index: int, folder: Folder = HERE) -> None:
    """One message, with its headers and its text."""
    found = [m for m in read_mail(read_run_file(folder)) if m["index"] == index]
    if not found:
        raise Refused(f"No message has the index {index}.")
    for name, value in found[0]["headers"].items():
        out.print(f"{name}: {value}", markup=False)
    out.print(f"\n{found[0]['text'] or found[0]['html'] or ''}", markup=False)
