"""A stack without services in a process of its own: what `covey run` does, without a minute of starting."""

import asyncio
import sys
from pathlib import Path

from covey_local.commands.stack import run_until_stopped
from covey_local.console import ConsoleProgress, console
from covey_local.stack import Stack

folder, cache = map(Path, sys.argv[1:])
asyncio.run(
    run_until_stopped(
        Stack(folder, services=(), durable=False, cache=cache, progress=ConsoleProgress(console())), console()
    )
)
