"""What deployments call, of whatever kind."""

# ruff: noqa: PLC0415

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from covey_local.commands.options import out
from covey_local.databases import DatabaseUrls, create_databases

databases = typer.Typer(help="Databases and their roles.", no_args_is_help=True)


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


def make_keys(
    folder: Annotated[Path, typer.Argument(help="Where the key files are, or shall be.")],
) -> None:
    """Make the keys that are missing: a pair for each service, and one to sign access tokens with."""
    from covey_local import keys

    keys.make_keys(folder, keys.holders())
    keys.make_signing_key(folder)
    out.print(f"{keys.public_file(folder)} and a private file for {', '.join(keys.holders())} are there.")
    out.print(f"{keys.signing_file(folder)} and {keys.token_file(folder)} are there.")
