"""``python -m bench --profile api,latency``: what the time of event loops goes into while a benchmark runs.

Every process of the benchmark is sampled, 50 times a second, while its event loop is at work: waiting, importing and
other threads don't count, preparing does. What comes of it is kept in ``bench/profiles.json``: for each process the
share of each library (that of the innermost frame, or which has called the standard library) and of each function of
ours, with all that it calls, but for what SQLAlchemy does of it: its greenlets don't know who has called them. The
process ``bench`` is whoever measures, with limits and peers that run in it. Being sampled slows things down:
``bench/results.json`` stays as it is.
"""

import asyncio
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import peers

KEPT = Path(__file__).parent / "profiles.json"
RATE = 50
LEAST = 0.02
"""A smaller share is not listed, nor a process with less of all samples."""
MOST = 30
"""So many shares are listed."""
LOOP = "asyncio/base_events.py"
ASIDE = ("/threading.py", "<frozen importlib._bootstrap>")
"""Other threads, and what is imported."""
FRAME = re.compile(r"(?P<name>.+) \((?P<file>[^()]+)\)")
LIBRARY = re.compile(r"/site-packages/(\w+)")
OURS = re.compile(r".*/((?:covey_|bench/|tests/)[\w/]+)\.py")
ROLES = (r"-m covey_chassis \w+ covey_(\w+)", r"-m covey_(\w+)", r"-m (bench[\w.]*)", r"/(bench/\w+)\.py")
"""What names a process, in its command line: no more of that is kept."""
UNNAMED = ':""'


@dataclass
class Profile:
    """Samples of one process's event loop."""

    samples: int = 0
    libraries: Counter[str] = field(default_factory=Counter)
    functions: Counter[str] = field(default_factory=Counter)

    def add(self, frames: list[tuple[str, str]], times: int) -> None:
        """So many samples of these frames, the outermost first, each a function's name and its file."""
        self.samples += times
        self.libraries[next(filter(None, map(_library, reversed([file for _, file in frames]))), "asyncio")] += times
        for function in {f"{ours}.{name}" for name, file in frames if (ours := _ours(file))}:
            self.functions[function] += times

    def as_json(self) -> dict[str, object]:
        """Shares of the whole, the largest first."""
        return {
            "samples": self.samples,
            "libraries": self._shares(self.libraries),
            "functions": self._shares(self.functions),
        }

    def _shares(self, counted: Counter[str]) -> dict[str, float]:
        shares = {name: round(times / self.samples, 3) for name, times in counted.most_common(MOST)}
        return {name: share for name, share in shares.items() if share >= LEAST}


def _ours(file: str) -> str | None:
    """A file of the project, from its package on."""
    found = None if LIBRARY.search(file) else OURS.fullmatch(file)
    return found and found[1]


def _library(file: str) -> str | None:
    """Whose the file is; None for the standard library's."""
    if found := LIBRARY.search(file):
        return found[1]
    ours = _ours(file)
    return ours and ours.partition("/")[0]


def profiles(sampled: Iterable[str]) -> dict[str, Profile]:
    """For each process, of the profiler's lines: processes and frames from the outermost one on, and how often."""
    found: dict[str, Profile] = {}
    for line in sampled:
        *frames, last = line.split(";")
        last, _, times = last.rpartition(" ")
        around = [each for each in [*frames, last] if each.startswith("process ")]
        stack = [(each["name"], each["file"]) for each in map(FRAME.fullmatch, [*frames, last]) if each]
        if around and not any(file.endswith(ASIDE) for _, file in stack):
            found.setdefault(_role(around[-1]), Profile()).add(_in_loop(stack), int(times))
    return found


def _in_loop(stack: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """What the event loop has called: all of it, where the stack is a greenlet's and begins there."""
    outside = [place for place, (_, file) in enumerate(stack) if file.endswith(LOOP)]
    return stack[outside[-1] + 1 :] if outside else stack


def _role(process: str) -> str:
    if process.endswith(UNNAMED):
        return "bench"  # the first one, when it was looked at before its program had begun
    found = (re.search(pattern, process) for pattern in ROLES)
    return next((match[1] for match in found if match), "another")


async def _sample(key: str) -> dict[str, Profile]:
    options = ("--subprocesses", "--nolineno", "--full-filenames", "--format", "raw", "--rate", str(RATE))
    benchmark = (sys.executable, "-m", "bench", "--no-keep", key)
    with TemporaryDirectory() as folder:
        sampled = Path(folder) / "sampled"
        command = (str(await peers.program("py-spy")), "record", *options, "--output", str(sampled), "--", *benchmark)
        process = await asyncio.create_subprocess_exec(*command)
        code = await process.wait()
        found = profiles(sampled.read_text().splitlines()) if sampled.exists() else {}
    if not found:
        raise RuntimeError(f"nothing was sampled of {key}: the profiler ended with {code}")
    return found


async def keep(keys: Sequence[str]) -> None:
    """Profile these benchmarks, and keep what comes of it.

    Raises:
        RuntimeError: nothing was sampled.
    """
    for key in keys:
        found = await _sample(key)
        whole = sum(each.samples for each in found.values())
        kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
        kept[key] = {name: each.as_json() for name, each in sorted(found.items()) if each.samples >= LEAST * whole}
        KEPT.write_text(json.dumps(kept, indent=2) + "\n")
        print(json.dumps(kept[key], indent=2))
