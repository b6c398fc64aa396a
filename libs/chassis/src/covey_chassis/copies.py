"""Copies of other services' facts: a row that only a higher sequence replaces, whatever order the events arrive in."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.ext.asyncio import AsyncSession

from covey_chassis.db import Base


async def keep_newer(session: AsyncSession, kind: type[Base], *, sequence: int, **values: Any) -> bool:
    """Insert the copy, or replace it where the sequence is higher than the stored one; False when it is not.

    ``values`` are the columns by attribute name, primary key included; the table has a ``sequence`` column.
    """
    table = _table(kind)
    statement = _if_newer(table, insert(table).values(sequence=sequence, **values), values)
    return (await session.execute(statement.returning(table.c.sequence))).first() is not None


async def keep_all_newer(session: AsyncSession, kind: type[Base], copies: Sequence[dict[str, Any]]) -> None:
    """The same for many copies at once, in their order; ``sequence`` is among each one's values."""
    table = _table(kind)
    if copies:
        await session.execute(_if_newer(table, insert(table), copies[0]), copies)


def _if_newer(table: Table, statement: Insert, values: Collection[str]) -> Insert:
    keys = [column.name for column in table.primary_key]
    replaced = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in keys}
    return statement.on_conflict_do_update(
        index_elements=keys,
        set_={name: value for name, value in replaced.items() if name in values or name == "sequence"},
        where=table.c.sequence < statement.excluded.sequence,
    )


def _table(kind: type[Base]) -> Table:
    table = kind.__table__
    assert isinstance(table, Table)  # a mapped class of ours is always a table
    return table
