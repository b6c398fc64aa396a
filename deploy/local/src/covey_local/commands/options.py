"""What several commands have in common: options, and where they write."""

from pathlib import Path
from typing import Annotated

import typer

from covey_local.console import console

out = console()

Folder = Annotated[Path, typer.Option("--folder", help="Where the stack keeps everything.", envvar="COVEY_FOLDER")]
ServiceName = Annotated[str, typer.Option("--service", help="Which service.")]
Reason = Annotated[str, typer.Option("--reason", help="Why: it is written down.")]
HERE = Path(".covey")
