"""The book of groups: import one, or write one to play with."""

from pathlib import Path
from typing import Annotated

import typer
from covey_chassis.clock import Clock
from rich.progress import Progress as Bars

from covey_local.attach import read_run_file
from covey_local.book_import import BookImport, sample_book
from covey_local.commands.options import HERE, Folder, out

SAMPLE_GROUPS = 100


def import_book(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A CSV file.")],
    errors: Annotated[Path, typer.Option(help="Where the bad rows are reported, by line and column.")] = Path(
        "errors.csv"
    ),
    folder: Folder = HERE,
) -> None:
    """Import a book of groups. A row that is there already changes nothing; bad rows are reported, the others taken."""
    book = BookImport(read_run_file(folder), file.read_bytes())
    with Bars(console=out, transient=True) as bars:
        task = bars.add_task("rows", total=None)
        for report in book.reports():
            bars.update(task, completed=report.rows_done, total=report.rows_total)
    out.print(f"{report.registered} registered, {report.changed} changed, {report.unchanged} as they were.")
    if report.refused:
        book.write_errors(errors)
        out.print(f"{report.refused} rows refused: {errors} says which, and why.")
        raise typer.Exit(1)


def write_sample_book(
    file: Annotated[Path, typer.Argument(help="Where to write it.")],
    groups: Annotated[int, typer.Option(min=1, help="How many groups.")] = SAMPLE_GROUPS,
) -> None:
    """Write a book of made-up groups, to import or to spoil."""
    file.write_bytes(sample_book(groups, Clock.now().date()))
    out.print(f"{file} has {groups} groups.")
