"""IDs of aggregates and events: UUIDv7 (RFC 9562), which sort by the time of their making."""

from uuid import UUID

import uuid_utils.compat


def new_id() -> UUID:
    """A fresh UUIDv7."""
    return uuid_utils.compat.uuid7()
