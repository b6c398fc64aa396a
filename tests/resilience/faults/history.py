"""What a client asked for and what it was answered, written down so that not even the client's own death loses it.

A file for each process, a line before each operation is sent and one when its outcome is known, both on disk before the
client goes on. Times are by CLOCK_MONOTONIC, which is the same for all processes of a machine.
"""

import asyncio
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

Outcome = Literal["ok", "fail", "unknown"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Op:
    """One operation of a client, with all its attempts.

    Its ID is the correlation ID and the Idempotency-Key of each attempt: by it, what was committed and what was told is
    found. ``ok``: it was answered with success. ``fail``: it was refused, and no attempt can have had an effect.
    ``unknown``: an attempt was not answered, or with 5xx, and no later one told how it went.
    """

    id: str
    client: str
    kind: str
    """``watch`` is one piece of an open stream, noted when it came."""
    service: str
    invoked_at: float
    subject: str | None = None
    """The aggregate that it is about, or its group."""
    person: str | None = None
    """The account by whose rights it was asked; of a removal, the account that was removed."""
    sent_at: float | None = None
    """Of the last attempt."""
    finished_at: float | None = None
    outcome: Outcome = "unknown"
    status: int | None = None
    """Of the last answer."""
    attempts: int = 0
    shows: bool = False
    """The answer tells of the group: it holds it, or comes from behind the check of rights. Of a removal: "removed"."""
    said: str = ""
    """The code of a refusal; of a removal, by what it became true."""
    committed: frozenset[str] | None = None
    """Of the person's commands, those that were committed when they were removed (just after), or let in again (before)."""

    @property
    def is_command(self) -> bool:
        """Whether it changes something, so that its key is kept with what it did."""
        return self.kind not in ("read", "watch")


class History:
    """The file to which one process writes."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._lines: list[bytes] = []
        self._turn = asyncio.Lock()

    async def note(self, op: Op) -> None:
        """Write down an operation that is about to be sent, or is over; returns once it is on the disk."""
        self._lines.append(_line(op))
        async with self._turn:  # who waited here may find that the one before has written theirs, too
            lines, self._lines = self._lines, []
            if lines:
                await asyncio.to_thread(self._write, b"".join(lines))

    def _write(self, lines: bytes) -> None:
        os.write(self._file, lines)
        os.fsync(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._file)


def read_histories(files: Iterable[Path]) -> list[Op]:
    """Every operation, in the order in which they were sent. One without a result stays unknown."""
    found: dict[str, Op] = {}
    for file in files:
        for line in file.read_bytes().split(b"\n")[:-1]:  # what has no end was being written when the process died
            op = _read(line)
            found[op.id] = op
    return sorted(found.values(), key=lambda op: op.invoked_at)


def _line(op: Op) -> bytes:
    said = asdict(op)
    if op.committed is not None:
        said["committed"] = sorted(op.committed)
    return json.dumps(said).encode() + b"\n"


def _read(line: bytes) -> Op:
    op = Op(**json.loads(line))
    return op if op.committed is None else replace(op, committed=frozenset(op.committed))
