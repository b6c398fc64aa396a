"""Edits carry the version that they were made on (RFC 9110: ETag out, If-Match in), so nobody overwrites unseen."""

import re
from typing import Annotated

from fastapi import Depends, Header, HTTPException, Response
from sqlalchemy.ext.asyncio import AsyncSession

from covey_chassis.db import Aggregate
from covey_chassis.errors import Refusal


class StaleVersion(Refusal):
    """It has changed since it was read: read it again."""

    status = 412


def etag(version: int) -> str:
    """The entity tag of an aggregate's version: ``7`` is ``"7"``."""
    return f'"{version}"'


async def _version(
    if_match: Annotated[
        str,
        Header(
            alias="If-Match",
            description="The version that the edit is made on, as its ETag said it.",
            examples=['"7"'],
        ),
    ],
) -> int:
    if if_match.strip() == "*":
        raise HTTPException(428, "If-Match must name a version: any version would overwrite unseen.")
    # Weak tags and lists are ETags that no answer of ours ever carried, so they cannot match (RFC 9110, 13.1.1).
    found = re.fullmatch(r'"(\d{1,18})"', if_match.strip(), re.ASCII)
    if found is None:
        raise StaleVersion
    return int(found[1])


Version = Annotated[int, Depends(_version)]
"""The version in If-Match. The header is required on a route that has it: 428 when it is missing."""


def check_version(aggregate: Aggregate, version: int) -> None:
    """Let the edit pass only if it was made on the aggregate as it is now. The aggregate must be locked (``db.load``).

    Raises:
        StaleVersion: it is another version by now; the answer's ETag says which.
    """
    if aggregate.version != version:
        raise StaleVersion(current=aggregate.version)


async def set_etag(response: Response, session: AsyncSession, aggregate: Aggregate) -> None:
    """Say the aggregate's version in the answer, as it will be after the commit: changes are flushed first."""
    await session.flush()
    response.headers["ETag"] = etag(aggregate.version)
