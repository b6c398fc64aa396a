"""Keyset pagination: a page ends with an opaque cursor, and the next page begins behind it, however much was inserted.

A cursor is the last row's sort values, encrypted and authenticated (AES-SIV): it cannot be made up, tells nothing that
its holder should not see in an address, and fits only the path and the filters that it came from.
"""

import base64
import binascii
import functools
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from fastapi import Depends, Query, Request
from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, Select, literal, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from covey_chassis.errors import FieldError, Invalid
from covey_chassis.transaction import context_of

LIMIT_MAX = 200
LIMIT_DEFAULT = 50

T = TypeVar("T")
Row = TypeVar("Row")
SortKey = ColumnElement[Any] | InstrumentedAttribute[Any]


class Order(StrEnum):
    """Which way round a list is."""

    ASCENDING = "asc"
    DESCENDING = "desc"


class Page(BaseModel, Generic[T]):
    """Some of what there is."""

    items: list[T]
    next: str | None = Field(description="Give it as `after` to get the next page; null on the last one.")


@dataclass(frozen=True)
class Position:
    """Where the page before ended: ``values`` are its last row's sort values, None on the first page."""

    values: tuple[Any, ...] | None
    _cipher: AESSIV
    _binding: bytes

    def next(self, *values: object) -> str:
        """The cursor behind the row that has these sort values."""
        sealed = self._cipher.encrypt(json.dumps([_pack(value) for value in values]).encode(), [self._binding])
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()


@functools.cache
def _cipher(secret: str) -> AESSIV:
    return AESSIV(hmac.digest(secret.encode(), b"covey paging v1", "sha512"))


async def _limit(
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX, description="How many at most.")] = LIMIT_DEFAULT,
) -> int:
    return limit


async def _after(
    request: Request,
    after: Annotated[str | None, Query(max_length=4096, description="The `next` of the page before.")] = None,
) -> Position:
    cipher = _cipher(context_of(request).settings.operator_token.get_secret_value())
    filters = sorted(pair for pair in request.query_params.multi_items() if pair[0] not in ("after", "limit"))
    binding = json.dumps([request.scope["path"], filters]).encode()
    if after is None:
        return Position(None, cipher, binding)
    try:
        sealed = base64.b64decode(after.encode() + b"=" * (-len(after) % 4), altchars=b"-_", validate=True)
        packed = json.loads(cipher.decrypt(sealed, [binding]))
    except (ValueError, binascii.Error, InvalidTag) as error:
        raise Invalid(FieldError("query:after", "is not a cursor of this list with these filters")) from error
    return Position(tuple(_unpack(each) for each in packed), cipher, binding)


Limit = Annotated[int, Depends(_limit)]
"""How many rows the client wants; no default needed."""

After = Annotated[Position, Depends(_after)]
"""Where the client's page begins."""


async def page_of(
    session: AsyncSession,
    query: Select[Row],
    *,
    by: Sequence[SortKey],
    limit: int,
    after: Position,
    descending: bool = False,
) -> tuple[list[Row], str | None]:
    """One page of a ``select(Entity)`` without an order of its own, and the cursor of the next.

    Args:
        session: where to read.
        query: what to list, filtered.
        by: what it is sorted by; never NULL, and the last one unique, such as the ID.
        limit: how many rows at most.
        after: where to begin.
        descending: sort all of ``by`` the other way round.
    """
    if after.values is not None:
        here = tuple_(*by)
        there = tuple_(*(literal(value, column.type) for value, column in zip(after.values, by, strict=True)))
        query = query.where(here < there if descending else here > there)
    query = query.order_by(*(column.desc() if descending else column.asc() for column in by)).limit(limit + 1)
    rows = (await session.execute(query.add_columns(*by))).all()
    more = len(rows) > limit
    last = rows[limit - 1][-len(by) :] if more else ()
    return [row[0] for row in rows[:limit]], after.next(*last) if more else None


_TYPES: Mapping[str, tuple[type, Callable[[str], object]]] = {
    # In this order: a datetime is a date too.
    "t": (datetime, datetime.fromisoformat),
    "d": (date, date.fromisoformat),
    "u": (UUID, UUID),
    "n": (Decimal, Decimal),
}


def _pack(value: object) -> object:
    if isinstance(value, str | int):
        return value
    for tag, (kind, _) in _TYPES.items():
        if isinstance(value, kind):
            return [tag, value.isoformat() if isinstance(value, date) else str(value)]
    raise TypeError(f"a page cannot be sorted by {type(value).__name__}")


def _unpack(value: Any) -> object:
    if isinstance(value, list):
        return _TYPES[value[0]][1](value[1])
    return value
