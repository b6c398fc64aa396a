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

from sqlalchemy import ARRAY, ColumnElement, FetchedValue, Select, Text, and_, any_, cast, func, literal, or_, select
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
    """What somebody has seen: a snapshot of the database, and which groups were in their sight."""

    all_over_below: int
    none_begun_from: int
    running: tuple[int, ...]
    sight: str

    @classmethod
    def read(cls, text: str | None) -> Self | None:
        """As ``str`` wrote it; None where it is anything else."""
        found = _SEEN.fullmatch(text or "")
        if found is None:
            return None
        below, begun_from, running, sight = found.groups()
        return cls(
            all_over_below=int(below),
            none_begun_from=int(begun_from),
            running=tuple(int(each) for each in running.split(",") if each),
            sight=sight,
        )

    def __str__(self) -> str:
        running = ",".join(str(each) for each in self.running)
        return f"{self.all_over_below}:{self.none_begun_from}:{running}:{self.sight}"

    def misses(self, changed_in: ColumnElement[int]) -> ColumnElement[bool]:
        """A condition for a query: the row was changed by a transaction that was not over then."""
        return and_(
            changed_in >= _xid(self.all_over_below),
            or_(
                changed_in >= _xid(self.none_begun_from),
                changed_in == any_(cast(literal([str(each) for each in self.running], ARRAY(Text)), ARRAY(Xid8))),
            ),
        )


_SEEN = re.compile(r"(\d{1,18}):(\d{1,18}):((?:\d{1,18}(?:,\d{1,18}){0,2000})?):([0-9a-f]{32}|all)", re.ASCII)


async def seen_now(session: AsyncSession, sight: Sight) -> Seen:
    """What whoever has this sight sees from now on, at least: read before what it is said of."""
    row = (await session.execute(select(_SNAPSHOT, _fingerprint(sight)))).one()
    return _seen(*row)


async def changed_since(
    session: AsyncSession, seen: Seen | None, sight: Sight, rows: Select[UUID], changed_in: ColumnElement[int]
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
    ids = func.array_agg(news.c[0])
    snapshot, fingerprint, changed = (await session.execute(select(_SNAPSHOT, _fingerprint(sight), ids))).one()
    now = _seen(snapshot, fingerprint)
    changed = changed or []
    # A database that was restored may have given out fewer numbers than one had seen there.
    anew = seen.sight != now.sight or seen.none_begun_from > now.none_begun_from or len(changed) > MANY
    return now, None if anew else changed


_SNAPSHOT = cast(func.pg_current_snapshot(), Text)


def _fingerprint(sight: Sight) -> ColumnElement[str]:
    """Another one when other groups are in sight."""
    return literal("all") if sight.everything else func.md5(sight.listed())


def _seen(snapshot: str, sight: str) -> Seen:
    seen = Seen.read(f"{snapshot}:{sight}")
    assert seen is not None  # PostgreSQL's own text: xmin:xmax:xip,xip
    return seen


def _xid(number: int) -> ColumnElement[int]:
    return cast(cast(literal(str(number)), Text), Xid8)
