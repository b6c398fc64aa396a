"""The carrier's staff, and programs."""

# ruff: noqa: PLC0415

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from covey_local.attach import identitys_operator, read_run_file
from covey_local.commands.options import HERE, Folder, out
from covey_local.refused import Refused

staff = typer.Typer(
    help="The carrier's staff, here or at COVEY_IDENTITY_URL with COVEY_OPERATOR_TOKEN.", no_args_is_help=True
)
programs = typer.Typer(help="Programs that sign on, and sign commands.", no_args_is_help=True)


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
