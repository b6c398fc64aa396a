"""What has changed since somebody looked, without anything lost between a look and the next.

Rows say in which database transaction they were changed last. The number of a transaction says when it began to write, not
when it was committed: whoever remembers the highest number that they saw misses what is committed later under a lower
one. So a reader remembers the snapshot of their look (PostgreSQL's ``pg_current_snapshot``: which transactions were over,
and which still ran), and whatever is not visible in it is news: all of it, and once.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    FetchedValue,
    Integer,
    Select,
    SQLColumnExpression,
    Text,
    and_,
    any_,
    cast,
    func,
    literal,
    or_,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, MappedAsDataclass, mapped_column
from sqlalchemy.types import UserDefinedType

from covey_chassis.access.checking import Sight

POSITION = "Last-Event-ID"
"""The header in which a reader says what they have seen, and in which an answer says what it shows."""
MANY = 100
"""When more than so many rows have changed, it is not said which."""


class Xid8(UserDefinedType[int]):
    """The number of a database transaction, which is never used again."""

    cache_ok = True

    def get_col_spec(self, **_options: Any) -> str:
        return "xid8"


class Followed(MappedAsDataclass):
    """Rows that can be followed. A trigger of the table's notes the transaction, whoever changes a row and however."""

    changed_in: Mapped[int] = mapped_column(
        Xid8, init=False, repr=False, deferred=True, server_default=FetchedValue(), server_onupdate=FetchedValue()
    )


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What somebody has seen: a snapshot of the database, and of what."""

    none_begun_from: int
    """No transaction of this number, or a higher one, had begun to write."""
    running: tuple[int, ...]
    """Those below it that were not over."""
    of: str
    """Another one when other groups are in sight, and when the server began anew or the database is another one: numbers
    may be given out again then."""

    @classmethod
    def read(cls, text: str | None) -> Self | None:
        """As ``str`` wrote it; None where it is anything else."""
        found = _SEEN.fullmatch(text or "")
        if found is None:
            return None
        begun_from, running, of = found.groups()
        return cls(
            none_begun_from=int(begun_from), running=tuple(int(each) for each in running.split(",") if each), of=of
        )

    def __str__(self) -> str:
        running = ",".join(str(each) for each in self.running)
        return f"{self.none_begun_from}:{running}:{self.of}"

    def misses(self, changed_in: SQLColumnExpression[int]) -> ColumnElement[bool]:
        """A condition for a query: the row was changed by a transaction that was not over then.

        What came from another server with its dump has that one's numbers: those are no news.
        """
        running = cast(literal([str(each) for each in self.running], ARRAY(Text)), ARRAY(Xid8))
        since = cast(cast(literal(str(self.none_begun_from)), Text), Xid8)
        return and_(
            or_(changed_in >= since, changed_in == any_(running)),
            changed_in < func.pg_snapshot_xmax(func.pg_current_snapshot()),
        )


_SEEN = re.compile(r"(\d{1,18}):((?:\d{1,18}(?:,\d{1,18}){0,2000})?):([0-9a-f]{64})", re.ASCII)


async def seen_now(session: AsyncSession, sight: Sight) -> Seen:
    """What whoever has this sight sees from now on, at least: read before what it is said of."""
    return _seen(*(await session.execute(select(_SNAPSHOT, _of(sight)))).one())


async def changed_since(
    session: AsyncSession, seen: Seen | None, sight: Sight, rows: Select[UUID], changed_in: SQLColumnExpression[int]
) -> tuple[Seen, Sequence[UUID] | None]:
    """What is seen now, and which rows have changed since; None for them where that can't be said: then all may have.

    Args:
        session: where to read.
        seen: what whoever asks has seen.
        sight: which groups they see now.
        rows: IDs of all that they could ask for.
        changed_in: the rows' column of that name.
    """
    if seen is None:
        return await seen_now(session, sight), None
    news = rows.where(seen.misses(changed_in)).limit(MANY + 1).subquery()
    *found, changed = (await session.execute(select(_SNAPSHOT, _of(sight), func.array_agg(news.c[0])))).one()
    now = _seen(*found)
    changed = changed or []
    return now, None if seen.of != now.of or len(changed) > MANY else changed


_SNAPSHOT = cast(func.pg_current_snapshot(), Text)
_DATABASE = text("SELECT oid FROM pg_database WHERE datname = current_database()").columns(oid=Integer)


def _of(sight: Sight) -> ColumnElement[str]:
    groups = literal("") if sight.everything else sight.fingerprint()
    named = func.concat_ws(" ", func.pg_postmaster_start_time(), _DATABASE.scalar_subquery(), sight.everything, groups)
    return func.encode(func.sha256(func.convert_to(named, "UTF8")), "hex")


def _seen(snapshot: str, of: str) -> Seen:
    _all_over_below, begun_from, running = snapshot.split(":")
    seen = Seen.read(f"{begun_from}:{running}:{of}")
    assert seen is not None  # PostgreSQL's own text: xmin:xmax:xip,xip
    return seen
