"""Topics, principals and events: also on a Kafka that is given by ``COVEY_KAFKA_...``."""

# ruff: noqa: PLC0415

import asyncio
from datetime import timedelta
from typing import Annotated

import typer
from pydantic import TypeAdapter
from rich.table import Table

from covey_local.attach import kafka_settings
from covey_local.commands.options import HERE, Folder, out
from covey_local.credentials import ADMIN, DOWNSTREAM

topics = typer.Typer(help="The topics on the broker.", no_args_is_help=True)
principals = typer.Typer(help="Who signs on to Kafka, and what they may do.", no_args_is_help=True)
events = typer.Typer(help="The events on the broker.", no_args_is_help=True)


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

    settings = kafka_settings(folder, ADMIN)
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
    for topic in asyncio.run(list_topics(kafka_settings(folder, ADMIN))):
        kept = int(topic.settings["retention.ms"])
        age = "for ever" if kept < 0 else f"{timedelta(milliseconds=kept).days} days"
        table.add_row(topic.name, str(topic.partitions), str(topic.replicas), age)
    out.print(table)


@principals.command("apply")
def principals_apply(
    folder: Folder = HERE,
    passwords: Annotated[
        str,
        typer.Option(envvar="COVEY_KAFKA_PASSWORDS", help="JSON: the passwords to set, by principal; all others stay."),
    ] = "{}",
) -> None:
    """Let each principal of the contracts do what they say, and nothing else."""
    from covey_local.principals import ACLS, apply_acls, set_passwords

    settings = kafka_settings(folder, ADMIN)
    wanted = TypeAdapter(dict[str, str]).validate_json(passwords)
    applied = asyncio.run(apply_acls(settings, ACLS))
    if wanted:
        asyncio.run(set_passwords(settings, wanted))
    out.print(f"{len(applied.given)} ACLs given, {applied.taken} taken, {applied.unchanged} as they should be.")
    for name in wanted:
        out.print(f"{name} signs on by the given password.")


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
        settings = kafka_settings(folder, DOWNSTREAM)
        async for seen in broker_events.tail(settings, types or (), from_beginning=from_beginning, follow=follow):
            print(seen.as_json if as_json else seen.line, flush=True)

    asyncio.run(show())
