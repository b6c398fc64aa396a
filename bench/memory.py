"""How much memory a process has, as Linux tells it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Memory:
    """``rss_mb`` is all that is resident; ``pss_mb`` has its part only of what others have too. 1 MB is 10^6 bytes."""

    rss_mb: float
    pss_mb: float


def memory_of(pid: int) -> Memory:
    """What the process has at this moment."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    kib = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    return Memory(rss_mb=kib["Rss"] * 1024 / 1e6, pss_mb=kib["Pss"] * 1024 / 1e6)
