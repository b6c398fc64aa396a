"""Which lines of requirements.lock one member of the workspace needs to run, hashes included.

    python deploy/requirements_of.py membership [uv-build] > requirements.txt

The lock holds everything for everyone. A line is taken when the member, or a library of ours, asks for it directly, or when
a line that is taken asks for it: the lock says so under each ("via"). Further names on the command line are taken too.
"""

# ruff: noqa: INP001 - a script beside the Dockerfile, no package

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def requirements(root: Path, names: Iterable[str]) -> str:
    """The lines for members and packages of these names."""
    entries = dict(_entries((root / "requirements.lock").read_text()))
    wanted = {seed for name in names for seed in _asked_for_by(root, name, set())}
    while more := {name for name, entry in entries.items() if name not in wanted and wanted & _via(entry)}:
        wanted |= more
    if missing := wanted - entries.keys():
        raise SystemExit(f"requirements.lock lacks {', '.join(sorted(missing))}: run `make lock`")
    return "".join(entry for name, entry in entries.items() if name in wanted)


def _asked_for_by(root: Path, name: str, seen: set[str]) -> Iterator[str]:
    """What a member asks for directly, and what our own libraries below it do; a package asks for itself."""
    short = name.removeprefix("covey-")
    member = next((path for path in root.glob(f"*/{short}/pyproject.toml")), None)
    if member is None:
        yield name
    elif name not in seen:
        seen.add(name)
        for wish in tomllib.loads(member.read_text())["project"]["dependencies"]:
            asked = re.match(r"[\w.-]+", wish)
            yield from _asked_for_by(root, asked[0].lower() if asked else wish, seen)


def _entries(lock: str) -> Iterator[tuple[str, str]]:
    for entry in re.findall(r"^\w.*\n(?:[ #].*\n)*", lock, re.MULTILINE):
        yield re.split(r"[=\[ ]", entry, maxsplit=1)[0], entry


def _via(entry: str) -> set[str]:
    """Who asks for a line, without members: what they ask for is known from their own files."""
    names = re.findall(r"^ +# +(?:via )?([\w.-]+)$", entry, re.MULTILINE)
    return {name for name in names if not name.startswith("covey")}


if __name__ == "__main__":
    sys.stdout.write(requirements(ROOT, sys.argv[1:]))
