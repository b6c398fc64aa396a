"""The rows of a file become groups, registered or changed."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from covey_chassis.envelope import Cause, caused_by
from covey_chassis.outbox import emit
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from covey_membership.domain import group_file
from covey_membership.domain.group import Group, Seal
from covey_membership.domain.group_file import Chunk, Fault, Row
from covey_membership.domain.group_import import GroupImport, ImportChunk, ImportFault, Outcome
from covey_membership.domain.profile import NewGroup
from covey_membership.queries import hold_numbers, next_chunk, next_import

Item = TypeVar("Item")


async def work_import(session: AsyncSession, *, at: datetime, seal: Seal) -> bool:
    """Work the next chunk of the oldest import; False when there is none, or somebody else is at it.

    What becomes of the chunk's rows, the import's progress and the chunk's end are one commit: after a crash it is all
    done, or all to be done again.
    """
    running = await next_import(session)
    if running is None:
        return False
    chunk = await next_chunk(session, running.id)
    if chunk is not None:
        with caused_by(Cause(running.correlation_id)):
            running.count(await _work_chunk(session, running, chunk, seal), at=at)
        await session.delete(chunk)
    if chunk is None or running.rows_done == running.rows_total:
        running.finish(at=at)
        await session.execute(_FORGET_NUMBERS, {"import_id": running.id})
    return True


async def _work_chunk(session: AsyncSession, running: GroupImport, chunk: ImportChunk, seal: Seal) -> Counter[Outcome]:
    cut = Chunk(chunk.first_line, chunk.rows, chunk.content.decode())
    read = [row async for row in _in_turn(group_file.read(running.columns, cut))]
    rows = await _refuse_repeated(session, running.id, read)
    refused = [row for row in rows if row.faults]
    session.add_all(
        ImportFault(import_id=running.id, line=row.line, column=fault.column, message=fault.message)
        for row in refused
        for fault in row.faults
    )
    outcomes = await _take_in(session, [row.group for row in rows if row.group and not row.faults], seal)
    outcomes[Outcome.REFUSED] = len(refused)
    return outcomes


async def _take_in(session: AsyncSession, said: Sequence[NewGroup], seal: Seal) -> Counter[Outcome]:
    """Let the groups be as the file says. Each has a number of its own."""
    outcomes: Counter[Outcome] = Counter()
    known = await hold_numbers(session, [each.group_number for each in said])
    async for each in _in_turn(said):
        group = known.get(each.group_number)
        if group is None:
            group, registered = Group.register(each.group_number, each.profile, seal=seal)
            session.add(group)
            emit(session, group, registered)
            outcomes[Outcome.REGISTERED] += 1
        elif changed := group.change(each.profile, seal=seal):
            emit(session, group, changed)
            outcomes[Outcome.CHANGED] += 1
        else:
            outcomes[Outcome.UNCHANGED] += 1
    return outcomes


async def _refuse_repeated(session: AsyncSession, import_id: UUID, rows: Sequence[Row]) -> list[Row]:
    """The rows, with a fault where an earlier line of the file has the same number: nobody can say which one is meant."""
    numbered = {"import_id": import_id, "numbers": [row.number for row in rows if row.number]}
    lines = [row.line for row in rows if row.number]
    await session.execute(_KEEP_NUMBERS, numbered | {"lines": lines})
    found = await session.execute(_FIRST_LINES, numbered)
    first_line: dict[str, int] = {row.group_number: row.line for row in found}
    return [
        row
        if row.number is None or first_line[row.number] == row.line
        else replace(row, faults=(_repeated(first_line[row.number]), *row.faults))
        for row in rows
    ]


async def _in_turn(items: Iterable[Item]) -> AsyncIterator[Item]:
    """One after the other, letting this process answer requests in between."""
    for item in items:
        yield item
        await asyncio.sleep(0)


def _repeated(first_line: int) -> Fault:
    return Fault("group_number", f"is on line {first_line} already: a group has one row in a file")


_KEEP_NUMBERS = text(
    """
    INSERT INTO imported_number (import_id, group_number, line)
    SELECT :import_id, number, line
      FROM unnest(CAST(:numbers AS text[]), CAST(:lines AS int[])) WITH ORDINALITY AS row (number, line, position)
     ORDER BY position
    ON CONFLICT DO NOTHING
    """
)
_FIRST_LINES = text(
    """
    SELECT group_number, line FROM imported_number
     WHERE import_id = :import_id AND group_number = ANY(CAST(:numbers AS text[]))
    """
)
_FORGET_NUMBERS = text("DELETE FROM imported_number WHERE import_id = :import_id")
