"""The audit of a platform that runs here."""

# ruff: noqa: PLC0415

import os
import subprocess
import sys

import typer

from covey_local.attach import read_run_file
from covey_local.commands.options import HERE, Folder, out
from covey_local.credentials import DOWNSTREAM, signed_on

audit = typer.Typer(help="Who did what: whether it is as it was written.", no_args_is_help=True)


@audit.command("verify")
def verify(folder: Folder = HERE) -> None:
    """Compute identity's audit chain anew, and compare it with its links and its anchors; 1 when it does not hold."""
    from covey_local import keys
    from covey_local.databases import database_urls
    from covey_local.home import Home

    run = read_run_file(folder)
    passwords = Home(folder).secrets(("identity",)).databases["identity"]
    environment = os.environ | {
        "COVEY_OWNER_DATABASE_URL": database_urls(run["databases"]["identity"], "identity", passwords).owner,
        **signed_on(run["kafka"], DOWNSTREAM, run["kafka_passwords"][DOWNSTREAM]).environment(),
        "COVEY_TOKEN_KEYS": str(keys.token_file(folder / "keys")),
    }
    verified = subprocess.run(
        [sys.executable, "-m", "covey_identity.audit_verification"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    out.print(f"{verified.stdout}{verified.stderr}".strip(), markup=False)
    raise typer.Exit(verified.returncode)
