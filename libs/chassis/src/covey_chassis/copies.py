"""Copies of other services' facts: a row that only a higher sequence replaces, whatever order the events arrive in."""

from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from covey_chassis.db import Base


async def keep_newer(session: AsyncSession, kind: type[Base], *, sequence: int, **values: Any) -> bool:
    """Insert the copy, or replace it where the sequence is higher than the stored one; False when it is not.

    ``values`` are the columns by attribute name, primary key included; the table has a ``sequence`` column.
    """
    table = kind.__table__
    assert isinstance(table, Table)  # a mapped class of ours is always a table
    statement = insert(table).values(sequence=sequence, **values)
    keys = [column.name for column in table.primary_key]
    replaced = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in keys}
    applied = await session.execute(
        statement.on_conflict_do_update(
            index_elements=keys,
            set_={name: value for name, value in replaced.items() if name in values or name == "sequence"},
            where=table.c.sequence < statement.excluded.sequence,
        ).returning(table.c.sequence)
    )
    return applied.first() is not None
