"""``python -m covey_contracts write | check | release``: keep what is made from the events in step with them."""

import argparse
import json
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

from covey_contracts import EVENTS, examples
from covey_contracts.acls import access_list, kafka_users
from covey_contracts.asyncapi import asyncapi
from covey_contracts.compatibility import breaking_changes
from covey_contracts.documents import JsonObject, as_text, event_schema, topic_list
from covey_contracts.events_page import events_page

CHECKOUT = Path(__file__).resolve().parents[4]
LIBRARY = Path("libs/contracts")
GENERATED = LIBRARY / "generated"
RELEASED = LIBRARY / "released"
EXAMPLES = Path("tests/contracts/examples")
PAGE = Path("docs/events.md")
KAFKA_USERS = Path("deploy/kafka/users.yaml")


def documents(root: Path) -> dict[Path, str]:
    """Every file that is made from the events, by its path below the checkout."""
    kept = {event.topic.name: examples.values(root / EXAMPLES, event.topic.name) for event in EVENTS}
    version = tomllib.loads((root / LIBRARY / "pyproject.toml").read_text())["project"]["version"]
    schemas = {GENERATED / "schemas" / f"{topic}.json": as_text(schema) for topic, schema in _today().items()}
    return schemas | {
        GENERATED / "asyncapi.json": as_text(asyncapi(EVENTS, version, kept)),
        GENERATED / "topics.json": as_text(topic_list(EVENTS)),
        GENERATED / "acls.json": as_text(access_list(EVENTS)),
        PAGE: events_page(EVENTS, kept),
        KAFKA_USERS: kafka_users(EVENTS),
    }


def write(root: Path) -> list[str]:
    """Write what is not as it should be, delete what no event makes any more, and name each such file."""
    wanted = documents(root)
    changed = [path for path, text in wanted.items() if _text(root / path) != text]
    for path in changed:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(wanted[path])
    extra = _extra(root, wanted)
    for path in extra:
        (root / path).unlink()
    return [f"{path} written" for path in changed] + [f"{path} deleted" for path in extra]


def problems(root: Path) -> list[str]:
    """Every reason why these contracts can't be merged, each in a sentence."""
    wanted = documents(root)
    found = [
        f"{path} is {'stale' if (root / path).exists() else 'missing'}: run `make contracts`."
        for path, text in wanted.items()
        if _text(root / path) != text
    ]
    found += [f"{path} is made from no event: run `make contracts`." for path in _extra(root, wanted)]
    return found + breaking_changes(_released(root), _today()) + examples.problems(root / EXAMPLES, EVENTS)


def release(root: Path) -> list[str]:
    """Make today's contracts and examples the ones that every later change is compared with; says what was added.

    Call it only when there are no `problems`.
    """
    news = []
    for topic, schema in _today().items():
        file = root / RELEASED / f"{topic}.json"
        if _text(file) != as_text(schema):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(as_text(schema))
            news.append(f"{topic} released")
    return news + [f"{name} is kept for ever" for name in examples.record(root / EXAMPLES)]


def main(arguments: list[str] | None = None) -> int:
    """Run one of the commands; the answer is the exit code."""
    parser = argparse.ArgumentParser(prog="python -m covey_contracts", description=__doc__)
    parser.add_argument("command", choices=["write", "check", "release"])
    parser.add_argument(
        "--root", type=Path, default=CHECKOUT, help="the checkout (default: the one this package is in)"
    )
    options = parser.parse_args(arguments)
    if not (options.root / LIBRARY).is_dir():
        parser.error(f"{options.root} is no checkout of Covey: {LIBRARY} is missing")
    if options.command == "write":
        return _say(write(options.root) or ["Everything is up to date."])
    found = problems(options.root)
    if found:
        print(*found, sep="\n", file=sys.stderr)
        return 1
    if options.command == "release":
        return _say(release(options.root) or ["Nothing new to release."])
    return _say([f"{len(EVENTS)} events: documents up to date, examples whole, nothing broken since the last release."])


def _today() -> dict[str, JsonObject]:
    return {event.topic.name: event_schema(event) for event in EVENTS}


def _released(root: Path) -> dict[str, JsonObject]:
    return {file.stem: json.loads(file.read_bytes()) for file in sorted((root / RELEASED).glob("*.json"))}


def _extra(root: Path, wanted: Mapping[Path, str]) -> list[Path]:
    found = (file.relative_to(root) for file in sorted((root / GENERATED).rglob("*")) if file.is_file())
    return [path for path in found if path not in wanted]


def _text(file: Path) -> str | None:
    return file.read_text() if file.is_file() else None


def _say(lines: list[str]) -> int:
    print(*lines, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
