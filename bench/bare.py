"""The limit of ``api``: a bare FastAPI and SQLAlchemy route that does one INSERT and commits. Nothing of ours is in it.

``python -m bench.bare DATABASE_URL PORT`` serves it, with the settings that a service gives to uvicorn.
"""

import sys
from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID, uuid4

import uvicorn
from fastapi import Depends, FastAPI
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column

TABLE = "CREATE TABLE note (id uuid PRIMARY KEY, group_id uuid NOT NULL, said text NOT NULL)"


class Base(MappedAsDataclass, DeclarativeBase):
    """What the mapped class derives from."""


class Note(Base):
    """The one row."""

    __tablename__ = "note"

    group_id: Mapped[UUID]
    said: Mapped[str]
    id: Mapped[UUID] = mapped_column(primary_key=True, default_factory=uuid4)


class NewNote(BaseModel):
    """The body."""

    group_id: UUID
    said: str


class NoteView(NewNote):
    """The answer."""

    id: UUID


def make_app(database_url: str, *, pool_size: int) -> FastAPI:
    """The application."""
    engine = create_async_engine(
        database_url.replace("postgresql://", "postgresql+asyncpg://", 1), pool_size=pool_size, max_overflow=0
    )
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    app = FastAPI()

    async def session() -> AsyncIterator[AsyncSession]:
        async with sessions() as opened:
            yield opened

    @app.post("/notes", status_code=201)
    async def add(new: NewNote, session: Annotated[AsyncSession, Depends(session)]) -> NoteView:
        note = Note(new.group_id, new.said)
        session.add(note)
        await session.commit()
        return NoteView(id=note.id, group_id=note.group_id, said=note.said)

    return app


if __name__ == "__main__":
    uvicorn.run(
        make_app(sys.argv[1], pool_size=10),
        host="127.0.0.1",
        port=int(sys.argv[2]),
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=15,
    )
