"""The ``covey`` command. Each command imports what it alone needs: most are there in a moment, ``run`` is not."""

# ruff: noqa: PLC0415

import asyncio
import json
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import httpx
import typer
from covey_chassis.clock import Clock
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress as Bars
from rich.table import Table

from covey_local.attach import (
    Operator,
    Today,
    identitys_operator,
    kafka_settings,
    move_dates,
    read_mail,
    read_run_file,
)
from covey_local.book_import import BookImport, has_groups, sample_book
from covey_local.console import ConsoleProgress, console
from covey_local.databases import DatabaseUrls, create_databases
from covey_local.home import Home, RunFile
from covey_local.refused import Refused

if TYPE_CHECKING:
    from covey_local.stack import Stack


class Command(typer.Typer):
    """A command whose refusals are a sentence and an exit code, not a traceback."""

    def __call__(self, *arguments: object, **options: object) -> object:
        try:
            return super().__call__(*arguments, **options)
        except (Refused, OSError) as why:
            console(stderr=True).print(str(why), markup=False)
            sys.exit(1)


app = Command(
    help="Covey on one machine: real Kafka, real PostgreSQL, every service.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
topics = typer.Typer(help="The topics on the broker.", no_args_is_help=True)
events = typer.Typer(help="The events on the broker.", no_args_is_help=True)
dead_letters = typer.Typer(help="What waits for an operator.", no_args_is_help=True)
days = typer.Typer(help="The date that all services go by.", no_args_is_help=True)
mail = typer.Typer(help="What the mail catcher has caught.", no_args_is_help=True)
databases = typer.Typer(help="Databases and their roles.", no_args_is_help=True)
staff = typer.Typer(
    help="The carrier's staff, here or at COVEY_IDENTITY_URL with COVEY_OPERATOR_TOKEN.", no_args_is_help=True
)
programs = typer.Typer(help="Programs that sign on, and sign commands.", no_args_is_help=True)
for group, name in (
    (topics, "topics"),
    (events, "events"),
    (dead_letters, "dead-letters"),
    (days, "date"),
    (mail, "mail"),
    (databases, "databases"),
    (staff, "staff"),
    (programs, "program"),
):
    app.add_typer(group, name=name)

out = console()

Folder = Annotated[Path, typer.Option("--folder", help="Where the stack keeps everything.", envvar="COVEY_FOLDER")]
ServiceName = Annotated[str, typer.Option("--service", help="Which service.")]
Reason = Annotated[str, typer.Option("--reason", help="Why: it is written down.")]
HERE = Path(".covey")
SAMPLE_GROUPS = 100


# --- the stack ---


@app.command()
def run(
    folder: Folder = HERE,
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete all data first.")] = False,
    sample: Annotated[bool, typer.Option(help="Import a sample book of groups when there are none.")] = True,
    relays_apart: Annotated[bool, typer.Option(help="Run each service's relay as a process of its own.")] = False,
) -> None:
    """Start the whole platform, keep it alive, and end it on Ctrl-C. Data stay."""
    from covey_local.stack import Stack

    stack = Stack(folder, fresh=fresh, relays_apart=relays_apart, progress=ConsoleProgress(out))
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


@app.command()
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


@app.command()
def clean(folder: Folder = HERE) -> None:
    """End the stack, and the demo's, and delete all data, also those that lie outside the folder when root runs it."""
    for home in (Home(folder / "demo"), Home(folder)):  # the demo's stack has data of its own elsewhere, too
        asyncio.run(home.end())
        home.delete()
    out.print(f"{home.folder} is gone.")


@app.command()
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
    table.add_row("mail", f"{run_file['mail']}/messages", str(run_file["pids"].get("mail", "-")), "")
    table.add_row("kafka", run_file["kafka"], str(run_file["pids"].get("kafka", "-")), "")
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


@app.command("import")
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


@app.command("sample-book")
def write_sample_book(
    file: Annotated[Path, typer.Argument(help="Where to write it.")],
    groups: Annotated[int, typer.Option(min=1, help="How many groups.")] = SAMPLE_GROUPS,
) -> None:
    """Write a book of made-up groups, to import or to spoil."""
    file.write_bytes(sample_book(groups, Clock.now().date()))
    out.print(f"{file} has {groups} groups.")


@app.command()
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


# --- topics and events: also on a Kafka that is given by COVEY_KAFKA_... ---


@topics.command("apply")
def topics_apply(
    folder: Folder = HERE,
    replication_factor: Annotated[
        int | None, typer.Option(min=1, help="Copies of each partition; by default three, or one a broker.")
    ] = None,
) -> None:
    """Make the topics on the broker as the contracts say."""
    from covey_contracts import EVENTS

    from covey_local.topics import apply_topics

    settings = kafka_settings(folder)
    applied = asyncio.run(
        apply_topics(settings, [event.topic for event in EVENTS], replication_factor=replication_factor)
    )
    for done, names in (("made", applied.created), ("altered", applied.altered), ("unchanged", applied.unchanged)):
        for topic in names:
            out.print(f"{done:<10} {topic}")
    for topic in applied.unknown:
        out.print(f"{'unknown':<10} {topic} is on the broker, but no contract knows it; it is left alone")


@topics.command("list")
def topics_list(folder: Folder = HERE) -> None:
    """The topics that the broker has."""
    from covey_local.topics import list_topics

    table = Table("topic", "partitions", "copies", "kept", box=None, pad_edge=False)
    for topic in asyncio.run(list_topics(kafka_settings(folder))):
        kept = int(topic.settings["retention.ms"])
        age = "for ever" if kept < 0 else f"{timedelta(milliseconds=kept).days} days"
        table.add_row(topic.name, str(topic.partitions), str(topic.replicas), age)
    out.print(table)


@events.command("tail")
def events_tail(
    types: Annotated[list[str] | None, typer.Argument(help="Such as renewal.available; all, if none.")] = None,
    from_beginning: Annotated[bool, typer.Option("--from-beginning", help="Begin with the oldest event.")] = False,
    follow: Annotated[bool, typer.Option(help="Go on when the end is reached.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, with all headers.")] = False,
    folder: Folder = HERE,
) -> None:
    """Show events as they come."""
    from covey_local import events as broker_events

    async def show() -> None:
        settings = kafka_settings(folder)
        async for seen in broker_events.tail(settings, types or (), from_beginning=from_beginning, follow=follow):
            print(seen.as_json if as_json else seen.line, flush=True)

    asyncio.run(show())


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


# --- the carrier's staff ---


@staff.command("create")
def staff_create(
    first_name: Annotated[str, typer.Option()],
    last_name: Annotated[str, typer.Option()],
    email: Annotated[str, typer.Option()],
    right: Annotated[
        list[str] | None, typer.Option(help="A staff right, such as access.approve; again for more. All, if none.")
    ] = None,
    folder: Folder = HERE,
) -> None:
    """Make somebody a member of the staff. Whoever is one has these rights from now on, and keeps their password."""
    from covey_chassis.access import StaffRight

    identity = identitys_operator(folder)
    made = identity.make_staff(
        first_name=first_name, last_name=last_name, email=email, rights=right or list(StaffRight)
    )
    out.print(f"user ID   {made.user_id}", markup=False)
    if made.password is None:
        out.print("There was an account already: it has these rights now, and its password is as it was.")
    else:
        out.print(f"password  {made.password}", markup=False)
        out.print("It is not shown again.")
    identity.wait_until_everywhere()


@staff.command("list")
def staff_list(folder: Folder = HERE) -> None:
    """Everybody who has a staff right."""
    table = Table("account", "user ID", "name", "email", "rights", box=None, pad_edge=False)
    for member in identitys_operator(folder).staff():
        name, email = escape(member.name), escape(member.email or "-")
        table.add_row(member.account_id, member.user_id, name, email, ", ".join(member.rights))
    out.print(table if table.row_count else "Nobody.")


@staff.command("remove")
def staff_remove(
    who: Annotated[str, typer.Argument(metavar="EMAIL_OR_ID", help="Email address, user ID or account ID.")],
    folder: Folder = HERE,
) -> None:
    """Take all staff rights from somebody. The account stays."""
    identity = identitys_operator(folder)
    found = [
        each for each in identity.staff() if who.lower() in ((each.email or "").lower(), each.user_id, each.account_id)
    ]
    if not found:
        raise Refused(f"Nobody of the staff is {who}.")
    for member in found:
        identity.remove_staff(member.account_id)
        identity.wait_until_everywhere()
        out.print(f"{member.name} has no staff right any more, in any service.", markup=False)


# --- programs ---


@programs.command("create")
def program_create(
    name: Annotated[str, typer.Argument(help="What it is called.")],
    right: Annotated[
        list[str] | None, typer.Option(help="A staff right, such as review.decide; again for more. None, if none.")
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="A file with its public key as a JWK: it signs commands with it."
        ),
    ] = None,
    folder: Folder = HERE,
) -> None:
    """Let a program sign on, and decide by signed commands if it is given a right to. `covey staff remove` ends that."""
    from covey_local.accounts import make_program

    made = make_program(read_run_file(folder), name, rights=right or (), jwk=_read_jwk(key) if key else None)
    out.print(f"account   {made.account_id}", markup=False)
    out.print(f"client ID {made.client_id}", markup=False)
    out.print(f"secret    {made.client_secret}", markup=False)
    out.print("It is not shown again.")
    if made.key_id:
        out.print(f"key       {made.key_id}", markup=False)


def _read_jwk(file: Path) -> dict[str, object]:
    try:
        found = json.loads(file.read_text())
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Refused(f"{file} is no JWK: it must hold one JSON object.")
    if "d" in found:
        raise Refused(f"{file} holds a private key, which nobody else may see: give the public half alone.")
    return found


# --- what deployments call ---


@databases.command("create")
def databases_create(
    admin_url: Annotated[str, typer.Option(envvar="COVEY_ADMIN_DATABASE_URL", help="A superuser's URL.")],
    request: Annotated[str, typer.Option(envvar="COVEY_DATABASE_URL")],
    worker: Annotated[str, typer.Option(envvar="COVEY_WORKER_DATABASE_URL")],
    owner: Annotated[str, typer.Option(envvar="COVEY_OWNER_DATABASE_URL")],
) -> None:
    """Make the database and the three roles that a service's URLs name, as its settings give them."""
    urls = DatabaseUrls(request=request, worker=worker, owner=owner)
    asyncio.run(create_databases(admin_url, urls))
    out.print(f"The database {urls.database} and its roles are there.")


@app.command("keys")
def make_keys(
    folder: Annotated[Path, typer.Argument(help="Where the key files are, or shall be.")],
) -> None:
    """Make the keys that are missing: a pair for each listener of personal data, and one to sign access tokens with."""
    from covey_local import keys

    keys.make_keys(folder, keys.listeners())
    keys.make_signing_key(folder)
    out.print(f"{keys.public_file(folder)} and a private file for {', '.join(keys.listeners())} are there.")
    out.print(f"{keys.signing_file(folder)} and {keys.token_file(folder)} are there.")


if __name__ == "__main__":
    app()
