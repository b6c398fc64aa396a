"""Free ports on this machine, the same ones as last time where they can be had."""

import json
import random
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

RANGE = range(20000, 32000)
"""Below the ports that the system gives to outgoing connections: a broker that restarts finds its own still free."""


def choose(path: Path, wanted: Mapping[str, int | None]) -> dict[str, int]:
    """A free port for each name: the one remembered in ``path``, else the wanted one, else any. They are remembered."""
    remembered: dict[str, int] = {}
    with suppress(FileNotFoundError, ValueError):
        remembered = json.loads(path.read_text())
    chosen: dict[str, int] = {}
    for name, wish in wanted.items():
        candidates = [remembered.get(name), wish, *random.sample(RANGE, 200)]
        chosen[name] = next(port for port in candidates if port and port not in chosen.values() and is_free(port))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(remembered | chosen, indent=1))
    return chosen


def is_free(port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
