"""The kept examples: payloads that must parse for ever. They are added, never edited and never removed.

``<folder>/<topic>/<n>-<name>.json`` is a record's value, ``<n>-<name>.sealed.json`` what is inside its sealed field.
``<folder>/SHA256SUMS`` lists what was released, as ``sha256sum --check`` reads it.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from pydantic import JsonValue, ValidationError

from covey_contracts.base import Event, SealedBody

SUMS = "SHA256SUMS"
SEALED = ".sealed.json"
ENOUGH = 2
"""A full example and a minimal one."""


def values(folder: Path, topic: str) -> dict[str, JsonValue]:
    """The examples of one topic by name, in order, without those that are not even JSON: `problems` names them."""
    found: dict[str, JsonValue] = {}
    for file in _files(folder, topic):
        with suppress(ValueError):
            found[file.stem] = json.loads(file.read_bytes())
    return found


def sealed_values(folder: Path, topic: str) -> dict[str, JsonValue]:
    """What is inside the sealed field of the examples that have one, by the example's name."""
    files = sorted((folder / topic).glob(f"*{SEALED}"))
    return {file.name.removesuffix(SEALED): json.loads(file.read_bytes()) for file in files}


def problems(folder: Path, events: Sequence[type[Event]]) -> list[str]:
    """What is wrong with the examples, each in a sentence."""
    found = [*_broken_promises(folder)]
    for event in events:
        found += _unreadable(folder, event)
    known = {event.topic.name for event in events}
    found += [
        f"{path.name}: there are examples, but no such event."
        for path in sorted(folder.glob("*"))
        if path.is_dir() and path.name not in known
    ]
    return found


def record(folder: Path) -> list[str]:
    """Add the examples that are not listed yet to the checksums, and name them. From now on they stay as they are."""
    listed = _listed(folder)
    new = {name: _sum(folder / name) for name in _names(folder) if name not in listed}
    with (folder / SUMS).open("a") as sums:
        sums.writelines(f"{digest}  {name}\n" for name, digest in new.items())
    return list(new)


def _broken_promises(folder: Path) -> Iterator[str]:
    for name, digest in _listed(folder).items():
        if not (folder / name).is_file():
            yield f"{name}: this released example is gone. Bring it back."
        elif _sum(folder / name) != digest:
            yield f"{name}: this released example was edited. Bring it back and add another one instead."


def _unreadable(folder: Path, event: type[Event]) -> Iterator[str]:
    topic = event.topic.name
    files = _files(folder, topic)
    if len(files) < ENOUGH:
        yield f"{topic}: {len(files)} examples are kept, {ENOUGH} are needed: a full one and a minimal one."
    for file in files:
        yield from _refusal(file, event)
        sealed = file.with_name(file.stem + SEALED)
        if event.sealed_body and not sealed.is_file():
            yield f"{topic}/{sealed.name}: the example does not say what is inside its sealed field."
        elif event.sealed_body:
            yield from _refusal(sealed, event.sealed_body)


def _refusal(file: Path, model: type[Event] | type[SealedBody]) -> Iterator[str]:
    try:
        model.model_validate_json(file.read_bytes())
    except ValidationError as refusal:
        first = refusal.errors()[0]
        at = ".".join(str(part) for part in first["loc"]) or "the value"
        yield f"{file.parent.name}/{file.name}: {model.__name__} refuses this example: {at}: {first['msg']}."


def _files(folder: Path, topic: str) -> list[Path]:
    """The topic's examples, in the order of their numbers."""
    files = [file for file in (folder / topic).glob("*.json") if not file.name.endswith(SEALED)]
    return sorted(files, key=lambda file: (len(file.name.partition("-")[0]), file.name))


def _names(folder: Path) -> list[str]:
    return sorted(file.relative_to(folder).as_posix() for file in folder.glob("*/*.json"))


def _listed(folder: Path) -> dict[str, str]:
    sums = folder / SUMS
    lines = sums.read_text().splitlines() if sums.is_file() else []
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def _sum(file: Path) -> str:
    return sha256(file.read_bytes()).hexdigest()
