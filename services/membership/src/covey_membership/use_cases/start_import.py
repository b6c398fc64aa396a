"""A file of groups comes in."""

from datetime import datetime
from itertools import islice

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from covey_membership.domain import group_file
from covey_membership.domain.group_import import GroupImport, ImportChunk

PAGE = 20
"""How many chunks are sent to the database at once."""


async def start_import(session: AsyncSession, content: bytes, *, correlation_id: str, at: datetime) -> GroupImport:
    """Keep the file, cut into chunks, to be worked through later.

    Raises:
        FileNotReadable: nothing of it can be worked.
    """
    columns, chunks = group_file.split(content)
    started = GroupImport(columns=columns, correlation_id=correlation_id, received_at=at)
    session.add(started)
    await session.flush()
    rows_total = 0
    while page := list(islice(chunks, PAGE)):
        rows_total += sum(chunk.rows for chunk in page)
        await session.execute(
            insert(ImportChunk),
            [
                {
                    "import_id": started.id,
                    "first_line": chunk.first_line,
                    "rows": chunk.rows,
                    "content": chunk.content.encode(),
                }
                for chunk in page
            ],
        )
    started.rows_total = rows_total
    return started
