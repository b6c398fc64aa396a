"""An import of groups: a file that came in, worked through chunk by chunk, and what became of its rows."""

from collections import Counter
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from covey_chassis.db import Base, by_value
from covey_chassis.errors import NotFound
from covey_chassis.ids import new_id
from covey_chassis.lifecycle import Lifecycle
from sqlalchemy import ARRAY, ForeignKey, Identity, Text
from sqlalchemy.orm import Mapped, mapped_column


class ImportNotFound(NotFound):
    """No import has this ID."""


class ImportStatus(StrEnum):
    """How far an import is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"


class Outcome(StrEnum):
    """What became of a row."""

    REGISTERED = "registered"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


LIFECYCLE = Lifecycle[ImportStatus](
    count={ImportStatus.WAITING: ImportStatus.RUNNING, ImportStatus.RUNNING: ImportStatus.RUNNING},
    finish={ImportStatus.WAITING: ImportStatus.DONE, ImportStatus.RUNNING: ImportStatus.DONE},
)


class GroupImport(Base, kw_only=True):
    """One file and how far it is. Its chunks are what is left to do: each is deleted with the commit that worked it."""

    __tablename__ = "group_import"

    id: Mapped[UUID] = mapped_column(primary_key=True, default_factory=new_id)
    columns: Mapped[list[str]] = mapped_column(ARRAY(Text))
    correlation_id: Mapped[str]
    status: Mapped[ImportStatus] = mapped_column(
        by_value(ImportStatus),
        default=ImportStatus.WAITING,
    )
    rows_total: Mapped[int] = mapped_column(default=0)
    registered: Mapped[int] = mapped_column(default=0)
    changed: Mapped[int] = mapped_column(default=0)
    unchanged: Mapped[int] = mapped_column(default=0)
    refused: Mapped[int] = mapped_column(default=0)
    received_at: Mapped[datetime]
    started_at: Mapped[datetime | None] = mapped_column(init=False, default=None)
    ended_at: Mapped[datetime | None] = mapped_column(init=False, default=None)

    @property
    def rows_done(self) -> int:
        return self.registered + self.changed + self.unchanged + self.refused

    def count(self, outcomes: Counter[Outcome], *, at: datetime) -> None:
        """Another chunk was worked, and this became of its rows."""
        self.status = LIFECYCLE.after("count", self.status)
        self.started_at = self.started_at or at
        self.registered += outcomes[Outcome.REGISTERED]
        self.changed += outcomes[Outcome.CHANGED]
        self.unchanged += outcomes[Outcome.UNCHANGED]
        self.refused += outcomes[Outcome.REFUSED]

    def finish(self, *, at: datetime) -> None:
        """Nothing is left to do."""
        self.status = LIFECYCLE.after("finish", self.status)
        self.started_at = self.started_at or at
        self.ended_at = at


class ImportChunk(Base, kw_only=True):
    """Rows that wait to be worked."""

    __tablename__ = "import_chunk"

    import_id: Mapped[UUID] = mapped_column(ForeignKey("group_import.id"), primary_key=True)
    first_line: Mapped[int] = mapped_column(primary_key=True)
    rows: Mapped[int]
    content: Mapped[bytes]


class ImportFault(Base, kw_only=True):
    """What is wrong with one row in one column, without any of its values."""

    __tablename__ = "import_fault"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True, init=False)
    import_id: Mapped[UUID] = mapped_column(ForeignKey("group_import.id"))
    line: Mapped[int]
    column: Mapped[str] = mapped_column("column_name")
    message: Mapped[str]
